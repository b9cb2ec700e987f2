"""What a run has fixed before its first row: the model, the source and the target, checked against each other."""

import uuid
from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession

from sparkcoil import answers, files, receipt, rows, sink, source
from sparkcoil.config import RunConfig
from sparkcoil.errors import ConfigError, TargetError
from sparkcoil.selection import Selection, select
from sparkcoil.sink import Target
from sparkcoil.source import PinnedSource


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


def prepared(spark: SparkSession, config: RunConfig, *, among: DataFrame | None = None) -> Run:
    """Return the run with its model, source and target pinned and checked, of rows with given keys where there are some.

    Raises before anything is written.
    """
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
    if config.target.deletes == "remove" and (pinned.detail is None or source.moves(config.source, pinned.version)):
        raise TargetError(f"target.deletes: remove asks for a source that is a Delta table, read as it stands; found {pinned.name}")
    answers.check(spark, config, location, selection.task)
    roots = files.declared_roots(config.source)
    files.check(spark, roots)
    crossing = files.crossing(spark, config.source, pinned.frame, inputs, types)
    frame = pinned.frame if among is None else rows.filter_due(pinned.frame, among, keys)
    selected = rows.select_rows(frame, keys, keep, **vars(crossing), salt=selection.fingerprint)
    how, digest = selection.fingerprint, selection.logged.digest
    everything = among is None  # what is scored of some keys says nothing of the rest
    mark = receipt.mark_of(spark, config.source, pinned, how=how, digest=digest, deletes=config.target.deletes) if everything else None
    return Run(uuid.uuid4().hex, config, selection, pinned, target, location, selected, roots, mark)
