"""What an executor is told of a run: everything that scores, in a file of the staged model. Knows nothing of Spark or MLflow."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sparkcoil.engines import Placement
from sparkcoil.weights import Weights

SPEC = "sparkcoil.json"


@dataclass(frozen=True)
class Spec:
    """Everything that scores: it travels as a file in the staged model, since a cluster ignores MLflow's `model_config`.

    `timeout` is how many seconds a model may give no sign of life; None where Spark would not try the task of a worker that is ended again.
    A `challenger` scores the rows whose cell CHALLENGED is true beside it.
    """

    task: str
    options: Mapping[str, Any]
    placement: Placement
    weights: Weights
    batching: Mapping[str, Any]
    probe: bool = False
    model: str | None = None
    roots: Sequence[str] = ()
    timeout: float | None = None
    challenger: "Spec | None" = None
    known_answers: bool = False

    def save(self, folder: Path) -> None:
        """Write the spec into a staged model."""
        (folder / SPEC).write_text(self.to_json())

    def to_json(self) -> str:
        """Return the spec as text, equal for equal specs."""
        return json.dumps(asdict(self), sort_keys=True)


def read_spec(folder: Path) -> Spec:
    """Return the spec of a staged model."""
    return spec_of(json.loads((folder / SPEC).read_text()))


def spec_of(fields: Mapping[str, Any]) -> Spec:
    """Return the spec that was written as these fields."""
    beside = fields.get("challenger")
    parts = {"placement": Placement(**fields["placement"]), "weights": Weights(**fields["weights"])}
    return Spec(**{**fields, **parts, "challenger": spec_of(beside) if beside else None})
