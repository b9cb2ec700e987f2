"""From what is due to what is published: known predictions are copied, the rest is scored, chunk by chunk, each by one commit."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkcoil import comparison, constraints, contest, files, language, noting, quality, receipt, remedies, rows, sink, staging, udf
from sparkcoil.artifact import LoggedModel
from sparkcoil.due import Due
from sparkcoil.lease import Lease
from sparkcoil.pacing import Chunk, Pace
from sparkcoil.pinned import Run
from sparkcoil.preflight import SAMPLE_ROWS
from sparkcoil.rates import Cleared
from sparkcoil.receipt import Receipt
from sparkcoil.report import Clock, Progress
from sparkcoil.sections import BatchingConfig

# Fewer rows than this are not worth a task of their own; so many of one are long enough to be worth cutting up.
LEAST_TASK_ROWS = 64
LONG_TASK_ROWS = 1_000
WAVES = 3


@dataclass(frozen=True)
class Work:
    """A run under way: what is due of it, how far it is, since when, and what it holds its target by."""

    run: Run
    todo: Due
    progress: Progress
    clock: Clock
    lease: Lease


def score_due(spark: SparkSession, work: Work) -> None:
    """Score, stage and publish what is due, chunk by chunk or all at its end, until all is done or the error budget is exceeded."""
    todo, progress, batching = work.todo, work.progress, work.run.config.batching
    pace = Pace(progress.total, spark.sparkContext.defaultParallelism, batching.chunk_rows, batching.chunk_seconds)
    chunk: Chunk | None = pace.first()
    keyed = None if todo.keyed is None or todo.everything else todo.keyed
    if keyed is not None and chunk is not None and not chunk.is_last:  # each chunk looks into it
        keyed.persist()
    try:
        with work.clock.stage("preflight"):
            function, progress.cleared = cleared(spark, work.run)
        while chunk is not None:
            progress.chunk = chunk
            with remedies.refused_by_workers(), work.clock.stage("score") as taken, udf.window_of(spark, batching.window_rows):
                staged = staged_chunk(spark, work, keyed, function, chunk)
                progress.add(staging.measure(staged, work.run.target.keys))
                if work.run.challenger:
                    pairs = comparison.pairs(staged, work.run.selection.task)
                    progress.compared = contest.merged([*progress.compared, *pairs])
                seconds = taken()
            if chunk.is_last:
                staging.clear(spark, work.run.location, but=work.run.stage, run_id=work.run.id)  # all of it is in this run's own stage now
            if progress.exceeded:
                return
            if work.run.config.target.publish == "chunk" or chunk.is_last:
                with work.clock.stage("publish"):
                    publish(spark, work, staged, chunk)
            chunk = pace.after(chunk, seconds)
    finally:
        if keyed is not None:
            keyed.unpersist()


def staged_chunk(spark: SparkSession, work: Work, keyed: DataFrame | None, function: udf.ScoringFunction, chunk: Chunk) -> DataFrame:
    """Return a chunk's ledger rows from the stage; what is known is copied, the rest is scored."""
    run, todo = work.run, work.todo
    due_keys = None if keyed is None else rows.filter_chunk(keyed, chunk)
    chosen = rows.with_attempts(rows.filter_chunk(run.rows, chunk), due_keys, run.config.source.keys)
    recorded = scored_chunk(run, chosen, function, tasks(spark, run.config.batching, chunk))
    if todo.counts["held"] and todo.held is not None:
        recorded = recorded.unionByName(copied_chunk(run, chosen, todo.held), allowMissingColumns=True)
    staged = staging.write_chunk(recorded, run.stage, run.target.schema, run_id=run.id, chunk=chunk.number)
    return constraints.with_violations(staged, run.conditions)


def cleared(spark: SparkSession, run: Run) -> tuple[udf.ScoringFunction, Cleared]:
    """Return the scorer as a function, and what the executors found when they tried it."""
    gates = run.config.gates
    if gates.language:
        language.check(spark, run.config.name, gates.language)
    sample = files.with_contents(run.rows.limit(SAMPLE_ROWS), rows.INPUTS, run.roots).select(F.col(rows.INPUTS).alias("inputs"))
    return udf.scoring_function(
        spark,
        run.selection,
        run.config.batching,
        sample=sample,
        roots=run.roots,
        challenger=run.challenger,
        known_answers=gates.known_answers,
    )


