"""Recordings and images on their way to the worker: what of a cell is sent, and what Spark reads for it from object stores.

Where a row names a file on a disk that executors see, its path is sent and the worker opens it: bytes cross only where they have to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType, DataType, StringType, StructType

from sparkcoil import roots
from sparkcoil.cells import MAX_CELL_BYTES
from sparkcoil.errors import SourceError, first_line
from sparkcoil.folders import with_empty_files
from sparkcoil.sections import SourceConfig

# By the contract's names of inputs: those that hold a file, or name one.
MEDIA = ("audio", "image")
GLOB = "*?[{"


def as_sent(column: Column, kind: DataType) -> Column:
    """Return a cell as cells.py reads it: text as bytes, and of a cell too large to be sent its size alone."""
    if isinstance(kind, BinaryType):
        return F.when(column.isNotNull(), F.struct(bounded(column).alias("bytes"), F.length(column).alias("size")))
    if isinstance(kind, StringType):
        text = column.cast("binary")
        return F.when(column.isNotNull(), F.struct(bounded(text).alias("path"), F.length(text).alias("size")))
    if isinstance(kind, StructType):
        sent = [of_field(column[each.name], each.dataType).alias(each.name) for each in kind.fields if each.name != "size"]
        size = F.length(column["bytes"]) if "bytes" in kind.names else F.lit(None).cast("int")
        return F.when(column.isNotNull(), F.struct(*sent, size.alias("size")))
    return column


def of_field(column: Column, kind: DataType) -> Column:
    """Return a field of a struct as it is sent."""
    if isinstance(kind, StringType):
        return column.cast("binary")
    return bounded(column) if isinstance(kind, BinaryType) else column


def bounded(column: Column) -> Column:
    """Return bytes, NULL where there are more than a worker takes."""
    return F.when(F.length(column) <= MAX_CELL_BYTES, column)


@dataclass(frozen=True)
class Crossing:
    """The inputs of a run as they are hashed, with their types, and those that are sent otherwise than as what they are."""

    inputs: Mapping[str, Column]
    types: Mapping[str, DataType]
    sent: Mapping[str, Column]


def crossing(
    spark: SparkSession, source: SourceConfig, frame: DataFrame, inputs: Mapping[str, Column], types: Mapping[str, DataType]
) -> Crossing:
    """Return how inputs cross: a file of a binaryFile source by its path, known by path, size and time: Spark need not read it."""
    named = [name for name, column in source.columns.items() if name in MEDIA and column.lower() == "content"]
    if source.format != "binaryFile" or not {"path", "content"} <= set(frame.columns):
        named = []
    identity = F.struct("path", "length", "modificationTime")
    kind = frame.select(identity.alias("file")).schema["file"].dataType if named else None
    path = F.struct(F.col("path").cast("binary").alias("path"))
    return Crossing(
        {**inputs, **dict.fromkeys(named, identity)},
        {**types, **{name: kind for name in named if kind is not None}},
        dict.fromkeys(named, path if sees(spark, source) else as_sent(F.col("content"), BinaryType())),
    )


def sees(spark: SparkSession, source: SourceConfig) -> bool:
    """Tell whether the source's files lie on a disk that the workers see too, under the same path."""
    configured = spark.sparkContext._jsc.hadoopConfiguration().get("fs.defaultFS") or "file:"
    return (roots.scheme(str(source.path)) or roots.scheme(configured)) == "file"


def declared_roots(source: SourceConfig) -> tuple[str, ...]:
    """Return the roots of a run as executors take them; a source that is files is one itself."""
    found = [*source.roots, *([before_glob(str(source.path))] if source.format == "binaryFile" else [])]
    return tuple(dict.fromkeys(map(roots.declared, found)))


def before_glob(path: str) -> str:
    """Return the folder below which all paths that a pattern matches lie; without a pattern, the path."""
    cut = min((path.find(each) for each in GLOB if each in path), default=len(path))
    return path if cut == len(path) else path[: path.rfind("/", 0, cut) + 1] or "."


def remote(declared: Sequence[str]) -> list[str]:
    """Return the roots whose files Spark reads, without those that lie under another."""
    found = sorted(each for each in declared if not roots.is_local(each))
    return [each for each in found if not any(each != other and each.startswith(other) for other in found)]


def check(spark: SparkSession, declared: Sequence[str]) -> None:
    """Pass if Spark can list every root whose files it has to read, and in local mode all others are there; raises SourceError."""
    for each in declared if str(spark.sparkContext.master).startswith("local") else ():
        if roots.is_local(each) and not Path(each).exists():
            raise SourceError(f"source.roots: {each}: there is no such folder")
    for each in remote(declared):
        try:
            listed(spark, [each])
        except Exception as error:
            raise SourceError(f"source.roots: {each}: Spark cannot list its files: {first_line(error)}") from error


def listed(spark: SparkSession, folders: Sequence[str]) -> DataFrame:
    """Return all files below folders with their length, but for empty ones."""
    return spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(list(folders))


def with_contents(rows: DataFrame, inputs: str, declared: Sequence[str]) -> DataFrame:
    """Put into the inputs the content of each file that Spark has to read, and its length; a row without one stays as it is."""
    folders = remote(declared)
    kind = rows.schema[inputs].dataType
    for name in MEDIA if folders else ():
        fields = fields_of(kind, name)
        if "path" in fields:
            given = F.col(inputs)[name]
            own = given["bytes"] if "bytes" in fields else F.lit(None).cast("binary")
            rows = rows.join(contents(rows.sparkSession, folders), given["path"].cast("string") == F.col("__path"), "left")
            filled = F.col(inputs).withField(f"{name}.bytes", F.coalesce(own, F.col("__content")))
            filled = filled.withField(f"{name}.size", F.coalesce(F.col("__length"), given["size"].cast("bigint")))
            rows = rows.withColumn(inputs, filled).drop("__path", "__length", "__content")
    return rows


def contents(spark: SparkSession, folders: Sequence[str]) -> DataFrame:
    """Return the content of each file below folders, NULL where a worker does not take so much: Spark then does not read it."""
    files = with_empty_files(listed(spark, folders))
    named = [F.col("path").alias("__path"), F.col("length").alias("__length")]
    small = files.where(F.col("length") <= MAX_CELL_BYTES).select(*named, F.col("content").alias("__content"))
    return small.union(files.where(F.col("length") > MAX_CELL_BYTES).select(*named, F.lit(None).cast("binary")))


def fields_of(kind: DataType, name: str) -> Sequence[str]:
    """Return the fields of an input that is a struct, none of another."""
    field = kind[name].dataType if isinstance(kind, StructType) and name in kind.names else None
    return field.names if isinstance(field, StructType) else ()
