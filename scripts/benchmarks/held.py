"""Whether two outputs are the same: what disagrees beyond the tolerance is not worth timing."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

TOLERANCE, SHORT_TOLERANCE = 1e-4, 5e-3


class Disagreement(Exception):
    """Outputs differ by more than is allowed; the message names a row by its number and never holds its content."""


def tolerance(dtype: str) -> float:
    """Return how far apart scores may be in a number format."""
    return TOLERANCE if dtype == "float32" else SHORT_TOLERANCE


def difference(mine: Any, its: Any) -> float:
    """Return how far apart two outputs are: their scores or vectors by the largest difference, texts by 0 or infinity."""
    if isinstance(mine, Mapping):
        return max((abs(mine[label] - its[label]) for label in mine), default=0.0) if {*mine} == {*its} else float("inf")
    if isinstance(mine, np.ndarray):
        return float(np.abs(mine - its).max()) if mine.shape == np.shape(its) else float("inf")
    return 0.0 if mine == its else float("inf")


def cosine(mine: np.ndarray, its: np.ndarray) -> float:
    """Return the cosine of the angle between two vectors."""
    return float(mine @ its / (np.linalg.norm(mine) * np.linalg.norm(its)))


def best(output: Any) -> Any:
    """Return the label of the highest score, anything else as it is."""
    return max(output, key=output.__getitem__) if isinstance(output, Mapping) else output


def near_tie(scores: Mapping[str, float], allowed: float) -> bool:
    """Tell whether the two best scores are so close that either label may be first."""
    first, second = [*sorted(scores.values(), reverse=True), 0.0][:2]
    return first - second < 2 * allowed


def share_equal(ours: Sequence[Any], theirs: Sequence[Any]) -> float:
    """Return the share of rows with equal texts or best labels, or with vectors within the tolerance."""
    return sum(alike(a, b) for a, b in zip(ours, theirs, strict=True)) / max(1, len(ours))


def alike(mine: Any, its: Any) -> bool:
    """Tell whether two outputs say the same."""
    return difference(mine, its) <= TOLERANCE if isinstance(mine, np.ndarray) else bool(best(mine) == best(its))


def held(ours: Sequence[Any], theirs: Sequence[Any], allowed: float, texts_apart: float = 0.0) -> dict[str, float]:
    """Return the share of equal rows and the largest difference; raise Disagreement unless outputs agree.

    Of texts, `texts_apart` is the share that may differ.
    """
    if len(ours) != len(theirs):
        raise Disagreement(f"there are {len(ours)} outputs, and {len(theirs)} of the native pipeline")
    apart = [difference(a, b) for a, b in zip(ours, theirs, strict=True)]
    equal = share_equal(ours, theirs)
    if ours and isinstance(ours[0], str):
        if 1 - equal > texts_apart + 1e-9:
            where = apart.index(float("inf"))
            raise Disagreement(
                f"{1 - equal:.1%} of texts differ where {texts_apart:.1%} may, the first in row {where}, "
                f"from character {first_apart(ours[where], theirs[where])} on"
            )
        return {"equal": equal}
    for row, each in enumerate(apart):
        if not each <= allowed:  # so that NaN is none either
            raise Disagreement(f"row {row} is {each:.1e} apart, where {allowed:.0e} is allowed")
    found = {"equal": equal, "largest_difference": max(apart, default=0.0)}
    if ours and isinstance(ours[0], np.ndarray):
        found["smallest_cosine"] = min(cosine(a, b) for a, b in zip(ours, theirs, strict=True))
    return found


def first_apart(mine: str, its: str) -> int:
    """Return where two texts begin to differ."""
    return next((i for i, (a, b) in enumerate(zip(mine, its, strict=False)) if a != b), min(len(mine), len(its)))


def labels_held(ours: Sequence[Mapping[str, float]], theirs: Sequence[str | None], allowed: float) -> float:
    """Return the share of labels that are others than ours where our two best scores are no near tie."""
    wrong = [best(a) != b and not near_tie(a, allowed) for a, b in zip(ours, theirs, strict=True)]
    return sum(wrong) / max(1, len(wrong))