def scored_chunk(run: Run, chosen: DataFrame, function: udf.ScoringFunction, partitions: int) -> DataFrame:
    """Return the ledger rows of what the model has to score, still to be computed; nothing is shuffled after the model."""
    keys, keep = run.config.source.keys, run.config.target.keep
    due_rows = files.with_contents(chosen.where("NOT __held"), rows.INPUTS, run.roots)
    evenly = rows.spread_evenly(due_rows, partitions)
    recorded = rows.with_record(evenly, function, challenged=run.challenged)
    fixed = constants(run.selection.logged, run.id)
    beside = constants(run.challenger.logged, run.id) if run.challenger else None
    return rows.select_ledger(recorded, keys, keep, task=run.selection.task, constants=fixed, challenger=beside)


def copied_chunk(run: Run, chosen: DataFrame, held: DataFrame) -> DataFrame:
    """Return the ledger rows of what the same model has been asked before, with what it said then."""
    known, fixed = rows.with_known(chosen.where("__held"), held), constants(run.selection.logged, run.id)
    return rows.select_copied(known, run.config.source.keys, run.config.target.keep, constants=fixed)


def publish(spark: SparkSession, work: Work, staged: DataFrame, chunk: Chunk) -> None:
    """Put what is staged and waits into the target, unless a gate is shut; the last commit of a run says that everything is scored."""
    run, progress = work.run, work.progress
    if len(progress.waiting) > 1:
        everything = staging.read_run(spark, run.stage, run.target.schema, run_id=run.id, chunks=chunk.number + 1)
        staged = constraints.with_violations(everything, run.conditions)
    fitting = staged.where(~F.col(constraints.REFUSED)).select(*rows.quoted(run.target.schema.names))
    progress.judged = quality.judged(fitting, run.config.gates, run.selection.task, scored=lambda: sink.read(spark, run.target))
    shut = (quality.shut(fitting, run.config.target.gates), *(each.said for each in progress.judged if not each.holds))
    progress.shut = "; ".join(filter(None, shut)) or None
    if progress.shut:
        return
    count, transaction = sum(each.rows for each in progress.waiting), f"sparkcoil-{run.id}-{chunk.number}"
    is_last = chunk.is_last and not work.todo.counts["gone"]
    note = noting.note(spark, run, said(work, rows=count, last=is_last), progress, work.clock, is_last=is_last)
    # Only a lock keeps every other run from a commit that is on its way.
    replaces = work.todo.counts["known"] > 0 or not work.lease.exclusive
    sink.publish(spark, run.target, fitting, transaction=transaction, note=note, replaces=replaces)
    confirm(spark, work, note, count)
    progress.publish()


def leave(spark: SparkSession, work: Work) -> None:
    """Remove or mark the rows whose key has left the source, where the run file says so; not past the error budget."""
    run, gone = work.run, work.todo.counts["gone"]
    if not gone or work.progress.exceeded:
        return
    with work.clock.stage("publish"):
        keys = run.rows.select(*rows.quoted(run.config.source.keys)).distinct()
        note = noting.note(spark, run, said(work, rows=gone, last=True), work.progress, work.clock, is_last=True, gone=gone)
        sink.leave(spark, run.target, keys, transaction=f"sparkcoil-{run.id}-gone", note=note)
        confirm(spark, work, note, gone)
        work.progress.gone = gone


def said(work: Work, *, rows: int, last: bool) -> Receipt:
    """Return what the next commit says of the run, which has to hold its target for it; raises TargetBusy where it does not."""
    work.lease.check()
    work.progress.commits += 1
    run, progress = work.run, work.progress
    if not last or progress.refused or progress.disturbed:
        return Receipt(run.id)
    return receipt.complete(run.id, run.mark, progress.version + 1, work.todo.counts, source=run.source.version, rows=rows)


def confirm(spark: SparkSession, work: Work, note: str, count: int) -> None:
    """Note the commit that holds so many rows; raises SparkcoilError where it is not there."""
    found = sink.confirmed(spark, work.run.target, note, after=work.progress.version, rows=count)
    work.progress.commit(found.version, alone=found.alone)


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
