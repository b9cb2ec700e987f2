"""The target of a run: the prediction table, created and checked, and changed by one commit for each published chunk.

A chunk is staged first, beside the table, where Delta's readers do not look; the target changes from the stage alone.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from delta.tables import DeltaMergeBuilder, DeltaTable
from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructField, StructType, TimestampType

from sparkcoil import drift, ledger, remedies, tables
from sparkcoil.errors import SparkcoilError, TargetError, first_line
from sparkcoil.rows import quote
from sparkcoil.sections import TargetConfig
from sparkcoil.tables import Commit, Detail, Written, file_system, has_files
from sparkcoil.tasks import Task

# Statistics put the first 32 characters of a string into Delta's log, so that only these and the keys have any.
MEASURED = ("status", "input_hash", "model_digest", "run_id", "scored_at")
# Table properties: which columns identify a row no schema tells, and by others every row would be there a second time.
KEYS_PROPERTY = "sparkcoil.keys"
TASK_PROPERTY = "sparkcoil.task"
MODEL_PROPERTY = "sparkcoil.model"


@dataclass(frozen=True)
class Target:
    """The prediction table by its name or path, with the columns that it has or will have; those that it `may_lack` are added.

    With `marks` the last of them says when a row left the source. `padded` has the CHAR type of each key in the source, or None.
    """

    table: str | None
    path: str | None
    keys: tuple[str, ...]
    keep: tuple[str, ...]
    schema: StructType
    task: str
    notes: Mapping[str, str] = field(default_factory=dict)
    may_lack: tuple[str, ...] = ()
    marks: bool = False
    padded: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """How the target is called in messages and reports."""
        return str(self.table or self.path)


def expected(
    frame: DataFrame,
    keys: Sequence[str],
    target: TargetConfig,
    task: Task,
    notes: Mapping[str, str] | None = None,
    *,
    challenged: bool = False,
) -> Target:
    """Return the target as the contract has it; notes of the model become properties of the table when it is created."""
    columns = [StructField(name, frame.schema[name].dataType) for name in (*keys, *target.keep)]
    marks = target.deletes == "mark"
    marked = [StructField(ledger.DELETED_AT, TimestampType())] if marks else []
    beside = ddl_fields(ledger.challenger_ddl(task.prediction)) if challenged else []
    schema = StructType(columns + ddl_fields(ledger.ddl(task.prediction)) + beside + marked)
    may_lack = (*target.keep, ledger.CHALLENGER, ledger.DELETED_AT) if target.add_columns else ()
    padded = {name: drift.declared_char(frame.schema, name) for name in keys}
    return Target(target.table, target.path, tuple(keys), tuple(target.keep), schema, task.name, notes or {}, may_lack, marks, padded)


def ddl_fields(ddl: str) -> list[StructField]:
    """Return the fields of a DDL string."""
    parsed = StructType.fromDDL(ddl)
    assert isinstance(parsed, StructType)
    return parsed.fields


def exists(spark: SparkSession, target: Target) -> bool:
    """Tell whether the target is there already; raises TargetError for a name that can be none."""
    if target.table:
        with remedies.refusing(f"target: {target.name}"):
            return bool(spark.catalog.tableExists(target.table))
    return DeltaTable.isDeltaTable(spark, str(target.path)) or has_files(spark, str(target.path))


def opened(spark: SparkSession, target: Target) -> DeltaTable:
    """Return the target as a Delta table; raises TargetError where it is something else."""
    try:
        return DeltaTable.forName(spark, target.table) if target.table else DeltaTable.forPath(spark, str(target.path))
    except PySparkException as error:
        raise TargetError(f"target: {target.name}: expected a Delta table; {first_line(error)}") from error


def check(spark: SparkSession, target: Target) -> Detail | None:
    """Return what the target is, None where it is missing; raises TargetError naming each key and column that is not as expected."""
    if not exists(spark, target):
        if target.table and tables.is_refused(target.table):
            raise TargetError(f"target: {target.name}: {remedies.REMEDIES['INVALID_SCHEMA_OR_RELATION_NAME']}")
        return None
    table = opened(spark, target)
    detail = tables.detail(table)
    problems = [*drift.key_problems(detail.properties.get(KEYS_PROPERTY), target.keys)]
    problems += drift.problems(detail.schema, target.schema, may_lack=target.may_lack)
    problems += drift.padding_problems(detail.schema, target.padded)
    if problems:
        raise TargetError("\n  - ".join([f"target: {target.name} is not this run's; score into a new one, or ALTER TABLE it", *problems]))
    return detail


def check_writes(target: Target, found: Detail | None, counts: Mapping[str, int]) -> None:
    """Pass unless rows have to be changed in a table that takes only new ones; raises TargetError with the way out."""
    changed = counts.get("known", 0) + counts.get("gone", 0)
    if found is not None and changed and found.properties.get("delta.appendOnly") == "true":
        remedy = remedies.REMEDIES["DELTA_CANNOT_MODIFY_APPEND_ONLY"].replace("…", target.name)
        raise TargetError(f"target: {target.name} takes only new rows (delta.appendOnly), and {changed} of its own would change; {remedy}")


def create(spark: SparkSession, target: Target) -> int:
    """Create the prediction table, empty, if it is not there; add to it what it may lack, and return how many commits that took."""
    if exists(spark, target):
        adds = bool(target.may_lack) and drift.lacks(opened(spark, target).toDF().schema, target.schema)
        if adds:
            append(spark.createDataFrame([], target.schema), target, {"mergeSchema": "true"})
        return int(adds)
    builder = DeltaTable.createIfNotExists(spark).addColumns(target.schema)
    builder = builder.tableName(target.table) if target.table else builder.location(location(spark, target, None))
    measured = [field.name for field in target.schema if field.name in target.keys and has_statistics(field)] + list(MEASURED)
    builder = builder.property(KEYS_PROPERTY, json.dumps(target.keys)).property(TASK_PROPERTY, target.task)
    for name, note in target.notes.items():
        builder = builder.property(f"{MODEL_PROPERTY}.{name}", note)
    if tables.needs_mapping(target.schema):
        builder = builder.property("delta.columnMapping.mode", "name")
    builder.property("delta.dataSkippingStatsColumns", ",".join(map(quote, measured))).execute()
    return 0


def has_statistics(field: StructField) -> bool:
    """Tell whether Delta can keep the smallest and largest value of a column."""
    return field.dataType.typeName() in {"string", "byte", "short", "integer", "long", "float", "double", "decimal", "date", "timestamp"}


def newest(spark: SparkSession, target: Target) -> Commit | None:
    """Return the newest commits of the target, None where it is not there yet."""
    return tables.newest(opened(spark, target)) if exists(spark, target) else None


def read(spark: SparkSession, target: Target, at: int | None = None) -> DataFrame:
    """Return the target's rows, at a version where one is given."""
    reader = spark.read.format("delta") if at is None else spark.read.format("delta").option("versionAsOf", at)
    return reader.table(target.table) if target.table else reader.load(str(target.path))


