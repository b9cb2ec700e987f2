"""What Delta tables and Hadoop's file systems say of themselves: a table's identity, place and newest commit, a folder's files."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import Any

from delta.tables import DeltaTable
from pyspark.sql import Row, SparkSession
from pyspark.sql.types import ArrayType, DataType, MapType, StructType

# What is looked at of a commit, under the names of DESCRIBE HISTORY.
COMMIT = ("version", "operation", "userMetadata", "operationMetrics")
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
    recent = list(islice(takewhile_not(commits(table), changes_rows), RECENT))
    version, last = int(recent[0]["version"]), recent[-1]
    if not changes_rows(last):
        return Commit(version, version, None)
    return Commit(version, int(last["version"]), last["userMetadata"], counted(last))


def committed(table: DeltaTable, note: str, *, after: int) -> Written | None:
    """Return the newest commit after a version that carries a note, None where there is none."""
    newer = list(takewhile(lambda each: each["version"] > after, commits(table)))
    found = next((each for each in newer if each["userMetadata"] == note), None)
    if found is None:
        return None
    alone = not any(changes_rows(each) for each in newer if each["version"] < found["version"])
    return Written(int(found["version"]), counted(found), alone=alone)


def changes_rows(commit: Mapping[str, Any]) -> bool:
    """Tell whether a commit may have changed rows."""
    return commit["operation"] not in UPKEEP


def takewhile_not(commits: Iterable[Mapping[str, Any]], stops: Callable[[Mapping[str, Any]], bool]) -> Iterator[Mapping[str, Any]]:
    """Yield commits up to the first that stops, and that one."""
    for each in commits:
        yield each
        if stops(each):
            return


def commits(table: DeltaTable) -> Iterator[Mapping[str, Any]]:
    """Yield a table's commits, the newest first, each with its version, its operation, what its writer noted, and its metrics.

    Each is read from its own file, as it is asked for: DESCRIBE HISTORY is a Spark job at every look. What has no such file, since a
    catalog keeps it or the log was cleaned up, DESCRIBE HISTORY is asked for.
    """
    log: Any = table._jdt.deltaLog()
    folder, version = log.logPath().toString(), int(log.unsafeVolatileSnapshot().version())
    while commit_file(table, folder, version + 1) is not None:
        version += 1
    while version >= 0:
        info = commit_info(table, folder, version)
        if info is None:
            yield from (row.asDict() for row in table.history().select(*COMMIT).where(f"version <= {version}").collect())
            return
        yield {"version": version, **{name: info.get(name) for name in COMMIT[1:]}}
        version -= 1


def commit_file(table: DeltaTable, folder: str, version: int) -> tuple[Any, Any] | None:
    """Return the file of a commit with its file system, None where there is no such file."""
    system, path = file_system(table._spark, f"{folder}/{version:020}.json")
    return (system, path) if system.exists(path) else None


def commit_info(table: DeltaTable, folder: str, version: int) -> Mapping[str, Any] | None:
    """Return what a commit says of itself, in its first line as Delta writes it; None where it does not."""
    found = commit_file(table, folder, version)
    if found is None:
        return None
    jvm: Any = table._spark._jvm
    system, path = found
    reader = jvm.java.io.BufferedReader(jvm.java.io.InputStreamReader(system.open(path), "UTF-8"))
    try:
        info: Mapping[str, Any] | None = json.loads(reader.readLine() or "{}").get("commitInfo")
    finally:
        reader.close()
    return info if info and "operation" in info else None


def counted(commit: Mapping[str, Any] | Row) -> int | None:
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


def is_refused(name: str) -> bool:
    """Tell whether Spark's own catalog makes no table of a name; it says so only once the table's folder is there."""
    *catalog, table = parts_of(name)
    return (len(catalog) < 2 or catalog[0] == "spark_catalog") and not re.fullmatch(r"\w+", table)
