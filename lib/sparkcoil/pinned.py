"""What a run has fixed before its first row: the model, the source and the target, checked against each other."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from sparkcoil import answers, constraints, files, known, quality, receipt, rows, sink, source, staging, verdicts
from sparkcoil.config import RunConfig
from sparkcoil.constraints import Conditions
from sparkcoil.errors import ConfigError, ModelError, TargetError
from sparkcoil.problems import said
from sparkcoil.selection import Selection, select
from sparkcoil.session import check_classic
from sparkcoil.sink import Target
from sparkcoil.source import PinnedSource
from sparkcoil.tables import Detail


@dataclass(frozen=True)
class Run:
    """What a run has fixed before its first row; nothing of it changes while the run goes on.

    `found` is the target as it was, None where it is missing; `select` makes rows to be scored of rows of the source, and `rows` are
    those of all of them that may be due.
    """

    id: str
    config: RunConfig
    selection: Selection
    challenger: Selection | None
    source: PinnedSource
    target: Target
    found: Detail | None
    location: str
    stage: str
    conditions: Conditions
    select: Callable[[DataFrame], DataFrame]
    rows: DataFrame
    roots: tuple[str, ...]
    mark: str | None

    @property
    def challenged(self) -> float:
        """Which share of different inputs the challenger scores: none where there is no challenger."""
        return self.config.challenger.share if self.challenger else 0.0


def described(this: Run) -> dict[str, Any]:
    """Return what a run's plan and its report both say of it: what scores, with which options from where, and which source."""
    effective = this.selection.effective
    return {
        "name": this.config.name,
        "task": this.selection.task.name,
        "options": effective.plain,
        "options_from": {**effective.origins},
        "options_ignored": {**effective.ignored},
        "source": {"name": this.source.name, "version": this.source.version},
    }


def prepared(spark: SparkSession, config: RunConfig, *, among: DataFrame | None = None) -> Run:
    """Return the run with its model, source and target pinned and checked, of rows with given keys where there are some.

    Raises before anything is written.
    """
    if not isinstance(config, RunConfig):
        raise ConfigError("run()", [f"config: expected a RunConfig, found {type(config).__name__}; load_config(path) reads a run file"])
    check_classic(spark)
    selection = select(config.model, name=config.name, task=config.task, columns=config.source.columns)
    challenger = challenging(config, selection)
    pinned = source.pin(spark, config.source)
    keys, keep = config.source.keys, config.target.keep
    inputs, types = source.checked_inputs(pinned.frame, keys, keep, columns=config.source.columns, task=selection.task)
    notes, challenged = selection.logged.provenance, challenger is not None
    target = sink.expected(pinned.frame, keys, config.target, selection.task, notes, challenged=challenged)
    found = sink.check(spark, target)
    location = sink.location(spark, target, found)
    if found and pinned.detail and found.location == pinned.detail.location:
        raise TargetError(f"target: {target.name} is the source itself; score into another table")
    check_deletes(config, pinned, among)
    quality.check(spark, target.schema, config.target.gates)
    check_gates(config, selection)
    answers.check(spark, config, location, selection.task)
    roots = files.declared_roots(config.source)
    files.check(spark, roots)
    crossing = files.crossing(spark, config.source, pinned.frame, inputs, types)
    frame = pinned.frame if among is None else rows.filter_due(pinned.frame, among, keys)

    def selecting(frame: DataFrame) -> DataFrame:
        return rows.select_rows(frame, keys, keep, **vars(crossing), salt=selection.fingerprint)

    how, digest = selection.fingerprint, selection.logged.digest
    everything = among is None  # what is scored of some keys says nothing of the rest
    mark = receipt.mark_of(spark, config.source, pinned, how=how, digest=digest, deletes=config.target.deletes) if everything else None
    stage = staging.place(location, how=how, digest=digest)
    conditions = constraints.conditions(found, target.schema) if found else Conditions()
    what = (config, selection, challenger, pinned, target, found, location, stage, conditions)
    return Run(uuid.uuid4().hex, *what, selecting, selecting(frame), roots, mark)


def challenging(config: RunConfig, champion: Selection) -> Selection | None:
    """Return the challenger of a run, None where it has none; raises ModelError where its predictions are of another form."""
    asked = config.challenger
    if asked.uri is None:
        return None
    changes = {"uri": asked.uri, **({} if asked.options is None else {"options": asked.options})}
    try:
        found = select(config.model.model_copy(update=changes), name=config.name, task=champion.task.name, columns=config.source.columns)
    except ConfigError as error:
        raise ConfigError(error.where, [each.replace("model.options", "challenger.options", 1) for each in error.problems]) from None
    given = {each.name for each in champion.task.inputs}
    lacking = [each.label for each in found.task.inputs if each.as_text and each.name not in given]
    if lacking:
        raise ConfigError(config.name, [f"challenger: its prompt reads {', '.join(lacking)}, which the first model's does not"])
    if found.task.prediction != champion.task.prediction:
        raise ModelError(f"challenger.uri: {asked.uri}: expected predictions {champion.task.prediction}, found {found.task.prediction}")
    return found


def check_gates(config: RunConfig, selection: Selection) -> None:
    """Pass if the gates can be asked of the model and of its predictions; raises ConfigError or ModelError."""
    problems = [said(each) for each in verdicts.problems(config.gates, selection.task)]
    if problems:
        raise ConfigError(config.name, problems)
    if config.gates.known_answers:
        known.check(selection.logged.path, selection.logged.uri, selection.task)


def check_deletes(config: RunConfig, pinned: PinnedSource, among: DataFrame | None) -> None:
    """Pass if rows that have left the source can be told; raises ConfigError or TargetError."""
    deletes = config.target.deletes
    if deletes != "keep" and among is not None:
        raise ConfigError("run()", [f"target.deletes: {deletes} asks for a look at all keys of the source; found some of them, in among"])
    if deletes != "keep" and (pinned.detail is None or source.moves(config.source, pinned.version)):
        raise TargetError(f"target.deletes: {deletes} asks for a source that is a Delta table, read as it stands; found {pinned.name}")
