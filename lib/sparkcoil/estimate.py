"""How long a run would take, from a few of its rows: a value of what was tried, and the arithmetic. Knows nothing of Spark."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sparkcoil import native, rates, shown
from sparkcoil.pacing import Pace
from sparkcoil.shown import Shown

# A commit with what belongs to it, in seconds, on a machine with nothing else to do.
COMMIT_SECONDS = 2.0
# Seconds of a worker that are no work of its own: others run beside them, or they come once.
ASIDE = ("load", "wait")
PERCENTILES = {"median": 0.5, "p90": 0.9, "p99": 0.99, "longest": 1.0}
TOKENS = "tokens"


@dataclass(frozen=True)
class Probe:
    """Different inputs that were scored for the plan: how many, their bytes, what their windows noted, and the rows that have them.

    Of these `due` rows some are cut, and some fail. `overhead` are the seconds that scoring took beyond the workers' work: what Spark
    costs for each chunk, however small.
    """

    rows: int
    bytes: int
    windows: Sequence[Mapping[str, Any]]
    truncated: int
    failed: int
    due: int
    overhead: float = 0.0

    @property
    def busy_seconds(self) -> float:
        """Seconds that workers were at work on them, those of all slots together."""
        return float(sum(seconds for each in self.windows for name, seconds in each["seconds"].items() if name not in ASIDE))

    @property
    def units(self) -> float:
        """How many tokens, or seconds of sound, they have."""
        return rates.total(self.windows, "units")

    def of_windows(self, name: str) -> str:
        """Return what the windows say of a name, each different answer once."""
        return rates.joined(self.windows, name)


@dataclass(frozen=True)
class Sizes:
    """The different inputs that are to be scored: how many, their bytes in all, and the bytes of one at some percentiles."""

    rows: int
    bytes: int
    percentiles: Mapping[str, int]


def scoring_seconds(probe: Probe, sizes: Sizes, slots: int) -> float:
    """Return how long all inputs keep the slots busy; what an input costs goes by its bytes."""
    if not probe.bytes:
        return probe.busy_seconds / max(1, probe.rows) * sizes.rows / slots
    return probe.busy_seconds * sizes.bytes / probe.bytes / slots


def lengths(probe: Probe, sizes: Sizes) -> dict[str, int]:
    """Return percentiles of the inputs' lengths in the model's unit: of tokens from bytes, of all else what those tried do not pass.

    Files have as many bytes as their formats take, so that these say nothing of how long a recording is.
    """
    if probe.of_windows("unit") != TOKENS:
        return passed_by_none(probe) if sizes.percentiles else {}
    per_byte = probe.units / probe.bytes if probe.bytes else 0.0
    return {name: round(size * per_byte) for name, size in sizes.percentiles.items()}


def passed_by_none(probe: Probe) -> dict[str, int]:
    """Return at some percentiles the power of two that lengths of inputs that were tried are below."""
    counts = Counter[int]()
    for each in probe.windows:
        counts.update({int(power): count for power, count in each.get("lengths", {}).items()})
    powers = sorted(counts.elements())
    return {name: 2 ** max(0, powers[min(len(powers) - 1, int(at * len(powers)))]) for name, at in PERCENTILES.items()} if powers else {}


def chunks(pace: Pace, seconds: float, overhead: float) -> int:
    """Return how many chunks a run makes whose rows are scored in so many seconds, with the overhead of each beside that."""
    count, chunk = 0, pace.first() if pace.total else None
    while chunk is not None:
        count += 1
        chunk = pace.after(chunk, overhead + seconds * chunk.rows / pace.total)
    return count


@dataclass(frozen=True)
class Plan(Shown):
    """What a run would do; nothing of it was done. `str` shows it, `to_json` is the last line that a job prints.

    `rows` counts what is due by why, `lengths` are in `unit`, `seconds` are estimates by stage, and `cost` is in the run file's money.
    """

    name: str
    task: str
    options: Mapping[str, Any]
    options_from: Mapping[str, str]
    options_ignored: Mapping[str, str]
    source: Mapping[str, Any]
    target: Mapping[str, Any]
    model: Mapping[str, Any]
    rows: Mapping[str, int]
    unit: str
    lengths: Mapping[str, int]
    truncated_share: float
    failed_share: float
    slots: int
    tasks: int
    chunks: int
    probe: Mapping[str, Any]
    seconds: Mapping[str, float]
    cost: float | None = None
    max_failed_share: float = 1.0

    def to_json(self) -> str:
        """Return the plan as one line of JSON."""
        return json.dumps({**asdict(self), "exit_code": 0}, default=str)

    def lines(self) -> dict[str, str]:
        """Return what the plan says, by what it is about."""
        why = shown.listed(self.rows, WHY)
        options = [f"{name}={value!r} ({self.options_from[name]})" for name, value in self.options.items() if name in self.options_from]
        percentiles = ", ".join(f"{name} {value:,}" for name, value in self.lengths.items())
        due = self.probe.get("due", 0)
        tried = {
            f"{self.unit} each" + ("" if self.unit == TOKENS else ", below"): percentiles,
            "cut, failed": f"{self.truncated_share:.1%} and {self.failed_share:.1%} of the {due:,} rows that were tried",
            "over budget": f"rows.max_failed_share is {self.max_failed_share:.1%}" if self.failed_share > self.max_failed_share else "",
            "spread": f"{self.tasks} tasks on {self.slots} slots, {self.chunks} chunk" + ("" if self.chunks == 1 else "s"),
        }
        lines = {
            "run": f"{self.name}: {self.task}",
            "model": "{uri}, {mebibytes:,.1f} MiB, {dtype} on {device}".format(**self.model),
            "source": shown.at_version(self.source),
            "target": shown.at_version(self.target),
            "due": f"{self.rows['due']:,} of {self.rows['keys']:,} keys" + (f": {why}" if why else ""),
            "to score": f"{self.rows['to_score']:,} different inputs; {self.rows['copied']:,} rows are copied",
            **(tried if self.probe.get("rows") else {}),
            "options": ", ".join(options) or "the task's own",
            "not followed": native.not_followed(self.options_ignored),
            "estimate": spoken(self.seconds["total"]) + (f", costs {self.cost:,.2f}" if self.cost is not None else ""),
        }
        return {name: said for name, said in lines.items() if said}


# Why a row is due, by the name of its count.
WHY = {
    "new": "new",
    "changed": "changed or to be scored in another way",
    "other_model": "scored by another model",
    "retried": "failed before",
    "returned": "back in the source",
}


def spoken(seconds: float) -> str:
    """Return a length of time as people say it."""
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5_400 else f"{seconds / 3_600:.1f} hours"
