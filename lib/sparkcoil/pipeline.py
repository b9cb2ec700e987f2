"""One run from start to end. Read `run` first: each name in it is a module, or a stage below it."""

import math
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkcoil import answers, due, files, lease, receipt, report, rows, sink, source, staging, tracking, udf
from sparkcoil.artifact import LoggedModel
from sparkcoil.config import BatchingConfig, RunConfig
from sparkcoil.due import Due
from sparkcoil.errors import BudgetExceeded, ConfigError, TargetError
from sparkcoil.preflight import SAMPLE_ROWS
from sparkcoil.receipt import Receipt
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
    location: str
    rows: DataFrame
    roots: tuple[str, ...]
    mark: str | None


def run(spark: SparkSession, config: RunConfig, *, retry_failed: bool = False) -> RunReport:
    """Score what is due of a source into its target, and return the report of it.

    Raises ConfigError, RefusedError or TargetBusy before anything is scored, and BudgetExceeded, which carries the report,
    before anything is published that would break the error budget.
    """
    clock = Clock()
    with clock.stage("prepare"):
        this = prepared(spark, config)
    with lease.held(spark, this.location, this.id) as alone:
        with clock.stage("plan"):
            if alone:
                staging.clear(spark, this.location)  # a killed run leaves its stage behind
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
    found = sink.check(spark, target)
    location = sink.location(spark, target, found)
    if found and pinned.detail and found.location == pinned.detail.location:
        raise TargetError(f"target: {target.name} is the source itself; score into another table")
    answers.check(spark, config, location, selection.task)
    roots = files.declared_roots(config.source)
    files.check(spark, roots)
    crossing = files.crossing(spark, config.source, pinned.frame, inputs, types)
    selected = rows.select_rows(pinned.frame, keys, keep, **vars(crossing), salt=selection.fingerprint)
    mark = receipt.mark_of(spark, config.source, pinned, how=selection.fingerprint, digest=selection.logged.digest)
    return Run(uuid.uuid4().hex, config, selection, pinned, target, location, selected, roots, mark)


def find_due(spark: SparkSession, this: Run, *, retry_failed: bool) -> Due:
    """Return what is due, held against the target as it is now; with its last run's receipt no row is looked at."""
    commit = sink.newest(spark, this.target)
    known = None if retry_failed else receipt.counts_of(commit, this.mark)
    if known is not None and commit is not None:
        return Due(None, known, commit.version)
    scored = None if commit is None else sink.read(spark, this.target, commit.version)
    keys, digest = this.config.source.keys, this.selection.logged.digest
    return due.find(this.rows, scored, keys, model_digest=digest, retry_failed=retry_failed, version=commit.version if commit else 0)


def fixed(spark: SparkSession, this: Run, todo: Due, *, retry_failed: bool) -> tuple[Run, Due]:
    """Return the run over a copy of its due rows, and what is due of them: each chunk reads the source anew, which may have changed."""
    due_rows = this.rows if todo.keyed is None or todo.everything else rows.filter_due(this.rows, todo.keyed, this.config.source.keys)
    copied = replace(this, rows=staging.write_rows(due_rows, this.location, run_id=this.id))
    found = find_due(spark, copied, retry_failed=retry_failed)
    counts = {**found.counts, **{name: todo.counts[name] for name in ("source", "keys") if not todo.everything}}
    return copied, replace(found, counts=counts)


def score_chunks(spark: SparkSession, this: Run, todo: Due, progress: Progress, *, clock: Clock, alone: bool) -> None:
    """Score, stage and publish what is due, chunk by chunk, until all is done or the error budget is exceeded."""
    chunks = math.ceil(progress.total / (this.config.batching.chunk_rows or DEFAULT_CHUNK_ROWS))
    keyed = None if todo.keyed is None or todo.everything else todo.keyed.persist()
    # Without a lease, or over rows that are there already, only MERGE is safe.
    replaces = not alone or todo.counts["known"] > 0
    try:
        with clock.stage("preflight"):
            sample = files.with_contents(this.rows.limit(SAMPLE_ROWS), rows.INPUTS, this.roots).select(F.col(rows.INPUTS).alias("inputs"))
            function, progress.cleared = udf.scoring_function(spark, this.selection, this.config.batching, sample=sample, roots=this.roots)
        for chunk in range(chunks):
            with clock.stage("score"), udf.window_of(spark, this.config.batching.window_rows):
                recorded = scored_chunk(spark, this, keyed, function, chunk=chunk, chunks=chunks, size=progress.total // chunks)
                staged = staging.write_chunk(recorded, this.location, this.target.schema, run_id=this.id, chunk=chunk)
                progress.add(**staging.measure(staged, this.target.keys))
            if progress.exceeded:
                break
            with clock.stage("publish"):
                publish(spark, this, todo, staged, chunk=chunk, chunks=chunks, replaces=replaces)
    finally:
        staging.clear(spark, this.location, this.id)
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


def publish(spark: SparkSession, this: Run, todo: Due, staged: DataFrame, *, chunk: int, chunks: int, replaces: bool) -> None:
    """Put a staged chunk into the target; the commit of the last one says that everything is scored."""
    complete = chunk == chunks - 1
    note = receipt.complete(this.id, this.mark, todo.version + chunks, todo.counts) if complete else Receipt(this.id)
    rows_of_chunk = staged.select(*this.target.schema.names)
    sink.publish(spark, this.target, rows_of_chunk, transaction=f"sparkcoil-{this.id}-{chunk}", note=note.note, replaces=replaces)


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


def version_now(spark: SparkSession, this: Run, todo: Due, progress: Progress) -> int:
    """Return the target's version, which is known where the run has committed nothing."""
    commit = sink.newest(spark, this.target) if progress.total else None
    return commit.version if commit else todo.version


def finish(spark: SparkSession, this: Run, todo: Due, progress: Progress, clock: Clock) -> RunReport:
    """Return the run's report, logged as an MLflow run unless nothing was due."""
    logged = this.selection.logged
    jsonl = {"jsonl": this.config.target.jsonl} if this.config.target.jsonl else {}
    with clock.stage("report"):
        published = sink.counts(spark, this.target, this.id) if progress.total else {}
        at = version_now(spark, this, todo, progress)
        described = {
            "name": this.config.name,
            "run_id": this.id,
            "task": this.selection.task.name,
            "options": this.selection.plain_options,
            "options_from": {**this.selection.effective.origins},
            "options_ignored": {**this.selection.effective.ignored},
            "source": {"name": this.source.name, "version": this.source.version},
            "target": {"name": this.target.name, "version": at, **jsonl},
            "model": {"uri": logged.uri, "version": logged.version, "digest": logged.digest, "trusted": this.selection.lifted},
        }
    finished = report.finished(described, todo.counts, published, progress, clock)
    if progress.total:
        tracking.log_run(finished, this.config, logged)
    return finished
