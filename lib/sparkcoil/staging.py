"""The stage: what a run has scored, or will, in files beside its target, where Delta's readers, OPTIMIZE and VACUUM do not look.

A stage is for one model and one way of scoring; its runs have a folder each, and in it one for each chunk. What a run leaves that does
not end is copied by the next one, in place of being scored again.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType, StringType, StructField, StructType

from sparkcoil.constraints import REFUSED
from sparkcoil.report import Measured
from sparkcoil.rows import COPIED, STATS, quoted
from sparkcoil.tables import file_system

STAGE = "_sparkcoil"


def place(location: str, *, how: str, digest: str) -> str:
    """Return the folder of the stage for a model and a way of scoring."""
    return f"{location}/{STAGE}/{hashlib.sha256(f'{how} {digest}'.encode()).hexdigest()[:16]}"


def schema_of(target: StructType) -> StructType:
    """Return the columns of a staged chunk; none is NOT NULL, since some rows may turn out to break that."""
    own = [StructField(STATS, StringType()), StructField(COPIED, BooleanType())]
    return StructType([*(StructField(field.name, field.dataType) for field in target), *own])


def write_chunk(frame: DataFrame, stage: str, schema: StructType, *, run_id: str, chunk: int) -> DataFrame:
    """Write a chunk's scored rows beside the target and return them as read back."""
    return written(frame, f"{stage}/{run_id}/{chunk}", schema_of(schema))


def write_rows(rows: DataFrame, stage: str, *, run_id: str) -> DataFrame:
    """Write the rows to be scored beside the target and return them as read back: a query may give others the next time."""
    return written(rows, f"{stage}/{run_id}/rows", rows.schema)


def read_run(spark: SparkSession, stage: str, schema: StructType, *, run_id: str, chunks: int) -> DataFrame:
    """Return all chunks that a run has staged, each of which has to be there."""
    return spark.read.schema(schema_of(schema)).parquet(*(f"{stage}/{run_id}/{number}" for number in range(chunks)))


def left_over(spark: SparkSession, stage: str, schema: StructType) -> DataFrame | None:
    """Return the chunks that runs before have staged to their end, and not removed, None where there are none."""
    system, done = file_system(spark, f"{stage}/*/[0-9]*/_SUCCESS")
    chunks = [each.getPath().getParent().toString() for each in system.globStatus(done) or ()]
    return spark.read.schema(schema_of(schema)).parquet(*chunks) if chunks else None


def written(frame: DataFrame, path: str, schema: StructType) -> DataFrame:
    """Return the rows from the files that they were written to: from here on nothing is computed again."""
    frame.write.mode("overwrite").parquet(path)
    return frame.sparkSession.read.schema(schema).parquet(path)


def measure(staged: DataFrame, keys: Sequence[str]) -> Measured:
    """Return what a staged chunk came to, by one look at it."""
    kind = F.when(F.col(REFUSED), "refused").when(F.col(COPIED), "copied").otherwise("scored")
    is_failed = F.col("status") == "failed"
    failure = F.when(is_failed, F.struct("error.stage", "error.code"))
    example = F.min(F.when(is_failed, F.to_json(F.struct(*quoted(keys)))))
    grouped = staged.groupBy(kind.alias("of"), failure.alias("failure"), F.col(STATS).alias("window"))
    groups = grouped.agg(F.count("*").alias("rows"), example.alias("example")).collect()
    counts = Counter[str]()
    for group in groups:
        counts[group["of"]] += group["rows"]
    return Measured(
        failures=failures_of(groups),
        windows=[json.loads(group["window"]) for group in groups if group["window"] is not None for _ in range(group["rows"])],
        rows=counts["scored"] + counts["copied"],
        copied=counts["copied"],
        refused=counts["refused"],
    )


def failures_of(groups: Sequence[Row]) -> list[Mapping[str, Any]]:
    """Return the failed rows of counted groups by stage and code, each with the smallest key among them."""
    by_code: dict[tuple[str, str], list[Row]] = {}
    for group in groups:
        if group["failure"] is not None:
            by_code.setdefault((group["failure"]["stage"], group["failure"]["code"]), []).append(group)
    return [
        {"stage": stage, "code": code, "rows": sum(each["rows"] for each in of_code), "example": min(each["example"] for each in of_code)}
        for (stage, code), of_code in by_code.items()
    ]


def clear(spark: SparkSession, location: str, *, but: str | None = None, run_id: str | None = None) -> None:
    """Remove all stages of a target but one, and of that all runs but one where it is named; only the holder of its lease may do so."""
    system, stages = file_system(spark, f"{location}/{STAGE}")
    if but is None:
        system.delete(stages, True)
        return
    kept = file_system(spark, but)[1]
    for folder, name in ((stages, kept.getName()), *([(kept, run_id)] if run_id else [])):
        for each in system.listStatus(folder) if system.exists(folder) else ():
            if each.getPath().getName() != name:
                system.delete(each.getPath(), True)
