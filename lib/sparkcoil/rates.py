"""What the windows of a run come to: rows and units a second, what the model computed, where, and what a reader should know of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# What a model was found to do that a reader of its predictions, or of their speed, should know.
REMARKS = ("batching", "decoding")
SPEED = "{rows_per_second:,.1f} rows and {units_per_second:,.0f} {unit} a second, {dtype} on {device}"


@dataclass(frozen=True)
class Cleared:
    """What the executors found before the first row: the number format to run in, why where that was theirs to say, and their loads."""

    dtype: str = "auto"
    why: str | None = None
    loads: int = 0
    load_seconds: float = 0.0


def throughput(windows: Sequence[Mapping[str, Any]], cleared: Cleared, seconds: float) -> dict[str, Any]:
    """Return what the windows of a run come to; rates are over the run's `seconds` of scoring."""
    if not windows:
        return {}
    rows, units = total(windows, "rows"), total(windows, "units")
    computed = total(windows, "computed")
    names = dict.fromkeys(["read", "prepare", "forward", "write", *(name for w in windows for name in w["seconds"])])
    stages = {name: round(sum(w["seconds"].get(name, 0.0) for w in windows), 3) for name in names}
    return {
        "rows_per_second": round(rows / seconds, 2),
        "unit": windows[0]["unit"],
        "units": round(units, 1),
        "units_per_second": round(units / seconds, 2),
        "padding_efficiency": round(total(windows, "useful") / computed, 4) if computed else None,
        "computed_rows": int(total(windows, "computed_rows")),
        "forwards": int(total(windows, "forwards")),
        "out_of_memory": int(total(windows, "out_of_memory")),
        "model_loads": cleared.loads + int(total(windows, "loads")),
        "worker_seconds": {"load": round(cleared.load_seconds + total(windows, "load_seconds"), 3), **stages},
        "device": joined(windows, "device"),
        "dtype": joined(windows, "dtype"),
        **({"dtype_because": cleared.why} if cleared.why else {}),
        **{name: remarks for name in REMARKS if (remarks := joined(windows, name, "; "))},
    }


def joined(windows: Sequence[Mapping[str, Any]], name: str, between: str = ", ") -> str:
    """Return what windows say of a name, those already joined included, each different answer once."""
    return between.join(sorted({part for each in windows for part in str(each.get(name, "")).split(between) if part}))


def total(windows: Sequence[Mapping[str, Any]], name: str) -> float:
    """Return the sum of one figure over all windows."""
    return float(sum(w[name] for w in windows))
