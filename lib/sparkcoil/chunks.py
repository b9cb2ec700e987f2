"""From what is due to what is published: known predictions are copied, the rest is scored, chunk by chunk, each by one commit."""

import math
from collections.abc import Mapping

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkcoil import constraints, files, gates, receipt, rows, sink, staging, udf
from sparkcoil.artifact import LoggedModel
from sparkcoil.due import Due
from sparkcoil.lease import Lease
from sparkcoil.pacing import Chunk, Pace
from sparkcoil.pinned import Run
from sparkcoil.preflight import SAMPLE_ROWS
from sparkcoil.receipt import Receipt
from sparkcoil.report import Cleared, Clock, Measured, Progress
from sparkcoil.sections import BatchingConfig

# Fewer rows than this are not worth a task of their own; so many of one are long enough to be worth cutting up.
LEAST_TASK_ROWS = 64
LONG_TASK_ROWS = 1_000
WAVES = 3


def score_due(spark: SparkSession, this: Run, todo: Due, progress: Progress, *, clock: Clock, lease: Lease) -> None:
    """Score, stage and publish what is due, chunk by chunk or all at its end, until all is done or the error budget is exceeded."""
    batching = this.config.batching
    pace = Pace(progress.total, spark.sparkContext.defaultParallelism, batching.chunk_rows, batching.chunk_seconds)
    keyed = None if todo.keyed is None or todo.everything else todo.keyed.persist()
    waiting: list[Measured] = []
    try:
        with clock.stage("preflight"):
            function, progress.cleared = cleared(spark, this)
        chunk: Chunk | None = pace.first()
        while chunk is not None:
            with clock.stage("score") as taken, udf.window_of(spark, batching.window_rows):
                staged = staged_chunk(spark, this, todo, keyed, function, chunk)
                measured = staging.measure(staged, this.target.keys)
                progress.add(measured)
                seconds = taken()
            if progress.exceeded:
                return
            waiting.append(measured)
            if this.config.target.publish == "chunk" or chunk.is_last:
                with clock.stage("publish"):
                    publish(spark, this, todo, staged, waiting, progress, chunk, lease=lease)
            chunk = pace.after(chunk, seconds)
    finally:
        if keyed is not None:
            keyed.unpersist()


def staged_chunk(
    spark: SparkSession, this: Run, todo: Due, keyed: DataFrame | None, function: udf.ScoringFunction, chunk: Chunk
) -> DataFrame:
    """Return a chunk's ledger rows from the stage; what is known is copied, the rest is scored."""
    due_keys = None if keyed is None else rows.filter_chunk(keyed, chunk)
    chosen = rows.with_attempts(rows.filter_chunk(this.rows, chunk), due_keys, this.config.source.keys)
    recorded = scored_chunk(this, chosen, function, tasks(spark, this.config.batching, chunk))
    if todo.counts["held"] and todo.held is not None:
        recorded = recorded.unionByName(copied_chunk(this, chosen, todo.held))
    staged = staging.write_chunk(recorded, this.stage, this.target.schema, run_id=this.id, chunk=chunk.number)
    return constraints.with_violations(staged, this.conditions)


def cleared(spark: SparkSession, this: Run) -> tuple[udf.ScoringFunction, Cleared]:
    """Return the scorer as a function, and what the executors found when they tried it."""
    sample = files.with_contents(this.rows.limit(SAMPLE_ROWS), rows.INPUTS, this.roots).select(F.col(rows.INPUTS).alias("inputs"))
    return udf.scoring_function(spark, this.selection, this.config.batching, sample=sample, roots=this.roots)


