"""Folders of files as a source: each file is a row, also one that is empty, which Spark would leave out without a word."""

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import LongType, StringType, StructField, StructType

# As Hadoop says a file's status: asked for in one text, since each single question to the JVM would take a fraction of a millisecond.
EMPTY = re.compile(r"\bpath=((?:(?!; isDirectory=).)*); isDirectory=false; length=0;.*?\bmodification_time=(\d+);", re.DOTALL)
OF_A_FILE = ("path", "modificationTime", "length", "content")
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


def with_empty_files(frame: DataFrame) -> DataFrame:
    """Return what Spark makes of a folder as `binaryFile`, with a row of no bytes for each file that is empty."""
    found = empty_files(frame)
    if not found:
        return frame
    parts = [name for name in frame.columns if name not in OF_A_FILE]
    fields = [
        StructField("__path", StringType()),
        StructField("__millis", LongType()),
        *(StructField(each, StringType()) for each in parts),
    ]
    told = [(path, millis, *(part_of(path, each) for each in parts)) for path, millis in found]
    rows = frame.sparkSession.createDataFrame(told, StructType(fields))
    made = {"path": F.col("__path"), "modificationTime": F.timestamp_millis("__millis"), "length": F.lit(0), "content": F.lit(b"")}
    columns = ((each, made.get(each.name, F.col(f"`{each.name}`"))) for each in frame.schema)
    return frame.union(rows.select(*(column.cast(each.dataType).alias(each.name) for each, column in columns)))


def empty_files(frame: DataFrame) -> Sequence[tuple[str, int]]:
    """Return the path of each empty file in a folder, and when it was modified, in milliseconds."""
    folder: Any = frame._jdf.queryExecution().analyzed().relation().location()
    every = folder.allFiles()
    directories = folder.listFiles(every.empty(), every.empty())
    read = sum(directories.apply(i).files().size() for i in range(directories.size()))
    if every.size() == read:
        return ()
    return [(path, int(millis)) for path, millis in EMPTY.findall(every.mkString("\n"))]


def part_of(path: str, name: str) -> str | None:
    """Return the value that a file's folders give to a column, None where they give none."""
    found = re.search(f"/{re.escape(name)}=([^/]*)/", path)
    value = unquote(found[1]) if found else NO_VALUE
    return None if value == NO_VALUE else value
