"""The source of a run: found, pinned to a version, checked against what the run file says of it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from delta.tables import DeltaTable
from py4j.protocol import Py4JError  # type: ignore[import-untyped]
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DataType, MapType, StringType, StructType, VariantType

from sparkcoil import batchfile, folders, tables
from sparkcoil.errors import SourceError, did_you_mean, first_line
from sparkcoil.remedies import cause
from sparkcoil.rows import quote
from sparkcoil.sections import SourceConfig
from sparkcoil.tables import Detail
from sparkcoil.tasks import Task, wired

# As pandas and most other tools write it: Spark alone would end a row at a line break within quotes, and escape by a backslash.
CSV_OPTIONS: Mapping[str, str] = {"header": "true", "multiLine": "true", "escape": '"'}
CONDITION = re.compile(r"\[[A-Z][A-Z0-9_.]+\]")
# The column in which Spark puts what is no JSON.
CORRUPT = "_corrupt_record"
# The hidden column of what Spark knows of a row's file, and where a binaryFile source has the same.
METADATA = "_metadata."
OF_FILES: Mapping[str, str] = {
    "file_path": "path",
    "file_name": "element_at(split(path, '/'), -1)",
    "file_size": "length",
    "file_modification_time": "modificationTime",
    "file_block_start": "0L",
    "file_block_length": "length",
}
# Functions of time or chance: read twice, a row with one of them has two values.
VOLATILE = re.compile(
    r"(?i)\b(now|curdate|current_\w+|localtimestamp|unix_timestamp|rand\w*|uniform|uuid|shuffle|monotonically_increasing_id)\b"
    r"|'(now|today|tomorrow|yesterday)'"
)
# The class of SQL states for values that are not as an expression or a format wants them.
DATA_EXCEPTION = "SQLSTATE: 22"


@dataclass(frozen=True)
class Wording:
    """How a caller has named keys, kept columns and inputs, for messages."""

    where: str
    keys: str
    keep: str
    columns: str


RUN_FILE = Wording("the run file", "source.keys", "target.keep", "source.columns")
ARGUMENTS = Wording("the call", "keys", "keep", "columns")


@dataclass(frozen=True)
class PinnedSource:
    """A source at one version; `version` is None for a source that has none, `detail` for one that is not a Delta table."""

    name: str
    version: int | None
    frame: DataFrame
    detail: Detail | None


def pin(spark: SparkSession, source: SourceConfig) -> PinnedSource:
    """Return the source at the asked or else its newest version; raises SourceError where it cannot be read."""
    name = str(source.table or source.path or "query")
    try:
        table = delta_table(spark, source)
        version = tables.newest(table).version if table is not None and source.version is None else source.version
        frame = read(spark, source, version)
        refuse_corrupt(frame, source)
        detail = tables.detail(table) if table is not None else None
        return PinnedSource(name, version, frame.where(source.where) if source.where else frame, detail)
    except (PySparkException, Py4JError) as error:
        raise SourceError(f"source: {name}: {cause(error)}{nearest_table(spark, source)}") from error


def delta_table(spark: SparkSession, source: SourceConfig) -> DeltaTable | None:
    """Return the Delta table that a source is, None for one that is something else."""
    if source.table and spark.catalog.tableExists(source.table):
        try:
            return DeltaTable.forName(spark, source.table)
        except AnalysisException:  # a view, or of another format
            return None
    if source.path and source.format == "delta" and DeltaTable.isDeltaTable(spark, source.path):
        return DeltaTable.forPath(spark, source.path)
    return None


def moves(source: SourceConfig, version: int | None) -> bool:
    """Tell whether reading the source again may give other rows: a query or a view, or an expression of time or chance."""
    written = [*source.columns.values(), source.where or ""]
    return (version is None and not source.path) or any(VOLATILE.search(each) for each in written)


def read(spark: SparkSession, source: SourceConfig, version: int | None) -> DataFrame:
    """Return the source's rows, of one version where it has versions."""
    if source.query:
        # Within brackets only what gives rows is grammar: any other statement would be done before it could be refused.
        return spark.sql(f"SELECT * FROM (\n{source.query.strip().rstrip(';')}\n)")
    reader = spark.read if version is None else spark.read.option("versionAsOf", version)
    if source.table:
        return reader.table(source.table)
    if source.format == "openai":
        return batchfile.read(spark, str(source.path), source.options)
    options = {**(CSV_OPTIONS if source.format == "csv" else {}), **source.options}
    frame = reader.format(str(source.format)).options(**options).load(str(source.path))
    return with_metadata(folders.with_empty_files(frame) if source.format == "binaryFile" else frame, source)


def with_metadata(frame: DataFrame, source: SourceConfig) -> DataFrame:
    """Return the rows of files with the columns that keys name of what Spark knows of each file, such as `_metadata.file_path`."""
    asked = [key for key in source.keys if key.startswith(METADATA) and key not in frame.columns]
    # What Spark makes of a folder may have rows of empty files beside its own, whose columns say the same.
    own = OF_FILES if source.format == "binaryFile" else {}
    fields = ((key, key.removeprefix(METADATA)) for key in asked)
    return frame.select("*", *(F.expr(own.get(field, f"_metadata.{field}")).alias(key) for key, field in fields)) if asked else frame


