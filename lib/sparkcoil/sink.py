"""The target of a run: the prediction table, created and checked, and changed by one commit for each published chunk.

A chunk is staged first, beside the table, where Delta's readers do not look; the target changes from the stage alone.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from delta.tables import DeltaTable
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from sparkcoil import ledger
from sparkcoil.config import TargetConfig
from sparkcoil.errors import TargetError, first_line
from sparkcoil.rows import quote, quoted
from sparkcoil.tasks import Task

STATS = "__stats"
STAGE = "_sparkcoil"
# Statistics put the first 32 characters of a string into Delta's log, so that only these and the keys have any.
MEASURED = ("status", "input_hash", "model_digest", "run_id", "scored_at")
# Table properties: which columns identify a row no schema tells, and by others every row would be there a second time.
KEYS_PROPERTY = "sparkcoil.keys"
TASK_PROPERTY = "sparkcoil.task"
MODEL_PROPERTY = "sparkcoil.model"


@dataclass(frozen=True)
class Target:
    """The prediction table by its name or path, with the columns that it has or will have."""

    table: str | None
    path: str | None
    keys: tuple[str, ...]
    keep: tuple[str, ...]
    schema: StructType
    task: str
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """How the target is called in messages and reports."""
        return str(self.table or self.path)


def expected(frame: DataFrame, keys: Sequence[str], target: TargetConfig, task: Task, notes: Mapping[str, str] | None = None) -> Target:
    """Return the target as the contract has it; notes of the model become properties of the table when it is created."""
    columns = [StructField(name, frame.schema[name].dataType) for name in (*keys, *target.keep)]
    schema = StructType(columns + ddl_fields(ledger.ddl(task.prediction)))
    return Target(target.table, target.path, tuple(keys), tuple(target.keep), schema, task.name, notes or {})


def ddl_fields(ddl: str) -> list[StructField]:
    """Return the fields of a DDL string."""
    parsed = StructType.fromDDL(ddl)
    assert isinstance(parsed, StructType)
    return parsed.fields


def exists(spark: SparkSession, target: Target) -> bool:
    """Tell whether the target is there already."""
    if target.table:
        return bool(spark.catalog.tableExists(target.table))
    return DeltaTable.isDeltaTable(spark, str(target.path)) or has_files(spark, str(target.path))


def opened(spark: SparkSession, target: Target) -> DeltaTable:
    """Return the target as a Delta table; raises TargetError where it is something else."""
    try:
        return DeltaTable.forName(spark, target.table) if target.table else DeltaTable.forPath(spark, str(target.path))
    except PySparkException as error:
        raise TargetError(f"target: {target.name}: expected a Delta table; {first_line(error)}") from error


def check(spark: SparkSession, target: Target) -> None:
    """Pass if the target is missing or has the expected keys and columns; raises TargetError naming each that differs."""
    if not exists(spark, target):
        return
    table = opened(spark, target)
    found = {field.name: field.dataType.simpleString() for field in table.toDF().schema}
    wanted = {field.name: field.dataType.simpleString() for field in target.schema}
    problems = [*key_problems(table, target)]
    problems += [
        f"column {name}: expected {wanted.get(name, 'no such column')}, found {found.get(name, 'no such column')}"
        for name in {**wanted, **found}
        if wanted.get(name) != found.get(name)
    ]
    if problems:
        raise TargetError("\n  - ".join([f"target: {target.name} is not this run's; score into a new one, or ALTER TABLE it", *problems]))


def key_problems(table: DeltaTable, target: Target) -> Iterator[str]:
    """Yield a sentence if the table was made with other key columns; one that does not say which it was made with passes."""
    detail = table.detail().select("properties").head()
    recorded = detail["properties"].get(KEYS_PROPERTY) if detail else None
    if recorded and set(json.loads(recorded)) != set(target.keys):
        asked, made = ", ".join(target.keys), ", ".join(json.loads(recorded))
        yield f"keys: expected {asked}, found {made}, by which its rows were scored; go back to those keys, or score into a new target"


def create(spark: SparkSession, target: Target) -> None:
    """Create the prediction table, empty, if it is not there."""
    if exists(spark, target):
        return
    builder = DeltaTable.createIfNotExists(spark).addColumns(target.schema)
    builder = builder.tableName(target.table) if target.table else builder.location(location(spark, target))
    measured = [field.name for field in target.schema if field.name in target.keys and has_statistics(field)] + list(MEASURED)
    builder = builder.property(KEYS_PROPERTY, json.dumps(target.keys)).property(TASK_PROPERTY, target.task)
    for name, note in target.notes.items():
        builder = builder.property(f"{MODEL_PROPERTY}.{name}", note)
    builder.property("delta.dataSkippingStatsColumns", ",".join(f"`{name}`" for name in measured)).execute()


def has_statistics(field: StructField) -> bool:
    """Tell whether Delta can keep the smallest and largest value of a column."""
    return field.dataType.typeName() in {"string", "byte", "short", "integer", "long", "float", "double", "decimal", "date", "timestamp"}


def version(spark: SparkSession, target: Target) -> int:
    """Return the target's newest version."""
    newest = opened(spark, target).history(1).select("version").head()
    assert newest is not None
    return int(newest["version"])


def read(spark: SparkSession, target: Target, at: int | None = None) -> DataFrame:
    """Return the target's rows, at a version where one is given."""
    reader = spark.read.format("delta") if at is None else spark.read.format("delta").option("versionAsOf", at)
    return reader.table(target.table) if target.table else reader.load(str(target.path))