def publish(spark: SparkSession, target: Target, rows: DataFrame, *, transaction: str, note: str, replaces: bool) -> None:
    """Put staged rows into the target by one commit that carries the note; Delta skips it if this transaction has been committed."""
    with remedies.refusing(f"target: {target.name}", known=True):
        put(spark, target, rows, transaction=transaction, note=note, replaces=replaces)


def put(spark: SparkSession, target: Target, rows: DataFrame, *, transaction: str, note: str, replaces: bool) -> None:
    """Do what `publish` does."""
    if replaces:
        with carrying(spark, transaction, note):
            # Each column by its name: "all" would ask the rows for those that Delta fills by itself.
            values: dict[str, str | Column] = {quote(name): F.col(f"s.{quote(name)}") for name in target.schema.names}
            table = opened(spark, target)
            if ledger.CHALLENGER in set(table.toDF().columns) - set(target.schema.names):
                values[ledger.CHALLENGER] = F.lit(None)  # what was said of the row beside another prediction
            merging(table, target, rows).whenMatchedUpdate(set=values).whenNotMatchedInsert(values=values).execute()
        return
    append(rows, target, {"txnAppId": transaction, "txnVersion": "1", "userMetadata": note})


def append(rows: DataFrame, target: Target, options: Mapping[str, str]) -> None:
    """Append rows to the target by one commit."""
    writer = rows.write.format("delta").mode("append").options(**options)
    if target.table:
        writer.saveAsTable(target.table)
    else:
        writer.save(str(target.path))


