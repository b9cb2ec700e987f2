"""The quality gates of a run file: which of them a prediction can have, and whether the counts of a run keep within them.

Knows nothing of Spark.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from sparkcoil import ledger
from sparkcoil.problems import Problem
from sparkcoil.settings import GatesConfig
from sparkcoil.tasks import Task

# The gates that are judged of all rows before they are published, with the fields of a prediction that each can be asked of.
GATES: Mapping[str, tuple[str, ...]] = {
    "max_failed_share": (),
    "max_empty_share": ("text", "answer", "token", "entities", "objects", "segments", "embedding", "audio"),
    "max_truncated_share": (),
    "max_label_share": ("label",),
    "max_label_drift": ("label",),
    "max_repetition_share": ("text",),
    "language": ("text",),
}
FAULTS = {
    "max_failed_share": "failed",
    "max_empty_share": "are empty",
    "max_truncated_share": "were truncated",
    "max_repetition_share": "repeat themselves",
    "language": "are in another language",
}
MISMATCHES = 0.05
# Of few rows one label may well have all: at 50, one that has 0.9 of all rows has all of these once in 200 runs.
LEAST_LABELLED = 50
# Of the drift that chance alone makes: 99 of 100 runs stay below it.
QUANTILE = 2.326


@dataclass(frozen=True)
class Counts:
    """What a run is about to publish: its rows, those that are ok, those with a gate's fault, and the ok ones by their label.

    `judged` are the rows whose text was long enough to tell its language.
    """

    rows: int
    ok: int
    judged: int = 0
    faults: Mapping[str, int] = field(default_factory=dict)
    labels: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Before:
    """The labels of the run that the target had last."""

    run_id: str
    labels: Mapping[str, int]


@dataclass(frozen=True)
class Verdict:
    """What a gate allows and what was found, None where there was nothing to judge, and both in a sentence."""

    gate: str
    allowed: float
    found: float | None
    holds: bool
    said: str


def asked(gates: GatesConfig) -> tuple[str, ...]:
    """Return the gates that a run has set."""
    return tuple(name for name in GATES if getattr(gates, name) is not None)


def judged_field(task: Task, gate: str) -> str | None:
    """Return the field of the task's prediction that a gate is asked of, None where it has none."""
    own = [name for name, _ in ledger.split_fields(task.prediction)]
    return next((name for name in GATES[gate] if name in own), None)


def problems(gates: GatesConfig, task: Task) -> Iterator[Problem]:
    """Yield each gate that the task's prediction cannot have."""
    for gate in asked(gates):
        if GATES[gate] and judged_field(task, gate) is None:
            wanted = " or ".join(GATES[gate])
            yield Problem(("gates", gate), f"is asked of {wanted}, and the prediction of {task.name} has no such field")


def verdicts(gates: GatesConfig, counts: Counts, before: Before | None, *, named: bool) -> Iterator[Verdict]:
    """Yield what becomes of each gate; labels are `named` where they are the model's own, and not the rows'."""
    for gate in asked(gates):
        if gate == "max_label_share":
            yield most_frequent(float(gates.max_label_share or 0), counts, named=named)
        elif gate == "max_label_drift":
            yield drifted(float(gates.max_label_drift or 0), counts, before)
        else:
            yield within(gates, gate, counts)


def within(gates: GatesConfig, gate: str, counts: Counts) -> Verdict:
    """Return whether the share of rows with a gate's fault is one that it allows."""
    total, what = {"max_failed_share": (counts.rows, "rows"), "language": (counts.judged, "texts")}.get(gate, (counts.ok, "ok rows"))
    mismatches = MISMATCHES if gates.max_language_mismatch_share is None else gates.max_language_mismatch_share
    allowed = mismatches if gate == "language" else float(getattr(gates, gate))
    found, key = counts.faults.get(gate, 0), "max_language_mismatch_share" if gate == "language" else gate
    fault = FAULTS[gate] + (f" than {gates.language}" if gate == "language" else "")
    said = f"gates.{key}: {allowed:g} allowed, {found:,} of {total:,} {what} {fault}{shared(found, total)}"
    return Verdict(key, allowed, found / total if total else None, not total or found / total <= allowed, said)


def most_frequent(allowed: float, counts: Counts, *, named: bool) -> Verdict:
    """Return whether the most frequent label has no more than its share."""
    label, found = max(counts.labels.items(), key=lambda each: each[1], default=("", 0))
    total = sum(counts.labels.values())
    who = f"label {label!r}" if named else "one label"
    said = f"gates.max_label_share: {allowed:g} allowed, {who} has {found:,} of {total:,} ok rows{shared(found, total)}"
    if total < LEAST_LABELLED:
        return Verdict("max_label_share", allowed, None, True, f"{said}; not judged below {LEAST_LABELLED} rows")
    return Verdict("max_label_share", allowed, found / total, found / total <= allowed, said)


def drifted(allowed: float, counts: Counts, before: Before | None) -> Verdict:
    """Return whether labels are as they were in the run before, or no further from that than chance may take them."""
    now, gate = counts.labels, "max_label_drift"
    if before is None or not before.labels or not now:
        return Verdict(gate, allowed, None, True, f"gates.{gate}: {allowed:g} allowed, no two runs with labels to compare")
    found, chance = stability(now, before.labels), by_chance(now, before.labels)
    rows = f"{sum(now.values()):,} ok rows against {sum(before.labels.values()):,} of run {before.run_id}"
    said = f"gates.{gate}: {allowed:g} allowed, a population stability index of {found:.3g} in {rows} (by chance up to {chance:.3g})"
    return Verdict(gate, allowed, found, found <= max(allowed, chance), said)


def stability(now: Mapping[str, int], before: Mapping[str, int]) -> float:
    """Return the population stability index of two runs' labels, of which each counts half a row more: none may be missing.

    Siddiqi, Credit Risk Scorecards (2006), who reads up to 0.1 as stable and from 0.25 on as changed.
    """
    labels = now.keys() | before.keys()
    p, q = ({each: (run.get(each, 0) + 0.5) / (sum(run.values()) + len(labels) / 2) for each in labels} for run in (now, before))
    return sum((p[each] - q[each]) * math.log(p[each] / q[each]) for each in labels)


def by_chance(now: Mapping[str, int], before: Mapping[str, int]) -> float:
    """Return the index that 99 of 100 pairs of runs stay below whose labels come from one and the same distribution.

    It is that quantile of chi-square over the rows (Yurdakul and Naranjo, Statistical properties of the population stability
    index, 2020), in Wilson and Hilferty's approximation.
    """
    freedom = len(now.keys() | before.keys()) - 1
    if freedom == 0:
        return 0.0
    spread = 2 / (9 * freedom)
    quantile = freedom * (1 - spread + QUANTILE * math.sqrt(spread)) ** 3
    return quantile * (1 / sum(now.values()) + 1 / sum(before.values()))


def shared(found: int, total: int) -> str:
    """Return a share in words, nothing where there are no rows."""
    return f", a share of {found / total:.4g}" if total else ""