def stage(spark: SparkSession, target: Target, frame: DataFrame, *, run_id: str, chunk: int) -> DataFrame:
    """Write a chunk's scored rows beside the target and return them as read back."""
    schema = StructType([*target.schema, StructField(STATS, StringType())])
    return written(spark, frame, f"{stage_folder(spark, target)}/{run_id}/{chunk}", schema)


def snapshot(spark: SparkSession, target: Target, rows: DataFrame, *, run_id: str) -> DataFrame:
    """Write the rows to be scored beside the target and return them as read back: a query may give others the next time."""
    return written(spark, rows, f"{stage_folder(spark, target)}/{run_id}/rows", rows.schema)


def written(spark: SparkSession, frame: DataFrame, path: str, schema: StructType) -> DataFrame:
    """Return the rows from the files that they were written to: from here on nothing is computed again."""
    frame.write.mode("overwrite").parquet(path)
    return spark.read.schema(schema).parquet(path)


def measure(staged: DataFrame, target: Target) -> Mapping[str, list[dict[str, Any]]]:
    """Return a staged chunk's failures by stage and code, each with the smallest key it has, and its windows' notes."""
    failed = staged.where("status = 'failed'").groupBy("error.stage", "error.code")
    example = F.min(F.to_json(F.struct(*quoted(target.keys)))).alias("example")
    failures = failed.agg(F.count("*").alias("rows"), example).collect()
    notes = staged.where(F.col(STATS).isNotNull()).select(STATS).collect()
    return {"failures": [row.asDict() for row in failures], "windows": [json.loads(row[STATS]) for row in notes]}


def publish(spark: SparkSession, target: Target, staged: DataFrame, *, transaction: str, replaces: bool) -> None:
    """Put a staged chunk into the target by one commit, which Delta skips if this transaction has been committed."""
    rows = staged.drop(STATS)
    if replaces:
        with transaction_of(spark, transaction):
            merge(opened(spark, target), rows, target)
        return
    writer = rows.write.format("delta").mode("append").option("txnAppId", transaction).option("txnVersion", 1)
    if target.table:
        writer.saveAsTable(target.table)
    else:
        writer.save(str(target.path))


def merge(table: DeltaTable, rows: DataFrame, target: Target) -> None:
    """Insert the rows with new keys and replace those with known ones."""
    same_key = " AND ".join(f"t.{quote(name)} <=> s.{quote(name)}" for name in target.keys)
    table.alias("t").merge(rows.alias("s"), same_key).whenMatchedUpdateAll().whenNotMatchedInsertAll().execute()


@contextmanager
def transaction_of(spark: SparkSession, transaction: str) -> Iterator[None]:
    """Let the block's MERGE carry a transaction id; Delta does not reset these settings itself."""
    settings = {"spark.databricks.delta.write.txnAppId": transaction, "spark.databricks.delta.write.txnVersion": "1"}
    for name, value in settings.items():
        spark.conf.set(name, value)
    try:
        yield
    finally:
        for name in settings:
            spark.conf.unset(name)


def counts(spark: SparkSession, target: Target, run_id: str) -> Mapping[str, int]:
    """Return how many rows of the committed table each status has from one run."""
    rows = read(spark, target).where(F.col("run_id") == run_id).groupBy("status").count().collect()
    return {row["status"]: row["count"] for row in rows}


def location(spark: SparkSession, target: Target) -> str:
    """Return where the target's files lie, or will lie."""
    if target.path:
        return str(file_system(spark, target.path)[1])
    if spark.catalog.tableExists(str(target.table)):
        return place(opened(spark, target))
    *database, name = str(target.table).replace("`", "").split(".")
    found = spark.catalog.getDatabase(".".join(database) or spark.catalog.currentDatabase())
    where = urlsplit(str(found.locationUri))  # encoded as a URI, unlike the location of a table that is there
    return f"{f'file:{unquote(where.path)}' if where.scheme in ('', 'file') else where.geturl()}/{name.lower()}"


def place(table: DeltaTable) -> str:
    """Return where a table's files lie."""
    detail = table.detail().select("location").head()
    assert detail is not None
    return str(detail["location"])


def stage_folder(spark: SparkSession, target: Target) -> str:
    """Return where this target's chunks are staged: readers, OPTIMIZE and VACUUM leave such a folder alone."""
    return f"{location(spark, target)}/{STAGE}"


def clear_stage(spark: SparkSession, target: Target, run_id: str | None = None) -> None:
    """Remove what a run has staged; without its id, what any run has, which only the holder of the lease may do."""
    folder = stage_folder(spark, target)
    system, path = file_system(spark, folder)
    if run_id is not None:
        system.delete(file_system(spark, f"{folder}/{run_id}")[1], True)
    if system.exists(path) and (run_id is None or not system.listStatus(path)):
        system.delete(path, True)


def has_files(spark: SparkSession, path: str) -> bool:
    """Tell whether a folder has anything in it that a reader would see."""
    system, folder = file_system(spark, path)
    return bool(system.exists(folder)) and any(not each.getPath().getName().startswith(("_", ".")) for each in system.listStatus(folder))


def file_system(spark: SparkSession, path: str) -> tuple[Any, Any]:
    """Return the Hadoop file system of a path and the path as that file system names it."""
    jvm = spark._jvm
    assert jvm is not None
    found = jvm.org.apache.hadoop.fs.Path(path)
    system = found.getFileSystem(spark._jsc.hadoopConfiguration())
    return system, system.makeQualified(found)