def refuse_corrupt(frame: DataFrame, source: SourceConfig) -> None:
    """Pass unless Spark has found lines that are no JSON, which come as rows without a key; raises SourceError naming a file with one."""
    if source.format != "json" or CORRUPT not in frame.columns or {"mode", "columnNameOfCorruptRecord"} & set(source.options):
        return
    others = [F.col(quote(name)) for name in frame.columns if name != CORRUPT][:1]
    if not others:
        raise SourceError(f"source: {source.path}: none of its lines is a JSON object")
    # Only with another column is what Spark keeps of such a line to be had.
    corrupt = frame.select(CORRUPT, *others, "_metadata.file_path").where(F.col(CORRUPT).isNotNull()).limit(1).collect()
    if corrupt:
        remedy = "mend it, or leave such lines out by source.options.mode: DROPMALFORMED"
        raise SourceError(f"source: {source.path}: {corrupt[0]['file_path']} is malformed: it has a line that is no JSON object; {remedy}")


def unreadable(error: BaseException) -> str | None:
    """Return what is wrong with rows or files that Spark could not read, None where it is neither; never quotes a row."""
    said = cause(error)
    condition = CONDITION.search(said)
    if condition and condition[0].startswith("[FAILED_READ_FILE"):
        return said[condition.start() :]
    # The sentence of a failed cast, or of a malformed record, holds the value.
    return f"{condition[0]}, which Spark's log says more of" if condition and DATA_EXCEPTION in str(error) else None


def nearest_table(spark: SparkSession, source: SourceConfig) -> str:
    """Return a hint at the table whose name is nearest to one that does not exist, or nothing."""
    if not source.table or spark.catalog.tableExists(source.table):
        return ""
    return did_you_mean(source.table, [row["tableName"] for row in spark.sql("SHOW TABLES").collect()])


def checked_inputs(
    frame: DataFrame, keys: Sequence[str], keep: Sequence[str], *, columns: Mapping[str, str], task: Task, wording: Wording = RUN_FILE
) -> tuple[Mapping[str, Column], Mapping[str, DataType]]:
    """Return the task's inputs as columns, with their types; raises SourceError naming every column that is missing or of a wrong type."""
    inputs: dict[str, Column] = {}
    types: dict[str, DataType] = {}
    problems = [*column_problems(frame, keys, keep, wording)]
    wires = wired(task, columns)
    for each in (each for each in task.inputs if each.name in wires):
        expression = wires[each.name]
        where = f"{wording.columns}.{each.label}" if each.label in columns else f"the prompt template's {each.name}"
        try:
            column = column_of(frame, expression)
            kind = frame.select(column.alias("input")).schema["input"].dataType
        except AnalysisException as error:
            problems.append(f"{where}: {expression!r} is no column or expression of the source: {unresolved(error, frame)}")
            continue
        if not each.as_text and kind.typeName() not in each.types:
            problems.append(f"{where}: expected {' or '.join(each.types)}, found {kind.simpleString()} in {expression!r}")
        if isinstance(kind, StructType) and each.fields and not set(each.fields) & set(kind.names):
            problems.append(f"{where}: expected a struct with {' or '.join(each.fields)}, found {kind.simpleString()} in {expression!r}")
        inputs[each.name], types[each.name] = (as_text(column, kind), StringType()) if each.as_text else (column, kind)
    if problems:
        raise SourceError("\n  - ".join([f"the source is not what {wording.where} says", *problems]))
    return inputs, types


def column_of(frame: DataFrame, expression: str) -> Column:
    """Return what is written in `source.columns` as a column: one of that name, whatever characters it has, else an SQL expression."""
    return F.col(quote(expression)) if expression in frame.columns else F.expr(expression)


def as_text(column: Column, kind: DataType) -> Column:
    """Return a column as a prompt template takes it: what has parts as JSON, anything else as Spark writes it."""
    return F.to_json(column) if isinstance(kind, (ArrayType, MapType, StructType, VariantType)) else column.cast("string")


def column_problems(frame: DataFrame, keys: Sequence[str], keep: Sequence[str], wording: Wording) -> Iterator[str]:
    """Yield a sentence for each key or kept column that does not exist, and each key that cannot be compared."""
    known = set(frame.columns)
    for where, name in [(wording.keys, name) for name in keys] + [(wording.keep, name) for name in keep]:
        if name not in known:
            yield f"{where}: no column {name!r}{did_you_mean(name, known)}"
    for name in keys:
        if name in known and isinstance(frame.schema[name].dataType, (MapType, VariantType, StructType)):
            yield f"{wording.keys}: {name!r} is of type {frame.schema[name].dataType.simpleString()}, which cannot be a key"


def unresolved(error: AnalysisException, frame: DataFrame) -> str:
    """Return why Spark could not resolve an expression in one short clause, with our own hint in place of Spark's."""
    name = str(dict(error.getMessageParameters() or {}).get("objectName", "")).replace("`", "")
    if name and str(error.getCondition()).startswith("UNRESOLVED_COLUMN"):
        return f"no column {name!r}{did_you_mean(name, frame.columns)}"
    return first_line(error).split(" SQLSTATE: ")[0]
