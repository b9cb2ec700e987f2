"""What Delta tables and Hadoop's file systems say of themselves: a table's identity, place and newest commit, a folder's files."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from delta.tables import DeltaTable
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

# Commits that leave the rows of a table as they are.
UPKEEP = frozenset({"OPTIMIZE", "VACUUM START", "VACUUM END"})
RECENT = 8
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
    """A table's newest version, and of its newest commit that changed rows the version and what its writer noted."""

    version: int
    changed: int
    note: str | None


def detail(table: DeltaTable) -> Detail:
    """Return what a table is; its schema has all that Delta notes of a column, which a DataFrame's has not."""
    found = table.detail().select("id", "location", "properties").head()
    assert found is not None
    snapshot: Any = table._jdt.deltaLog().unsafeVolatileSnapshot()
    schema = StructType.fromJson(json.loads(snapshot.schema().json()))
    return Detail(str(found["id"]), str(found["location"]), dict(found["properties"]), schema)


def newest(table: DeltaTable) -> Commit:
    """Return a table's newest commits in short; its history has the newest first."""
    recent = table.history(RECENT).select("version", "operation", "userMetadata").collect()
    changed = next((each for each in recent if each["operation"] not in UPKEEP), None)
    version = int(recent[0]["version"])
    return Commit(version, int(changed["version"]), changed["userMetadata"]) if changed else Commit(version, version, None)


def committed(table: DeltaTable, note: str, *, after: int) -> tuple[int, int | None] | None:
    """Return the newest version after another that carries a note, and how many rows its commit wrote where Delta counts them."""
    since = (F.col("version") > after) & (F.col("userMetadata") == note)
    for history in (table.history(RECENT), table.history()):  # all of it where others commit too
        found = history.where(since).orderBy(F.col("version").desc()).select("version", "operation", "operationMetrics").head()
        if found is not None:
            counted = [found[2][name] for name in WRITTEN[found[1] == "MERGE"] if name in (found[2] or {})]
            return int(found[0]), sum(map(int, counted)) if counted else None
    return None


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
