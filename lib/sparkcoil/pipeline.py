"""One run from start to end. Read `run` first: each name in it is a module, or a stage below it."""

import math
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkcoil import answers, due, files, lease, report, rows, sink, source, tracking, udf
from sparkcoil.artifact import LoggedModel
from sparkcoil.config import BatchingConfig, RunConfig
from sparkcoil.due import Due
from sparkcoil.errors import BudgetExceeded, ConfigError, TargetError
from sparkcoil.preflight import SAMPLE_ROWS
from sparkcoil.report import Clock, Progress, RunReport
from sparkcoil.selection import Selection, select
from sparkcoil.sink import Target
from sparkcoil.source import PinnedSource

DEFAULT_CHUNK_ROWS = 200_000
# Fewer rows than this are not worth a task of their own.
LEAST_PARTITION_ROWS = 64


@dataclass(frozen=True)
class Run:
    """What a run has fixed before its first row; nothing of it changes while the run goes on."""

    id: str
    config: RunConfig
    selection: Selection
    source: PinnedSource
    target: Target
    rows: DataFrame
    roots: tuple[str, ...]


def run(spark: SparkSession, config: RunConfig, *, retry_failed: bool = False) -> RunReport:
    """Score what is due of a source into its target, and return the report of it.

    Raises ConfigError, RefusedError or TargetBusy before anything is scored, and BudgetExceeded, which carries the report,
    before anything is published that would break the error budget.
    """
    clock = Clock()
    with clock.stage("prepare"):
        this = prepared(spark, config)
    with lease.held(spark, sink.location(spark, this.target), this.id) as alone:
        with clock.stage("plan"):
            if alone:
                sink.clear_stage(spark, this.target)  # a killed run leaves its stage behind
            todo = find_due(spark, this, retry_failed=retry_failed)
            sink.create(spark, this.target)
            if todo.counts["due"] and source.moves(config.source, this.source.version):
                this, todo = fixed(spark, this, todo, retry_failed=retry_failed)
        progress = Progress(total=todo.counts["due"], allowed=config.rows.max_failed_share)
        if progress.total:
            score_chunks(spark, this, todo, progress, clock=clock, alone=alone)
        write_answers(spark, this, progress, clock)
        finished = finish(spark, this, todo, progress, clock)
    if progress.exceeded:
        raise BudgetExceeded(f"rows.max_failed_share: {progress.sentence()}", finished)
    return finished


def prepared(spark: SparkSession, config: RunConfig) -> Run:
    """Return the run with its model, source and target pinned and checked; raises before anything is written."""
    if not isinstance(config, RunConfig):
        raise ConfigError("run()", [f"config: expected a RunConfig, found {type(config).__name__}; load_config(path) reads a run file"])
    selection = select(config.model, name=config.name, task=config.task, columns=config.source.columns)
    pinned = source.pin(spark, config.source)
    keys, keep = config.source.keys, config.target.keep
    inputs, types = source.checked_inputs(pinned.frame, keys, keep, columns=config.source.columns, task=selection.task)
    target = sink.expected(pinned.frame, keys, config.target, selection.task, selection.logged.provenance)
    sink.check(spark, target)
    refuse_source(spark, target, pinned)
    answers.check(spark, config, target, selection.task)
    roots = files.declared_roots(config.source)
    files.check(spark, roots)
    crossing = files.crossing(spark, config.source, pinned.frame, inputs, types)
    selected = rows.select_rows(pinned.frame, keys, keep, **vars(crossing), salt=selection.fingerprint)
    return Run(uuid.uuid4().hex, config, selection, pinned, target, selected, roots)


def refuse_source(spark: SparkSession, target: Target, pinned: PinnedSource) -> None:
    """Pass unless the target is the source itself, whose predictions would be overwritten; raises TargetError."""
    if pinned.table is not None and sink.exists(spark, target) and sink.place(sink.opened(spark, target)) == sink.place(pinned.table):
        raise TargetError(f"target: {target.name} is the source itself; score into another table")


def find_due(spark: SparkSession, this: Run, *, retry_failed: bool) -> Due:
    """Return what is due, held against the target as it is now."""
    at = sink.version(spark, this.target) if sink.exists(spark, this.target) else None
    scored = None if at is None else sink.read(spark, this.target, at)
    return due.find(this.rows, scored, this.config.source.keys, model_digest=this.selection.logged.digest, retry_failed=retry_failed)


def fixed(spark: SparkSession, this: Run, todo: Due, *, retry_failed: bool) -> tuple[Run, Due]:
    """Return the run over a copy of its due rows, and what is due of them: each chunk reads the source anew, which may have changed."""
    due_rows = this.rows if todo.everything else rows.filter_due(this.rows, todo.keyed, this.config.source.keys)
    copied = replace(this, rows=sink.snapshot(spark, this.target, due_rows, run_id=this.id))
    found = find_due(spark, copied, retry_failed=retry_failed)
    counts = {**found.counts, **{name: todo.counts[name] for name in ("source", "keys") if not todo.everything}}
    return copied, Due(found.keyed, counts)


