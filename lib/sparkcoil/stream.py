"""A run that goes on: Structured Streaming says which keys of the source are new or changed, and what is due of them is scored.

What is due is judged against the target, never by the checkpoint: where that is lost, all keys are looked at again, and none is
skipped or scored twice.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery
from pyspark.sql.streaming.readwriter import DataStreamReader

from sparkcoil import display, pinned, remedies, sink
from sparkcoil.config import RunConfig
from sparkcoil.display import Show
from sparkcoil.errors import SourceError
from sparkcoil.pipeline import run
from sparkcoil.report import RunReport
from sparkcoil.rows import quoted

# Beside the stage, in a folder that Delta's readers do not look into and no run clears.
CHECKPOINT = "_sparkcoil_checkpoint"
Reported = Callable[[RunReport], None]


def run_stream(
    spark: SparkSession,
    config: RunConfig,
    *,
    reported: Reported,
    progress: str | Show | None = None,
    status_file: str | Path | None = None,
) -> RunReport:
    """Score what is due of a source for as long as its stream goes on, and return the last report; each one is `reported`.

    `progress` and `status_file` are those of `run`, for each run of the stream; the file says how the stream ended, not each run.
    With `mode: available_now` that is until all that the source has now is scored. Raises what `run` raises.
    """
    reports: list[RunReport] = []
    failures: list[BaseException] = []

    def noted(report: RunReport) -> None:
        reports.append(report)
        reported(report)

    shown = [*display.progress_shows(progress), *([display.one_of_many(display.file(Path(status_file)))] if status_file else [])]
    scoring = partial(run, progress=display.together(shown) if shown else "none")
    query = start(spark, config, scoring, noted, failures.append)
    try:
        query.awaitTermination()
    except Exception as error:
        ended = failures[-1] if failures else error
        if status_file:
            display.end(Path(status_file), getattr(ended, "exit_code", 1), type(ended).__name__)
        raise ended from None
    if not reports:
        noted(scoring(spark, config))
    if status_file:
        display.end(Path(status_file), 0, None)
    return reports[-1]


def start(
    spark: SparkSession, config: RunConfig, scoring: Callable[..., RunReport], reported: Reported, failed: Callable[[BaseException], None]
) -> StreamingQuery:
    """Return the started stream; raises what `run` raises before its first row."""
    this = pinned.prepared(spark, config)
    if this.source.detail is None:
        raise SourceError(f"source: {this.source.name}: mode: {config.mode} asks for a Delta table")
    with remedies.refusing(f"target: {this.target.name}"):
        sink.create(spark, this.target)
    # Aliases are resolved once, for as long as the stream goes on.
    uris = {"model": this.selection.logged.uri, **({"challenger": this.challenger.logged.uri} if this.challenger else {})}
    fixed = config.model_copy(update={name: getattr(config, name).model_copy(update={"uri": uri}) for name, uri in uris.items()})

    def scored(changed: DataFrame, number: int) -> None:
        try:
            reported(scoring(changed.sparkSession, fixed, among=changed.distinct()))
        except BaseException as error:
            failed(error)
            raise

    keys = changes(spark, config, this.source.detail.properties).select(*quoted(config.source.keys))
    writer = keys.writeStream.queryName(config.name).foreachBatch(scored)
    writer = writer.option("checkpointLocation", config.stream.checkpoint or f"{this.location}/{CHECKPOINT}")
    every: dict[str, Any] = (
        {"availableNow": True} if config.mode == "available_now" else {"processingTime": f"{config.stream.every:g} seconds"}
    )
    return writer.trigger(**every).start()


def changes(spark: SparkSession, config: RunConfig, properties: Mapping[str, str]) -> DataFrame:
    """Return the source as a stream: of its change data feed where it has one, else of its files, which a change writes anew."""
    reader: DataStreamReader = spark.readStream.format("delta")
    feed = properties.get("delta.enableChangeDataFeed") == "true"
    reader = reader.option("readChangeFeed", "true") if feed else reader.option("ignoreChanges", "true")
    stream = reader.table(config.source.table) if config.source.table else reader.load(str(config.source.path))
    return stream.where("_change_type IN ('insert', 'update_postimage')") if feed else stream
