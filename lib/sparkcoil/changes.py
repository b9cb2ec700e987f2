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
        if may_repeat(feed, scored, source.keys):
            return None
        return Changes(newest(feed, source), before["source"] + growth(feed, source))
    except (PySparkException, Py4JError):
        return None


def read(spark: SparkSession, source: SourceConfig, start: int, end: int) -> DataFrame:
    """Return the feed from one version to another."""
    reader = spark.read.format("delta").option("readChangeFeed", "true").option("startingVersion", start).option("endingVersion", end)
    return reader.table(source.table) if source.table else reader.load(str(source.path))


def newest(feed: DataFrame, source: SourceConfig) -> DataFrame:
    """Return the rows of the last version that changed each key, as they are since; a key that is gone has none."""
    last = F.max("_commit_version").over(Window.partitionBy(*quoted(source.keys)))
    rows = feed.withColumn("__last", last).where((F.col("_commit_version") == F.col("__last")) & comes())
    there = rows.where(source.where) if source.where else rows
    return there.drop("__last", "_change_type", "_commit_version", "_commit_timestamp")


def growth(feed: DataFrame, source: SourceConfig) -> int:
    """Return by how many rows the source has grown."""
    counted = feed.where(source.where) if source.where else feed
    found = counted.agg(F.sum(step())).head()
    return int(found[0] or 0) if found is not None else 0


def may_repeat(feed: DataFrame, scored: DataFrame, keys: Sequence[str]) -> bool:
    """Tell whether a key has come that has not gone and was there before: two rows of the source may have it."""
    grown = feed.groupBy(*quoted(keys)).agg(F.sum(step()).alias("__step")).where("__step > 0")
    twice = grown.where("__step > 1").select(*quoted(keys))
    known = grown.join(scored.select(*quoted(keys)), list(keys), "left_semi").select(*quoted(keys))
    return bool(twice.union(known).take(1))


def step() -> Column:
    """Return 1 for a change by which a row comes, -1 for one by which it goes."""
    return F.when(comes(), 1).otherwise(-1)


def comes() -> Column:
    """Tell whether a change is one by which a row comes."""
    return F.col("_change_type").isin(*COMES)
