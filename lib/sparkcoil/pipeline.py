"""One run from start to end. Read `run` first: each name in it is a module, or a stage below it."""

from dataclasses import replace
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from sparkcoil import (
    answers,
    changes,
    chunks,
    comparison,
    disks,
    due,
    lease,
    monitor,
    pinned,
    receipt,
    remedies,
    report,
    rows,
    sink,
    source,
    staging,
    tracking,
)
from sparkcoil.config import RunConfig
from sparkcoil.display import Show
from sparkcoil.due import Due
from sparkcoil.errors import BudgetExceeded
from sparkcoil.monitor import Monitor
from sparkcoil.pinned import Run
from sparkcoil.report import Clock, Progress, RunReport
from sparkcoil.rows import Retry
from sparkcoil.session import check_classic
from sparkcoil.tables import Commit


def run(
    spark: SparkSession,
    config: RunConfig,
    *,
    retry_failed: Retry = False,
    among: DataFrame | None = None,
    progress: str | Show | None = None,
    status_file: str | Path | None = None,
) -> RunReport:
    """Score what is due of a source into its target, and return the report of it.

    With `retry_failed`, or codes of errors in its place, rows that have failed before, or failed so, are due too.
    With `among`, only rows with one of its keys are looked at.
    `progress` is `auto`, `bar`, `lines`, `json`, `notebook` or `none`, or a function that is given a Status every two seconds; by
    itself a run is shown in a notebook alone. `status_file` names a file of JSON that says how far the run is, and how it ended.
    Raises ConfigError, RefusedError or TargetBusy before anything is scored, and BudgetExceeded, which carries the report,
    before anything is published that would break the error budget.
    """
    check_classic(spark)
    name = config.name if isinstance(config, RunConfig) else "run()"
    with monitor.followed(spark, name, progress=progress, status_file=status_file) as seen:
        return seen.finished(scored(spark, config, seen, retry_failed=retry_failed, among=among))


def scored(spark: SparkSession, config: RunConfig, seen: Monitor, *, retry_failed: Retry, among: DataFrame | None) -> RunReport:
    """Do what `run` does, and be seen at it."""
    clock = seen.clock
    with clock.stage("prepare"):
        this = pinned.prepared(spark, config, among=among)
    with disks.named(spark, this.location), lease.held(spark, this.location, this.id) as held:
        with clock.stage("plan"):
            staging.clear(spark, this.location, but=this.stage)  # a killed run leaves its stage behind, which is of use to the same run
            this, todo = find_due(spark, this, retry_failed=retry_failed)
            sink.check_writes(this.target, this.found, todo.counts)
            with remedies.refusing(f"target: {this.target.name}"):
                added = sink.create(spark, this.target)
            if todo.counts["due"] and source.moves(config.source, this.source.version):
                this, todo = fixed(spark, this, todo, retry_failed=retry_failed)
        progress = seen.follow(Progress(todo.counts["due"], config.rows, this.id, version=todo.version + added))
        work = chunks.Work(this, todo, progress, clock, held)
        if progress.total:
            chunks.score_due(spark, work)
        chunks.leave(spark, work)
        write_answers(spark, this, progress, clock)
        if not progress.exceeded:
            held.check()
            staging.clear(spark, this.location)
    finished = finish(spark, this, todo, progress, clock)
    if progress.exceeded:
        raise BudgetExceeded(progress.exceeded, finished)
    return finished


def find_due(spark: SparkSession, this: Run, *, retry_failed: Retry) -> tuple[Run, Due]:
    """Return what is due, held against the target as it is now, and the run over the rows that were looked at.

    With its last run's receipt these are none, or where the source says what has changed since, no others.
    """
    commit = sink.newest(spark, this.target)
    told = None if retry_failed else receipt.of(commit, this.mark)
    if commit is None or told is None:
        return this, looked_at(spark, this, commit, retry_failed=retry_failed)
    if told.source == this.source.version:
        return this, Due(None, told.counts or {}, commit.version)
    scored = sink.read(spark, this.target, commit.version)
    found = changes.since(spark, this.config.source, this.source, told, scored) if this.config.target.deletes == "keep" else None
    if found is None:
        return this, looked_at(spark, this, commit, retry_failed=False)
    narrowed = replace(this, rows=this.select(found.rows))
    todo = looked_at(spark, narrowed, commit, retry_failed=False)
    return narrowed, replace(todo, counts={**todo.counts, "source": found.total, "keys": found.total})


def looked_at(spark: SparkSession, this: Run, commit: Commit | None, *, retry_failed: Retry) -> Due:
    """Return what is due of the run's rows, each held against the target."""
    return due.find(
        this.rows,
        None if commit is None else sink.read(spark, this.target, commit.version),
        this.config.source.keys,
        model_digest=this.selection.logged.digest,
        retry_failed=retry_failed,
        version=commit.version if commit else 0,
        leaving=None if this.config.target.deletes == "keep" else this.config.target.max_deletes_share,
        staged=staging.left_over(spark, this.stage, this.target.schema),
        marks=this.target.marks,
    )


def fixed(spark: SparkSession, this: Run, todo: Due, *, retry_failed: Retry) -> tuple[Run, Due]:
    """Return the run over a copy of its due rows, and what is due of them: each chunk reads the source anew, which may have changed."""
    due_rows = this.rows if todo.keyed is None or todo.everything else rows.filter_due(this.rows, todo.keyed, this.config.source.keys)
    copied = replace(this, rows=staging.write_rows(due_rows, this.stage, run_id=this.id))
    found = looked_at(spark, copied, sink.newest(spark, this.target), retry_failed=retry_failed)
    counts = {**found.counts, **{name: todo.counts[name] for name in ("source", "keys") if not todo.everything}}
    return copied, replace(found, counts=counts)


def write_answers(spark: SparkSession, this: Run, progress: Progress, clock: Clock) -> None:
    """Write the file of answers where one is asked for and is not what the prediction table has; not past the error budget."""
    path = this.config.target.jsonl
    if path is None or progress.exceeded or not (progress.total or answers.is_due(spark, this.target, path)):
        return
    with clock.stage("answers"):
        answers.write(spark, this.target, this.source.frame, task=this.selection.task.name, path=path)


def finish(spark: SparkSession, this: Run, todo: Due, progress: Progress, clock: Clock) -> RunReport:
    """Return the run's report, logged as an MLflow run unless nothing was due, or the run file asks for none."""
    logged = this.selection.logged
    jsonl = {"jsonl": this.config.target.jsonl} if this.config.target.jsonl else {}
    described = {
        **pinned.described(this),
        "run_id": this.id,
        "target": {"name": this.target.name, "version": progress.version, **jsonl},
        "model": {"uri": logged.uri, "version": logged.version, "digest": logged.digest, "trusted": this.selection.lifted},
        "challenger": comparison.told(this, progress.compared),
    }
    finished = report.finished(described, todo.counts, progress, clock)
    if progress.total and this.config.tracking == "mlflow":
        tracking.log_run(spark, finished, this, progress, clock)
    return finished
