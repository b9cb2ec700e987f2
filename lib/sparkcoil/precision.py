"""Which number format is the fastest that is right: bfloat16 or float16 where the hardware has it, tried beside float32 on a sample."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sparkcoil.scorer import Scorer, device_here
from sparkcoil.spec import Spec
from sparkcoil.tasks import Row

# What the product promises for half precision; labels, texts and offsets must be equal.
TOLERANCE = 5e-3
# A format that is hardly faster is not worth its error; a few turns tell, of slow models one.
LEAST_GAIN = 1.05
TURNS = 3
PATIENCE_SECONDS = 2.0
CPU_FLAGS = ("amx_bf16", "avx512_bf16", "bf16")
CPUINFO = Path("/proc/cpuinfo")


def trial(spec: Spec, rows: Sequence[Row]) -> Mapping[str, Any]:
    """Return the format to run a model in, and why: float32 unless another is native here, agrees on the rows, and is faster on them."""
    device = device_here(spec.placement.device)
    candidate = native(device)
    if candidate is None:
        return {"dtype": "float32", "why": f"{device} computes in no shorter format natively"}
    scorers = [Scorer(replace(spec, placement=replace(spec.placement, dtype=dtype))) for dtype in ("float32", candidate)]
    exact, short = (scorer.score(rows)[0] for scorer in scorers)
    compared = [(a.prediction, b.prediction) for a, b in zip(exact, short, strict=True) if a.prediction is not None]
    apart = sum(not agrees(a, b) for a, b in compared)
    if apart or not compared:
        why = f"{candidate} is not within {TOLERANCE} of float32 on {apart} of {len(compared)} sample rows that could be scored"
        return {"dtype": "float32", "why": why}
    gain = gained(scorers[0], scorers[1], rows)
    if gain < LEAST_GAIN:
        return {"dtype": "float32", "why": f"{candidate} is native on {device}, and only {gain:.2f} times as fast on the sample rows"}
    why = f"native on {device}, {gain:.1f} times as fast as float32, and within {TOLERANCE} of it on {len(compared)} sample rows"
    return {"dtype": candidate, "why": why}


def gained(exact: Scorer, short: Scorer, rows: Sequence[Row]) -> float:
    """Return how many times as fast as the first scorer the second one is on rows that both have scored once, in turns."""
    seconds: tuple[list[float], list[float]] = ([], [])
    while not seconds[0] or (len(seconds[0]) < TURNS and sum(seconds[0]) < PATIENCE_SECONDS):
        for scorer, taken in zip((exact, short), seconds, strict=True):
            taken.append(forward_seconds(scorer, rows))
    return min(seconds[0]) / max(min(seconds[1]), 1e-9)


def forward_seconds(scorer: Scorer, rows: Sequence[Row]) -> float:
    """Return what the model's own part of scoring the rows takes."""
    return float(scorer.score(rows)[1]["seconds"]["forward"])


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
        return isinstance(short, Mapping) and all(name in short and agrees(exact[name], short[name]) for name in exact)
    if isinstance(exact, np.ndarray):
        return np.shape(short) == exact.shape and bool(np.allclose(exact, short, rtol=0, atol=TOLERANCE))
    if isinstance(exact, float | np.floating) or isinstance(short, float | np.floating):
        numbers = all(isinstance(each, int | float | np.integer | np.floating) for each in (exact, short))
        return numbers and math.isclose(exact, short, rel_tol=0, abs_tol=TOLERANCE)
    if isinstance(exact, list | tuple):
        return len(exact) == len(short) and all(map(agrees, by_name(exact), by_name(short)))
    return bool(exact == short)


def by_name(items: Sequence[Any]) -> Sequence[Any]:
    """Return a ranking in the order of its labels, anything else as it is."""
    ranked = all(isinstance(each, Mapping) and {"label", "score"} <= set(each) for each in items)
    return sorted(items, key=lambda each: str(each["label"])) if ranked else items