def scored_chunk(this: Run, chosen: DataFrame, function: udf.ScoringFunction, partitions: int) -> DataFrame:
    """Return the ledger rows of what the model has to score, still to be computed; nothing is shuffled after the model."""
    keys, keep = this.config.source.keys, this.config.target.keep
    due_rows = files.with_contents(chosen.where("NOT __held"), rows.INPUTS, this.roots)
    evenly = rows.spread_evenly(due_rows, partitions)
    recorded, fixed = rows.with_record(evenly, function), constants(this.selection.logged, this.id)
    return rows.select_ledger(recorded, keys, keep, task=this.selection.task, constants=fixed)


def copied_chunk(this: Run, chosen: DataFrame, held: DataFrame) -> DataFrame:
    """Return the ledger rows of what the same model has been asked before, with what it said then."""
    known, fixed = rows.with_known(chosen.where("__held"), held), constants(this.selection.logged, this.id)
    return rows.select_copied(known, this.config.source.keys, this.config.target.keep, constants=fixed)


def publish(
    spark: SparkSession, this: Run, todo: Due, staged: DataFrame, waiting: list[Measured], progress: Progress, chunk: Chunk, *, lease: Lease
) -> None:
    """Put what is staged and waits into the target; the last commit of a run says that everything is scored."""
    if len(waiting) > 1:
        everything = staging.read_run(spark, this.stage, this.target.schema, run_id=this.id)
        staged = constraints.with_violations(everything, this.conditions)
    fitting = staged.where(~F.col(constraints.REFUSED)).select(*rows.quoted(this.target.schema.names))
    progress.shut = gates.shut(fitting, this.config.target.gates)
    if progress.shut:
        return
    lease.check()
    progress.commits += 1
    last = chunk.is_last and not todo.counts["gone"]
    note, count = said(this, todo, progress, last=last).note, sum(each.rows for each in waiting)
    transaction, replaces = f"sparkcoil-{this.id}-{chunk.number}", todo.counts["known"] > 0
    sink.publish(spark, this.target, fitting, transaction=transaction, note=note, replaces=replaces)
    version = sink.confirmed(spark, this.target, note, after=progress.version, rows=count)
    while waiting:
        progress.publish(waiting.pop(), version)


def leave(spark: SparkSession, this: Run, todo: Due, progress: Progress, *, clock: Clock, lease: Lease) -> None:
    """Remove or mark the rows whose key has left the source, where the run file says so; not past the error budget."""
    if not todo.counts["gone"] or progress.exceeded:
        return
    with clock.stage("publish"):
        lease.check()
        progress.commits += 1
        keys = this.rows.select(*rows.quoted(this.config.source.keys)).distinct()
        note = said(this, todo, progress, last=True).note
        sink.leave(spark, this.target, keys, transaction=f"sparkcoil-{this.id}-gone", note=note)
        progress.gone = todo.counts["gone"]
        progress.version = sink.confirmed(spark, this.target, note, after=progress.version, rows=progress.gone)


def said(this: Run, todo: Due, progress: Progress, *, last: bool) -> Receipt:
    """Return what the next commit says of the run."""
    if not last or progress.refused:
        return Receipt(this.id)
    return receipt.complete(this.id, this.mark, todo.version + progress.commits, todo.counts, this.source.version)


def tasks(spark: SparkSession, batching: BatchingConfig, chunk: Chunk) -> int:
    """Return how many tasks a chunk is cut into: as many as slots, and where it is long a few for each, to make up for a slow one."""
    slots = spark.sparkContext.defaultParallelism
    is_long = chunk.number > 0 or chunk.rows >= slots * LONG_TASK_ROWS
    return batching.partitions or max(1, min(slots * (WAVES if is_long else 1), math.ceil(chunk.rows / LEAST_TASK_ROWS)))


def constants(logged: LoggedModel, run_id: str) -> Mapping[str, Column]:
    """Return the ledger's columns that are the same for all rows of a run."""
    return {
        "model_uri": F.lit(logged.uri),
        "model_version": F.lit(logged.version).cast("string"),
        "model_digest": F.lit(logged.digest),
        "run_id": F.lit(run_id),
        "scored_at": F.current_timestamp(),
    }