def leave(spark: SparkSession, target: Target, keys: DataFrame, *, transaction: str, note: str) -> None:
    """Remove all rows of the target but those with the keys, or mark them where it has a column for it, by one commit with the note."""
    merge = merging(opened(spark, target), target, keys)
    if target.marks:
        marked: dict[str, str | Column] = {ledger.DELETED_AT: "current_timestamp()"}
        merge = merge.whenNotMatchedBySourceUpdate(f"t.{ledger.DELETED_AT} IS NULL", marked)
    else:
        merge = merge.whenNotMatchedBySourceDelete()
    with carrying(spark, transaction, note):
        merge.execute()


def merging(table: DeltaTable, target: Target, rows: DataFrame) -> DeltaMergeBuilder:
    """Return a MERGE of rows into the target by its keys, which has yet to be told what to do."""
    same_key = " AND ".join(f"t.{quote(name)} <=> s.{quote(name)}" for name in target.keys)
    return table.alias("t").merge(rows.alias("s"), same_key)


@contextmanager
def carrying(spark: SparkSession, transaction: str, note: str) -> Iterator[None]:
    """Let the block's MERGE carry a transaction and a note, which it takes from nowhere else than the session's settings."""
    named = {"write.txnAppId": transaction, "write.txnVersion": "1", "commitInfo.userMetadata": note}
    values = {f"spark.databricks.delta.{name}": value for name, value in named.items()}
    before: dict[str, str | None] = {name: spark.conf.get(name, None) for name in values}
    for name, value in values.items():
        spark.conf.set(name, value)
    try:
        yield
    finally:
        for name, old in before.items():
            if old is None:
                spark.conf.unset(name)
            else:
                spark.conf.set(name, old)


def confirmed(spark: SparkSession, target: Target, note: str, *, after: int, rows: int) -> Written:
    """Return the commit with the note; raises SparkcoilError unless it holds as many rows as were published.

    Delta passes over a transaction in silence whose number is not above the last one, and says nothing of a commit that is lost.
    """
    found = tables.committed(opened(spark, target), note, after=after)
    if found is None and not rows:
        return Written(after, 0, alone=False)  # Delta may pass over a commit of nothing
    if found is None or found.rows not in (rows, None):
        there = "no such commit" if found is None else f"a commit of {found.rows} rows"
        raise SparkcoilError(f"target: {target.name}: expected a commit of {rows} rows, found {there}; run it again")
    return found


def location(spark: SparkSession, target: Target, detail: Detail | None) -> str:
    """Return where the target's files lie, or will lie where it is missing."""
    if target.path:
        return str(file_system(spark, target.path)[1])
    if detail is not None:
        return detail.location
    *database, name = tables.parts_of(str(target.table))
    with remedies.refusing(f"target: {target.name}"):
        found = spark.catalog.getDatabase(".".join(map(quote, database)) or spark.catalog.currentDatabase())
    where = urlsplit(str(found.locationUri))  # encoded as a URI, unlike the location of a table that is there
    return f"{f'file:{unquote(where.path)}' if where.scheme in ('', 'file') else where.geturl()}/{name.lower()}"
