"""Whether a tiny model is scored as it answers natively: in batches of one, in the default ones, in those of a GPU, and in any order."""

import copy
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sparkcoil import engines, tasks
from sparkcoil.batching import Budget
from sparkcoil.engines import Placement
from sparkcoil.errors import ModelError
from sparkcoil.scoring import Scoring

TOLERANCE = 1e-3
# Budgets by what they stand for.
BUDGETS: Mapping[str, Budget | None] = {"one": Budget(10**9, 1), "default": None, "GPU": Budget(10**9, 4_096, padding=10**9)}


@dataclass(frozen=True)
class Verdict:
    """How an architecture is scored as a task: `equal`, `exact lengths`, `one by one`, `refused`, `differs` or `crash`, and why."""

    task: str
    architecture: str
    outcome: str
    why: str = ""


def judge(
    task_name: str,
    name: str,
    artifact: Path,
    rows: Sequence[Mapping[str, Any]],
    native: Callable[[Mapping[str, Any]], Any],
    seen: Callable[[Any], Any],
) -> Verdict:
    """Return how a model's rows are scored: what is `seen` of each prediction is held against what `native` gives for the row by itself."""
    task = tasks.load(task_name)
    options = task.options(**OPTIONS.get(task_name, {}))
    try:
        engine = engines.load(engines.name_of(task, artifact), artifact, options, Placement("cpu", "float32"))
    except ModelError as error:
        return Verdict(task_name, name, "refused", str(error))
    expected = [native(row) for row in rows]
    for budget_name, budget in BUDGETS.items():
        for order in (range(len(rows)), random.Random(7).sample(range(len(rows)), len(rows))):
            scoring = Scoring(task, engine, options, budget or engine.budget)
            records = scoring.score([as_sent(rows[i]) for i in order])[0]
            for i, record in zip(order, records, strict=True):
                if record.error is not None:
                    return Verdict(task_name, name, "crash", f"{budget_name}: {record.error.code}: {record.error.message}")
                if (distance := apart(seen(record.prediction), expected[i])) > TOLERANCE:
                    return Verdict(task_name, name, "differs", f"{budget_name}: by {distance:.2g}")
    return Verdict(task_name, name, "equal" if engine.batching == "padded" else str(engine.batching))


OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "text-generation": {"max_new_tokens": 6},
    "text2text-generation": {"max_new_tokens": 6},
    "fill-mask": {"top_k": 3},
    "token-classification": {"aggregation_strategy": "none"},
}


def as_sent(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as it comes from Spark."""
    return {name: cell.encode() if isinstance(cell, str) else cell for name, cell in row.items()}


def apart(found: Any, expected: Any) -> float:
    """Return how far a prediction lies from the native answer: of numbers as a share of the largest, of anything else 0 or infinity."""
    if isinstance(expected, Mapping):
        return max((apart(found[name], each) for name, each in expected.items()), default=0.0)
    if isinstance(expected, np.ndarray):
        values = np.asarray(found, dtype=np.float64)
        if values.shape != expected.shape:
            return float("inf")
        return float(np.abs(values - expected).max(initial=0.0) / max(float(np.abs(expected).max(initial=0.0)), 1e-6))
    return 0.0 if found == expected else float("inf")


def fresh(model: Any) -> Any:
    """Return a copy of a model that has never been used."""
    return copy.deepcopy(model).eval()
