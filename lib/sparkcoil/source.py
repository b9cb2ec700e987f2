"""The source of a run: found, pinned to a version, checked against what the run file says of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from delta.tables import DeltaTable
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, MapType, StructType, VariantType

from sparkcoil.config import SourceConfig
from sparkcoil.errors import SourceError, did_you_mean, first_line
from sparkcoil.tasks import Task


@dataclass(frozen=True)
class PinnedSource:
    """A source at one version; `version` is None for a source that has none."""

    name: str
    version: int | None
    frame: DataFrame


def pin(spark: SparkSession, source: SourceConfig) -> PinnedSource:
    """Return the source at the asked or else its newest version; raises SourceError where it cannot be read."""
    name = str(source.table or source.path or "query")
    try:
        version = None if source.query else delta_version(spark, source)
        frame = read(spark, source, version)
        return PinnedSource(name, version, frame.where(source.where) if source.where else frame)
    except PySparkException as error:
        raise SourceError(f"source: {name}: {first_line(error)}{nearest_table(spark, source)}") from error


def delta_version(spark: SparkSession, source: SourceConfig) -> int | None:
    """Return the version to read of a Delta source, None for one that is not Delta."""
    if source.version is not None:
        return source.version
    if source.table:
        if not spark.catalog.tableExists(source.table):
            return None
        detail = spark.sql(f"DESCRIBE TABLE EXTENDED {source.table}").where("col_name = 'Provider'").head()
        if detail is None or detail["data_type"] != "delta":
            return None
        table = DeltaTable.forName(spark, source.table)
    elif source.format == "delta" and DeltaTable.isDeltaTable(spark, str(source.path)):
        table = DeltaTable.forPath(spark, str(source.path))
    else:
        return None
    newest = table.history(1).select("version").head()
    return int(newest["version"]) if newest else None


def read(spark: SparkSession, source: SourceConfig, version: int | None) -> DataFrame:
    """Return the source's rows, of one version where it has versions."""
    if source.query:
        return spark.sql(source.query)
    reader = spark.read if version is None else spark.read.option("versionAsOf", version)
    if source.table:
        return reader.table(source.table)
    reader = reader.option("header", True) if source.format == "csv" else reader
    return reader.format(str(source.format)).load(str(source.path))


def nearest_table(spark: SparkSession, source: SourceConfig) -> str:
    """Return a hint at the table whose name is nearest to one that does not exist, or nothing."""
    if not source.table or spark.catalog.tableExists(source.table):
        return ""
    return did_you_mean(source.table, [table.name for table in spark.catalog.listTables()])


def check_columns(frame: DataFrame, keys: Sequence[str], keep: Sequence[str]) -> None:
    """Pass if keys and kept columns exist and keys can be compared; raises SourceError naming every one that does not."""
    known = set(frame.columns)
    asked = [("source.keys", name) for name in keys] + [("target.keep", name) for name in keep]
    problems = [f"{where}: no column {name!r}{did_you_mean(name, known)}" for where, name in asked if name not in known]
    problems += [
        f"source.keys: {name!r} is of type {frame.schema[name].dataType.simpleString()}, which cannot be a key"
        for name in keys
        if name in known and isinstance(frame.schema[name].dataType, (MapType, VariantType, StructType))
    ]
    if problems:
        raise SourceError("\n  - ".join(["the source is not what the run file says", *problems]))


def input_columns(frame: DataFrame, columns: Mapping[str, str], task: Task) -> tuple[Mapping[str, Column], Mapping[str, DataType]]:
    """Return the task's inputs as columns, with their types; raises SourceError for one that is missing or of a wrong type."""
    accepted = {each.name: each.types for each in task.inputs}
    inputs: dict[str, Column] = {}
    types: dict[str, DataType] = {}
    problems = []
    for name, expression in columns.items():
        inputs[name] = F.col(f"`{expression}`") if expression in frame.columns else F.expr(expression)
        try:
            types[name] = frame.select(inputs[name].alias(name)).schema[name].dataType
        except AnalysisException as error:
            hint = did_you_mean(expression, frame.columns)
            problems.append(f"source.columns.{name}: {expression!r} is no column or expression of the source ({first_line(error)}){hint}")
            continue
        if types[name].typeName() not in accepted[name]:
            found = types[name].simpleString()
            problems.append(f"source.columns.{name}: expected {' or '.join(accepted[name])}, found {found} in {expression!r}")
    if problems:
        raise SourceError("\n  - ".join(["the source is not what the run file says", *problems]))
    return inputs, types
