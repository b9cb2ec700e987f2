"""What Delta tables and Hadoop's file systems say of themselves: a table's identity, place and newest commit, a folder's files."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from delta.tables import DeltaTable
from pyspark.sql import Row, SparkSession
from pyspark.sql.types import ArrayType, DataType, MapType, StructType

# Commits that leave the rows of a table as they are.
UPKEEP = frozenset({"OPTIMIZE", "VACUUM START", "VACUUM END"})
RECENT = 8
# Characters that Delta takes in a column's name only where it maps names to others.
UNFIT = set(" ,;{}()\n\t=")
# What an append, or else a MERGE, says of the rows that it wrote.
WRITTEN = (("numOutputRows",), ("numTargetRowsInserted", "numTargetRowsUpdated", "numTargetRowsDeleted"))


@dataclass(frozen=True)
class Detail:
    """A table's identity, which a table that is made anew under its name does not share, where it lies, and what it is made of."""

    id: str
    location: str
    properties: Mapping[str, str]
    schema: StructType


@dataclass(frozen=True)
class Commit:
    """A table's newest version, and of its newest commit that changed rows the version, what its writer noted, and its rows.

    `rows` is None where Delta does not count them.
    """

    version: int
    changed: int
    note: str | None
    rows: int | None = None


@dataclass(frozen=True)
class Written:
    """A commit that was found again: the version that it made, its rows, and whether nobody else has changed rows before it."""

    version: int
    rows: int | None
    alone: bool


def detail(table: DeltaTable) -> Detail:
    """Return what a table is; its schema has all that Delta notes of a column, which a DataFrame's has not.

    Read from the log's snapshot: DESCRIBE DETAIL counts the table's files too, for which Spark reads all of the log.
    """
    log: Any = table._jdt.deltaLog()
    metadata = json.loads(log.unsafeVolatileSnapshot().metadata().json())["metaData"]
    schema = StructType.fromJson(json.loads(metadata["schemaString"]))
    return Detail(metadata["id"], log.dataPath().toString(), metadata["configuration"], schema)


def newest(table: DeltaTable) -> Commit:
    """Return a table's newest commits in short."""
    recent = history(table, RECENT)
    changed = next((each for each in recent if each["operation"] not in UPKEEP), None)
    version = int(recent[0]["version"])
    if changed is None:
        return Commit(version, version, None)
    return Commit(version, int(changed["version"]), changed["userMetadata"], counted(changed))


def committed(table: DeltaTable, note: str, *, after: int) -> Written | None:
    """Return the newest commit after a version that carries a note, None where there is none."""
    for limit in (RECENT, None):  # all of the history, whose every commit Delta reads, only where others commit too
        newer = [each for each in history(table, limit) if each["version"] > after]
        found = next((each for each in newer if each["userMetadata"] == note), None)
        if found is not None:
            before = [each for each in newer if each["version"] < found["version"] and each["operation"] not in UPKEEP]
            return Written(int(found["version"]), counted(found), alone=not before)
    return None


def history(table: DeltaTable, limit: int | None) -> list[Row]:
    """Return a table's newest commits, the newest first; all of them without a limit."""
    return table.history(limit).select("version", "operation", "userMetadata", "operationMetrics").collect()


def counted(commit: Row) -> int | None:
    """Return how many rows a commit wrote, or removed, where Delta counts them."""
    metrics = commit["operationMetrics"] or {}
    named = [metrics[name] for name in WRITTEN[commit["operation"] == "MERGE"] if name in metrics]
    return sum(map(int, named)) if named else None


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


def needs_mapping(kind: DataType) -> bool:
    """Tell whether a type has a name in it that Parquet does not take, such as one of a CSV file's header with a blank in it."""
    if isinstance(kind, StructType):
        return any(UNFIT & set(each.name) or needs_mapping(each.dataType) for each in kind)
    if isinstance(kind, MapType):
        return needs_mapping(kind.keyType) or needs_mapping(kind.valueType)
    return isinstance(kind, ArrayType) and needs_mapping(kind.elementType)


def parts_of(name: str) -> list[str]:
    """Return the parts of a table's name as SQL writes it, without the backticks that are around some."""
    return [quoted.replace("``", "`") if quoted else plain for quoted, plain in re.findall(r"`((?:[^`]|``)+)`|([^.`]+)", name)]