def score_chunks(spark: SparkSession, this: Run, todo: Due, progress: Progress, *, clock: Clock, alone: bool) -> None:
    """Score, stage and publish what is due, chunk by chunk, until all is done or the error budget is exceeded."""
    chunks = math.ceil(progress.total / (this.config.batching.chunk_rows or DEFAULT_CHUNK_ROWS))
    keyed = None if todo.everything else todo.keyed.persist()
    # Without a lease, or over rows that are there already, only MERGE is safe.
    replaces = not alone or todo.counts["known"] > 0
    try:
        with clock.stage("preflight"):
            sample = files.with_contents(this.rows.limit(SAMPLE_ROWS), rows.INPUTS, this.roots).select(F.col(rows.INPUTS).alias("inputs"))
            function, progress.cleared = udf.scoring_function(spark, this.selection, this.config.batching, sample=sample, roots=this.roots)
        for chunk in range(chunks):
            with clock.stage("score"), udf.window_of(spark, this.config.batching.window_rows):
                recorded = scored_chunk(spark, this, keyed, function, chunk=chunk, chunks=chunks, size=progress.total // chunks)
                staged = sink.stage(spark, this.target, recorded, run_id=this.id, chunk=chunk)
                progress.add(**sink.measure(staged, this.target))
            if progress.exceeded:
                break
            with clock.stage("publish"):
                sink.publish(spark, this.target, staged, transaction=f"sparkcoil-{this.id}-{chunk}", replaces=replaces)
    finally:
        sink.clear_stage(spark, this.target, this.id)
        if keyed is not None:
            keyed.unpersist()


def scored_chunk(
    spark: SparkSession, this: Run, keyed: DataFrame | None, function: udf.ScoringFunction, *, chunk: int, chunks: int, size: int
) -> DataFrame:
    """Return one chunk's ledger rows, still to be computed; nothing is shuffled after the model."""
    keys, keep = this.config.source.keys, this.config.target.keep
    chosen = rows.filter_chunk(this.rows, chunk, chunks)
    chosen = rows.with_attempts(chosen, None if keyed is None else rows.filter_chunk(keyed, chunk, chunks), keys)
    chosen = files.with_contents(chosen, rows.INPUTS, this.roots)
    evenly = rows.spread_evenly(chosen, partitions(spark, this.config.batching, size))
    recorded, fixed = rows.with_record(evenly, function), constants(this.selection.logged, this.id)
    return rows.select_ledger(recorded, keys, keep, task=this.selection.task, constants=fixed)


def partitions(spark: SparkSession, batching: BatchingConfig, size: int) -> int:
    """Return how many tasks a chunk is cut into: a few for each slot, so that a slow one is made up for by the others."""
    slots = spark.sparkContext.defaultParallelism
    return batching.partitions or max(1, min(3 * slots, math.ceil(size / LEAST_PARTITION_ROWS)))


def constants(logged: LoggedModel, run_id: str) -> Mapping[str, Column]:
    """Return the ledger's columns that are the same for all rows of a run."""
    return {
        "model_uri": F.lit(logged.uri),
        "model_version": F.lit(logged.version).cast("string"),
        "model_digest": F.lit(logged.digest),
        "run_id": F.lit(run_id),
        "scored_at": F.current_timestamp(),
    }


def write_answers(spark: SparkSession, this: Run, progress: Progress, clock: Clock) -> None:
    """Write the file of answers where one is asked for and is not what the prediction table has; not past the error budget."""
    path = this.config.target.jsonl
    if path is None or progress.exceeded or not (progress.total or answers.is_due(spark, this.target, path)):
        return
    with clock.stage("answers"):
        answers.write(spark, this.target, this.source.frame, task=this.selection.task.name, path=path)


def finish(spark: SparkSession, this: Run, todo: Due, progress: Progress, clock: Clock) -> RunReport:
    """Return the run's report, logged as an MLflow run unless nothing was due."""
    logged = this.selection.logged
    jsonl = {"jsonl": this.config.target.jsonl} if this.config.target.jsonl else {}
    with clock.stage("report"):
        published = sink.counts(spark, this.target, this.id) if progress.total else {}
        described = {
            "name": this.config.name,
            "run_id": this.id,
            "task": this.selection.task.name,
            "options": this.selection.plain_options,
            "options_from": {**this.selection.effective.origins},
            "options_ignored": {**this.selection.effective.ignored},
            "source": {"name": this.source.name, "version": this.source.version},
            "target": {"name": this.target.name, "version": sink.version(spark, this.target), **jsonl},
            "model": {"uri": logged.uri, "version": logged.version, "digest": logged.digest, "trusted": this.selection.lifted},
        }
    finished = report.finished(described, todo.counts, published, progress, clock)
    if progress.total:
        tracking.log_run(finished, this.config, logged)
    return finished
