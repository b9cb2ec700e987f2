"""What has changed in a source since it was scored, by its change data feed: a rerun then reads the changes, and not all of the source."""

from collections.abc import Sequence
from dataclasses import dataclass

from py4j.protocol import Py4JError  # type: ignore[import-untyped]
from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from sparkcoil.receipt import Receipt
from sparkcoil.rows import quoted
from sparkcoil.sections import SourceConfig
from sparkcoil.source import PinnedSource

FEED = "delta.enableChangeDataFeed"
COMES = ("insert", "update_postimage")


@dataclass(frozen=True)
class Changes:
    """The rows of a source that are new or another since, as they are now, and how many rows it has in all."""

    rows: DataFrame
    total: int


def since(spark: SparkSession, source: SourceConfig, pinned: PinnedSource, told: Receipt, scored: DataFrame) -> Changes | None:
    """Return what has changed since a run that scored everything, held against the target's rows.

    None where the feed does not say it: it is off, or was; its files are gone; or a key may stand for two rows.
    """
    before = told.counts or {}
    if pinned.detail is None or pinned.detail.properties.get(FEED) != "true" or before.get("source") != before.get("keys"):
        return None
    if told.source is None or pinned.version is None or not told.source < pinned.version:
        return None
    try:
        feed = read(spark, source, told.source + 1, pinned.version)
        feed = feed.where(source.where) if source.where else feed  # so it is the feed of the rows that the condition lets in
        if is_unclear(feed, scored, source.keys):
            return None
        return Changes(newest(feed, source.keys), before["source"] + growth(feed))
    except (PySparkException, Py4JError):
        return None


def read(spark: SparkSession, source: SourceConfig, start: int, end: int) -> DataFrame:
    """Return the feed from one version to another."""
    reader = spark.read.format("delta").option("readChangeFeed", "true").option("startingVersion", start).option("endingVersion", end)
    return reader.table(source.table) if source.table else reader.load(str(source.path))


def newest(feed: DataFrame, keys: Sequence[str]) -> DataFrame:
    """Return the rows of the last version that changed each key, as they are since; a key that is gone has none."""
    last = F.max("_commit_version").over(Window.partitionBy(*quoted(keys)))
    rows = feed.withColumn("__last", last).where((F.col("_commit_version") == F.col("__last")) & comes())
    return rows.drop("__last", "_change_type", "_commit_version", "_commit_timestamp")


def growth(feed: DataFrame) -> int:
    """Return by how many rows the source has grown."""
    found = feed.agg(F.sum(step())).head()
    return int(found[0] or 0) if found is not None else 0


def is_unclear(feed: DataFrame, scored: DataFrame, keys: Sequence[str]) -> bool:
    """Tell whether a key has come once more often than it has gone though it was there, or went last and may yet be there.

    Two rows of the source have had such a key at a time, which only a look at the source can judge.
    """
    last = F.max("_commit_version") > F.coalesce(F.max(F.when(comes(), F.col("_commit_version"))), F.lit(-1))
    by_key = feed.groupBy(*quoted(keys)).agg(F.sum(step()).alias("__step"), last.alias("__gone"))
    twice = by_key.where("__step > 1 OR (__gone AND __step > 0)")
    known = by_key.where("__step > 0 OR (__gone AND __step = 0)").join(scored.select(*quoted(keys)), list(keys), "left_semi")
    return bool(twice.select(*quoted(keys)).union(known.select(*quoted(keys))).take(1))


def step() -> Column:
    """Return 1 for a change by which a row comes, -1 for one by which it goes."""
    return F.when(comes(), 1).otherwise(-1)


def comes() -> Column:
    """Tell whether a change is one by which a row comes."""
    return F.col("_change_type").isin(*COMES)
