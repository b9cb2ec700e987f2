"""The stage: what a run has scored, or will, in files beside its target, where Delta's readers, OPTIMIZE and VACUUM do not look."""

import json
from collections.abc import Sequence

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType, StringType, StructField, StructType

from sparkcoil.report import Measured
from sparkcoil.rows import COPIED, STATS, quoted
from sparkcoil.tables import file_system

STAGE = "_sparkcoil"


def write_chunk(frame: DataFrame, location: str, schema: StructType, *, run_id: str, chunk: int) -> DataFrame:
    """Write a chunk's scored rows beside the target and return them as read back."""
    own = [StructField(STATS, StringType()), StructField(COPIED, BooleanType())]
    return written(frame, f"{location}/{STAGE}/{run_id}/{chunk}", StructType([*schema, *own]))


def write_rows(rows: DataFrame, location: str, *, run_id: str) -> DataFrame:
    """Write the rows to be scored beside the target and return them as read back: a query may give others the next time."""
    return written(rows, f"{location}/{STAGE}/{run_id}/rows", rows.schema)


def written(frame: DataFrame, path: str, schema: StructType) -> DataFrame:
    """Return the rows from the files that they were written to: from here on nothing is computed again."""
    frame.write.mode("overwrite").parquet(path)
    return frame.sparkSession.read.schema(schema).parquet(path)


def measure(staged: DataFrame, keys: Sequence[str]) -> Measured:
    """Return what a staged chunk came to; of each kind of failure with the smallest key it has."""
    failed = staged.where("status = 'failed'").groupBy("error.stage", "error.code")
    example = F.min(F.to_json(F.struct(*quoted(keys)))).alias("example")
    failures = failed.agg(F.count("*").alias("rows"), example).withColumn("of", F.lit("failures"))
    notes = staged.where(F.col(STATS).isNotNull()).select(F.col(STATS).alias("example"), F.lit("windows").alias("of"))
    counted = staged.groupBy(F.when(F.col(COPIED), "copied").otherwise("scored").alias("of")).agg(F.count("*").alias("rows"))
    parts = failures.unionByName(notes, allowMissingColumns=True).unionByName(counted, allowMissingColumns=True)
    found = [row.asDict() for row in parts.collect()]
    return Measured(
        failures=[{name: each[name] for name in ("stage", "code", "rows", "example")} for each in found if each["of"] == "failures"],
        windows=[json.loads(each["example"]) for each in found if each["of"] == "windows"],
        rows=sum(each["rows"] for each in found if each["of"] in ("scored", "copied")),
        copied=sum(each["rows"] for each in found if each["of"] == "copied"),
    )


def clear(spark: SparkSession, location: str, run_id: str | None = None) -> None:
    """Remove what a run has staged; without its id, what any run has, which only the holder of the lease may do."""
    folder = f"{location}/{STAGE}"
    system, path = file_system(spark, folder)
    if run_id is not None:
        system.delete(file_system(spark, f"{folder}/{run_id}")[1], True)
    if system.exists(path) and (run_id is None or not system.listStatus(path)):
        system.delete(path, True)
