"""What a run took: figures of its commits added up, and drawn as charts. Knows nothing of Spark."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sparkcoil import figures, spread
from sparkcoil.figures import Part
from sparkcoil.spread import Chart

# What a worker's seconds went into, in the words of the page.
STAGES = {
    "load": "load the model",
    "read": "read inputs",
    "decode": "decode sound or images (beside the model)",
    "features": "make features (beside it)",
    "wait": "wait for sound or images",
    "prepare": "tokenise",
    "forward": "model",
    "write": "write predictions",
    "challenger": "ask the challenger",
}


# A commit is made within so long of what it notes of itself.
AFTER_SECONDS = 600.0
# A chart is no wider than so many points can be told apart.
POINTS = 480


@dataclass(frozen=True)
class Totals:
    """What the parts of a run come to: rows, what the windows noted, seconds by stage, and how long all of it took."""

    run: Mapping[str, Any]
    rows: Mapping[str, int]
    unpublished: int
    windows: Mapping[str, Any]
    seconds: Mapping[str, float]
    elapsed: float | None
    due: int | None
    is_done: bool


def totals_of(parts: Sequence[Part]) -> Totals:
    """Return what the parts of a run come to."""
    known = [part.figures for part in parts if part.figures is not None]
    last = known[-1] if known else {}
    run: Mapping[str, Any] = last.get("run", {})
    committed = [part for part in parts if part.version is not None]
    names = ("ok", "failed", "copied", "gone")
    rows = {name: sum(part.figures["rows"].get(name, 0) for part in committed if part.figures) for name in names} if known else {}
    rows["rows"] = sum(rows[name] for name in ("ok", "failed")) if known else sum(part.rows or 0 for part in committed)
    waiting = [part.figures["rows"] for part in parts if part.figures and part.version is None]
    left = sum(each[name] for each in waiting for name in ("ok", "failed", "refused"))
    began = run.get("began", parts[0].at)
    elapsed = took(parts[-1].at - began, last["seconds"]["total"]) if known else parts[-1].at - began if len(parts) > 1 else None
    seconds = {name: value for name, value in last.get("seconds", {}).items() if name != "total"}
    if seconds and elapsed is not None:  # a commit cannot tell how long it takes itself
        name = "publish" if parts[-1].version is not None else "other"
        seconds[name] = seconds.get(name, 0.0) + max(0.0, elapsed - last["seconds"]["total"])
    windows = figures.summed([each["windows"] for each in known if each["windows"]])
    noted = {**windows, "preflight": last.get("preflight", {})}
    return Totals(run, rows, left, noted, seconds, elapsed, last.get("due"), bool(last.get("last")))


def took(between: float, told: float) -> float:
    """Return how long a run took: to its last commit, unless the clock of the storage or a copy of the table says what cannot be."""
    return between if told <= between <= told + AFTER_SECONDS else told


def thinned(times: Sequence[float], values: Sequence[float]) -> tuple[list[float], list[float]]:
    """Return a line of no more than so many points: of neighbours their mean, by how long each lasts."""
    if len(values) <= POINTS:
        return [*times], [*values]
    every = -(-len(values) // POINTS)
    ends = [*times[1:], times[-1]]
    groups = [range(start, min(start + every, len(values))) for start in range(0, len(values), every)]
    lasted = [max(1e-9, ends[each[-1]] - times[each[0]]) for each in groups]
    means = [sum(values[i] * (ends[i] - times[i]) for i in each) / long for each, long in zip(groups, lasted, strict=True)]
    return [times[each[0]] for each in groups], means


def throughput(parts: Sequence[Part]) -> Chart | None:
    """Return rows per second over the time of the run, as windows on all executors have noted it."""
    times: list[float] = []
    values: list[float] = []
    for line in (part.figures["timeline"] for part in parts if part.figures and part.figures.get("timeline")):
        edges = [line["from"] + line["step"] * step for step in range(len(line["rows"]) + 1)]
        times += edges
        values += [*line["rows"], 0.0]  # nothing is scored from a chunk's last window to the next one's first
    if not times:
        return None
    times, values = thinned(times, values)
    per, unit = (60, "minutes") if times[-1] > 600 else (1, "seconds")
    note = f"Of all executors together. {len(parts)} {'commit' if len(parts) == 1 else 'commits'}; between two of them nothing is scored."
    return Chart("throughput", note, "line", {"rows per second": values}, at=[each / per for each in times], axis=f"{unit} since the start")


def stages(totals: Totals) -> Chart | None:
    """Return where the time of the run went."""
    if not totals.seconds:
        return None
    note = "By the driver's clock: preflight is the executors' first look at the model, score their work, publish the commits."
    return Chart("where the time went", note, "bars", {"seconds": [*totals.seconds.values()]}, [*totals.seconds], axis="seconds")


def worker_stages(totals: Totals) -> Chart | None:
    """Return where the time of the workers went."""
    if not totals.windows.get("seconds"):
        return None
    load = totals.windows["load_seconds"] + totals.windows["preflight"].get("load_seconds", 0.0)
    spent = {"load": load, **totals.windows["seconds"]}
    names = [*(name for name in STAGES if name in spent), *(name for name in spent if name not in STAGES)]
    labels, values = [STAGES.get(name, name) for name in names], [spent[name] for name in names]
    return Chart("what workers did", "Seconds of all workers together.", "bars", {"seconds": values}, labels, axis="seconds")


def lengths(totals: Totals) -> Chart | None:
    """Return how long the inputs were, and how much was computed for padding."""
    windows = totals.windows
    if not windows.get("lengths"):
        return None
    note = f"{windows['computed_rows']:,} different inputs in {windows['forwards']:,} forward passes."
    if windows["computed"]:
        note += f" {windows['useful'] / windows['computed']:.1%} of what the model computed was input, the rest padding."
    labels, values = [spread.between(int(each)) for each in windows["lengths"]], [*windows["lengths"].values()]
    return Chart("length of inputs", note, "bars", {"inputs": values}, labels, axis=f"inputs, by {windows['unit']}")
