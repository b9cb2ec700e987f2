"""Which number format is the fastest that is right: bfloat16 or float16 where the hardware has it, held against float32 on a sample."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sparkcoil.scorer import Scorer, Spec, device_here
from sparkcoil.scoring import Record
from sparkcoil.tasks import Row

# What the product promises for half precision; labels, texts and offsets must be equal.
TOLERANCE = 5e-3
CPU_FLAGS = ("amx_bf16", "avx512_bf16", "bf16")
CPUINFO = Path("/proc/cpuinfo")


def trial(spec: Spec, rows: Sequence[Row]) -> Mapping[str, Any]:
    """Return the format to run a model in, and why: float32 unless a faster one is native here and agrees on the rows."""
    device = device_here(spec.placement.device)
    candidate = native(device)
    if candidate is None:
        return {"dtype": "float32", "why": f"{device} computes in no shorter format natively"}
    exact, short = (scored(spec, dtype, rows) for dtype in ("float32", candidate))
    compared = [(a.prediction, b.prediction) for a, b in zip(exact, short, strict=True) if a.prediction is not None]
    apart = sum(not agrees(a, b) for a, b in compared)
    if apart or not compared:
        why = f"{candidate} is not within {TOLERANCE} of float32 on {apart} of {len(compared)} sample rows that could be scored"
        return {"dtype": "float32", "why": why}
    return {"dtype": candidate, "why": f"native on {device}, and within {TOLERANCE} of float32 on {len(compared)} sample rows"}


def scored(spec: Spec, dtype: str, rows: Sequence[Row]) -> Sequence[Record]:
    """Return the records of rows in a number format."""
    return Scorer(replace(spec, placement=replace(spec.placement, dtype=dtype))).score(rows)[0]


def native(device: str) -> str | None:
    """Return the short format that a device computes in natively, None where it has none."""
    if device.startswith("cuda"):
        import torch

        return "bfloat16" if torch.cuda.get_device_capability(device) >= (8, 0) else "float16"
    try:
        flags = next(line for line in CPUINFO.read_text().splitlines() if line.startswith(("flags", "Features"))).split()
    except (OSError, StopIteration):
        return None
    return "bfloat16" if set(CPU_FLAGS) & set(flags) else None


def agrees(exact: Any, short: Any) -> bool:
    """Tell whether two predictions are the same within the tolerance; the order of near ties may differ."""
    if isinstance(exact, Mapping):
        return isinstance(short, Mapping) and all(agrees(exact[name], short[name]) for name in exact)
    if isinstance(exact, np.ndarray):
        return np.shape(short) == exact.shape and bool(np.allclose(exact, short, rtol=0, atol=TOLERANCE))
    if isinstance(exact, float | np.floating):
        return isinstance(short, float | np.floating) and math.isclose(exact, short, rel_tol=0, abs_tol=TOLERANCE)
    if isinstance(exact, list | tuple):
        return len(exact) == len(short) and all(map(agrees, by_name(exact), by_name(short)))
    return bool(exact == short)


def by_name(items: Sequence[Any]) -> Sequence[Any]:
    """Return a ranking in the order of its labels, anything else as it is."""
    ranked = all(isinstance(each, Mapping) and {"label", "score"} <= set(each) for each in items)
    return sorted(items, key=lambda each: str(each["label"])) if ranked else items
