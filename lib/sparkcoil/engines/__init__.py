"""How families of models are run: a module in this folder is an engine. What every engine offers is written here.

Knows nothing of Spark or MLflow.
"""

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from sparkcoil.artifact import LoggedModel
from sparkcoil.batching import Batching, Budget
from sparkcoil.errors import RowError
from sparkcoil.tasks import Facts, Options, Task


@dataclass(frozen=True)
class Prepared:
    """One input as the model takes it: `length` in tokens (or samples) is what a batch's budget counts."""

    features: Any
    length: int
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Parts:
    """One row that became several inputs, such as the strides of a long text: the task is handed their results as one list.

    Only the warnings here are the row's. A part that fails fails the row.
    """

    parts: tuple[Prepared, ...]
    warnings: tuple[str, ...] = ()


class Engine(Protocol):
    """A loaded model: `prepare` makes a row's inputs, `forward` runs one batch of them and gives one result for each.

    A batch may hold inputs of any rows: all parts of a window's rows are sorted and batched together.
    `unit` names what throughput is counted in; `length / per_unit` is an input's amount of it.
    `batching` tells which inputs may share a batch without changing each other's results.
    """

    facts: Facts
    unit: str
    per_unit: float
    batching: Batching
    budget: Budget

    def prepare(self, items: Sequence[Any]) -> Sequence[Prepared | Parts | RowError]: ...

    def forward(self, batch: Sequence[Prepared]) -> Sequence[Any]: ...


@runtime_checkable
class Expecting(Protocol):
    """An engine that works ahead: it is told of the batches to come while there is time to get their inputs ready.

    `spent` gives the seconds by stage that this took since it was asked last, beside those of the model.
    """

    def expect(self, batch: Sequence[Prepared]) -> None: ...

    def spent(self) -> Mapping[str, float]: ...


REASONS: Mapping[Batching, str] = {
    "exact lengths": "exact lengths, since padding changes this model's results",
    "one by one": "one by one, since rows beside it change a row's results",
}


@dataclass(frozen=True)
class Findings:
    """How rows may share a batch, whether prompts may share what they begin with, and whether the model changes itself."""

    batching: Batching = "padded"
    shares: bool = True
    changes: bool = False


@runtime_checkable
class Tried(Protocol):
    """An engine whose model is tried when it is loaded: `examine` runs forward passes, `follow` heeds what they found."""

    model: Any
    findings: Findings

    def examine(self) -> Findings: ...

    def follow(self, findings: Findings) -> None: ...


@dataclass(frozen=True)
class Placement:
    """Where and how a model is loaded: a torch device and a torch dtype by their names, and what the run file adds to that.

    `trust` names what of the artifact may run code: `remote_code`, `pickle`.
    """

    device: str
    dtype: str
    attn_implementation: str | None = None
    load_kwargs: Mapping[str, Any] = field(default_factory=dict)
    trust: Sequence[str] = ()


def name_of(task: Task, artifact: Path) -> str:
    """Return the engine that runs an artifact's model as a task."""
    return task.engine_of(LoggedModel(str(artifact), None, artifact).architecture)


def load(name: str, artifact: Path, options: Options, placement: Placement, *, digest: str | None = None) -> Engine:
    """Return the engine of that name with the model of an MLflow transformers artifact loaded into it.

    What the model does with padding is tried, once for each `digest` on this machine. Raises ModelError for a model that cannot be scored.
    """
    engine: Engine = importlib.import_module(f"{__name__}.{name}").load(artifact, options, placement)
    if isinstance(engine, Tried):
        from sparkcoil import trial

        trial.settle(engine, name, digest)
    return engine
