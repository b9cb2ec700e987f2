"""The figures of a commit: what it published and what that took, small enough to stand in the commit. Knows nothing of Spark.

No key and no content of a row is among them: the history of a table, where they stand, is read by more people than its rows.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sparkcoil import contest, rates, report
from sparkcoil.estimate import ASIDE
from sparkcoil.report import Measured, Progress

# At most so many steps of time, slow windows, characters of an option's value, and pairs of labels in a commit.
STEPS, SLOWEST, LONGEST_VALUE, PAIRS = 24, 3, 120, 10
SUMMED = ("rows", "computed_rows", "forwards", "computed", "useful", "units", "out_of_memory", "loads", "load_seconds")
BESIDE = (*ASIDE, "decode", "features")


@dataclass(frozen=True)
class Part:
    """A commit of a run as the target's history has it, or what the run has not published, with neither version nor rows.

    `at` is when it was made, in seconds since 1970; `figures` are None where a commit has none, as those of old runs.
    """

    run_id: str
    version: int | None
    at: float
    rows: int | None
    figures: Mapping[str, Any] | None


def of(progress: Progress, seconds: Mapping[str, float], *, began: float, is_last: bool, gone: int = 0) -> dict[str, Any]:
    """Return the figures of what waits to be published, or of so many rows that leave the target, and the seconds of the run so far."""
    waiting = () if gone else progress.waiting
    windows = [window for each in waiting for window in each.windows]
    failures = report.merged([failure for each in waiting for failure in each.failures])
    return {
        "last": is_last,
        "due": progress.total,
        "seconds": seconds,
        "rows": {**counted(waiting), "gone": gone},
        "failures": [{name: each[name] for name in ("stage", "code", "rows")} for each in failures],
        "windows": summed(windows),
        "timeline": timeline(windows, began=began),
        "slowest": [described(each, began=began) for each in slowest(windows)],
        **({"dtype_because": progress.cleared.why} if progress.cleared.why else {}),
        **({"gates": [{**vars(each)} for each in progress.judged]} if progress.judged else {}),
        **({"challenger": compared(progress.compared)} if progress.compared else {}),
        "preflight": {"loads": progress.cleared.loads, "load_seconds": round(progress.cleared.load_seconds, 3)},
    }


def compared(pairs: Sequence[contest.Pair]) -> dict[str, Any]:
    """Return how far champion and challenger have agreed so far, with few of the pairs of labels."""
    found = contest.summed(pairs)
    return {**found, "labels": found["labels"][:PAIRS]}


def counted(chunks: Sequence[Measured]) -> dict[str, int]:
    """Return how many rows are ok, failed, copied, and refused by the target."""
    found: Counter[str] = Counter(ok=0, failed=0, copied=0, refused=0)
    for each in chunks:
        failed = sum(kind["rows"] for kind in each.failures) - each.refused
        found.update(ok=each.rows - failed, failed=failed, copied=each.copied, refused=each.refused)
    return dict(found)


def summed(windows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what windows come to, those already summed included; empty where there are none."""
    if not windows:
        return {}
    seconds: Counter[str] = Counter()
    lengths: Counter[str] = Counter()
    for each in windows:
        seconds.update(each["seconds"])
        lengths.update({str(octave): count for octave, count in each.get("lengths", {}).items()})
    return {
        "count": sum(each.get("count", 1) for each in windows),
        **{name: tidy(rates.total(windows, name)) for name in SUMMED},
        "unit": windows[0]["unit"],
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "lengths": dict(sorted(lengths.items(), key=lambda each: int(each[0]))),
        "device": rates.joined(windows, "device"),
        "dtype": rates.joined(windows, "dtype"),
        **{name: rates.joined(windows, name, "; ") for name in rates.REMARKS},
    }


def tidy(number: float) -> int | float:
    """Return a whole number as one, and any other to three decimals."""
    return int(number) if number == int(number) else round(number, 3)


def timeline(windows: Sequence[Mapping[str, Any]], *, began: float) -> dict[str, Any]:
    """Return rows and units per second in steps of equal length, from the first window's start to the last one's end.

    What a window did is spread evenly over its own time. `from` and `step` are in seconds, counted from when the run began.
    """
    timed = [each for each in windows if "ended" in each]
    if not timed:
        return {}
    first, last = min(each["began"] for each in timed), max(each["ended"] for each in timed)
    steps = min(STEPS, len(timed))
    width = max(last - first, 1e-3) / steps
    rates = {name: [0.0] * steps for name in ("rows", "units")}
    for each in timed:
        start, end = each["began"] - first, max(each["ended"], each["began"] + 1e-3) - first
        for step in range(steps):
            share = max(0.0, min(end, (step + 1) * width) - max(start, step * width)) / (end - start)
            for name, values in rates.items():
                values[step] += each[name] * share / width
    shown = {name: [round(value, 2) for value in values] for name, values in rates.items()}
    return {"from": round(max(0.0, first - began), 2), "step": round(width, 3), **shown}


def slowest(windows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the windows that took longest for each unit of theirs, the slowest first."""
    return sorted((each for each in windows if each["units"]), key=lambda each: -busy(each) / max(each["units"], 1e-3))[:SLOWEST]


def busy(window: Mapping[str, Any]) -> float:
    """Return the seconds that a window kept its worker at work."""
    return float(sum(value for name, value in window["seconds"].items() if name not in BESIDE))


def described(window: Mapping[str, Any], *, began: float) -> dict[str, Any]:
    """Return what is noted of one window: when it began, what it took, and what was in it."""
    at = {"at": round(max(0.0, window["began"] - began), 1)} if "began" in window else {}
    counts = {name: tidy(window[name]) for name in ("rows", "computed_rows", "units", "forwards", "out_of_memory")}
    return {**at, "seconds": round(busy(window), 3), **counts, "device": window["device"], "worker": window.get("worker")}


def cut(value: Any) -> str:
    """Return a value as JSON, the end of a long one left out."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"
