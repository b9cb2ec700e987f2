"""One run from start to end. Read `run` first: each name in it is a module, or a stage below it."""

from dataclasses import replace

from pyspark.sql import DataFrame, SparkSession

from sparkcoil import answers, chunks, due, lease, pinned, receipt, report, rows, sink, source, staging, tracking
from sparkcoil.config import RunConfig
from sparkcoil.due import Due
from sparkcoil.errors import BudgetExceeded
from sparkcoil.pinned import Run
from sparkcoil.report import Clock, Progress, RunReport
from sparkcoil.rows import Retry


def run(spark: SparkSession, config: RunConfig, *, retry_failed: Retry = False, among: DataFrame | None = None) -> RunReport:
    """Score what is due of a source into its target, and return the report of it.

    With `retry_failed`, or codes of errors in its place, rows that have failed before, or failed so, are due too.
    With `among`, only rows with one of its keys are looked at.
    Raises ConfigError, RefusedError or TargetBusy before anything is scored, and BudgetExceeded, which carries the report,
    before anything is published that would break the error budget.
    """
    clock = Clock()
    with clock.stage("prepare"):
        this = pinned.prepared(spark, config, among=among)
    with lease.held(spark, this.location, this.id) as alone:
        with clock.stage("plan"):
            if alone:
                staging.clear(spark, this.location)  # a killed run leaves its stage behind
            todo = find_due(spark, this, retry_failed=retry_failed)
            sink.create(spark, this.target)
            if todo.counts["due"] and source.moves(config.source, this.source.version):
                this, todo = fixed(spark, this, todo, retry_failed=retry_failed)
        progress = Progress(todo.counts["due"], config.rows, version=todo.version)
        if progress.total:
            chunks.score_due(spark, this, todo, progress, clock=clock, alone=alone)
        chunks.remove_gone(spark, this, todo, progress, clock)
        write_answers(spark, this, progress, clock)
        finished = finish(this, todo, progress, clock)
    if progress.exceeded:
        raise BudgetExceeded(progress.exceeded, finished)
    return finished


def find_due(spark: SparkSession, this: Run, *, retry_failed: Retry) -> Due:
    """Return what is due, held against the target as it is now; with its last run's receipt no row is looked at."""
    commit = sink.newest(spark, this.target)
    known = None if retry_failed else receipt.counts_of(commit, this.mark)
    if known is not None and commit is not None:
        return Due(None, known, commit.version)
    scored = None if commit is None else sink.read(spark, this.target, commit.version)
    keys, digest = this.config.source.keys, this.selection.logged.digest
    at, removes = commit.version if commit else 0, this.config.target.deletes == "remove"
    return due.find(this.rows, scored, keys, model_digest=digest, retry_failed=retry_failed, version=at, removes=removes)


def fixed(spark: SparkSession, this: Run, todo: Due, *, retry_failed: Retry) -> tuple[Run, Due]:
    """Return the run over a copy of its due rows, and what is due of them: each chunk reads the source anew, which may have changed."""
    due_rows = this.rows if todo.keyed is None or todo.everything else rows.filter_due(this.rows, todo.keyed, this.config.source.keys)
    copied = replace(this, rows=staging.write_rows(due_rows, this.location, run_id=this.id))
    found = find_due(spark, copied, retry_failed=retry_failed)
    counts = {**found.counts, **{name: todo.counts[name] for name in ("source", "keys") if not todo.everything}}
    return copied, replace(found, counts=counts)


def write_answers(spark: SparkSession, this: Run, progress: Progress, clock: Clock) -> None:
    """Write the file of answers where one is asked for and is not what the prediction table has; not past the error budget."""
    path = this.config.target.jsonl
    if path is None or progress.exceeded or not (progress.total or answers.is_due(spark, this.target, path)):
        return
    with clock.stage("answers"):
        answers.write(spark, this.target, this.source.frame, task=this.selection.task.name, path=path)


def finish(this: Run, todo: Due, progress: Progress, clock: Clock) -> RunReport:
    """Return the run's report, logged as an MLflow run unless nothing was due."""
    logged = this.selection.logged
    jsonl = {"jsonl": this.config.target.jsonl} if this.config.target.jsonl else {}
    described = {
        "name": this.config.name,
        "run_id": this.id,
        "task": this.selection.task.name,
        "options": this.selection.plain_options,
        "options_from": {**this.selection.effective.origins},
        "options_ignored": {**this.selection.effective.ignored},
        "source": {"name": this.source.name, "version": this.source.version},
        "target": {"name": this.target.name, "version": progress.version, **jsonl},
        "model": {"uri": logged.uri, "version": logged.version, "digest": logged.digest, "trusted": this.selection.lifted},
    }
    finished = report.finished(described, todo.counts, progress, clock)
    if progress.total:
        tracking.log_run(finished, this.config, logged)
    return finished
