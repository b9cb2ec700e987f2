"""A recording as windows, the pieces that a Whisper hears at once: how each is heard, and what was heard in it.

Knows nothing of torch, Spark or MLflow.
"""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from sparkcoil.engines.hearing import Clip
from sparkcoil.media import Samples

# Nothing is louder than two steps of 16 bits: there is nothing to hear, and a Whisper makes words up for it.
SILENCE = 2.0**-14


@dataclass(frozen=True)
class Plan:
    """How a window is decoded, after tokens of a `prompt`; windows of equal plans share a call, one that samples has a call of its own."""

    prompt: tuple[int, ...]
    limit: int
    settings: tuple[tuple[str, Any], ...]
    seed: int | None


@dataclass(frozen=True, eq=False, kw_only=True)
class Window(Clip):
    """A clip of which the first `before` and the last `after` samples belong to its neighbours too.

    A language of None is found out by listening; a task of None is left to a model that knows but one.
    """

    before: int = 0
    after: int = 0
    language: int | None
    task: int | None
    plan: Plan


@dataclass(frozen=True, eq=False)
class Mel:
    """A window as the model takes it: its log-mel features, how many frames of them hold sound, and the checksum of its samples."""

    features: Samples
    frames: int
    checksum: int


@dataclass(frozen=True, eq=False)
class Passage:
    """What was heard in a window: tokens, the second of the window at which each was said, and whether the text came to its end.

    The window held `length` samples, and ended at second `ends` of the recording.
    """

    window: Window
    length: int
    ends: float
    warnings: tuple[str, ...] = ()
    tokens: tuple[int, ...] = ()
    seconds: tuple[float, ...] = ()
    language: int | None = None
    complete: bool = True


class Piece(NamedTuple):
    """Where a window lies among a recording's samples, and how many of them its neighbours have too."""

    start: int
    length: int
    before: int
    after: int


def cut(count: int, length: int, left: int, right: int) -> Iterator[Piece]:
    """Yield the pieces of so many samples, of which each shares some with the one before and the one after; the last one ends with them."""
    for start in range(0, count, length - left - right):
        last = start + length >= count
        yield Piece(start, min(length, count - start), 0 if start == 0 else left, 0 if last else right)
        if last:
            return


def to_the_end(passages: Sequence[Passage], rate: int) -> list[Passage]:
    """Return the passages up to the one in which the recording ends: one that breaks off ends before its header says."""
    ends = [round(each.window.start * rate) + each.length if each.length else 0 for each in passages]
    last = ends.index(max(ends))
    return [*passages[:last], replace(passages[last], window=replace(passages[last].window, after=0))]


def is_silent(samples: Samples) -> bool:
    """Tell whether there is nothing to hear."""
    return bool(np.abs(samples).max(initial=0.0) <= SILENCE)


def checksum(samples: Samples) -> int:
    """Return a number that stands for samples."""
    return zlib.crc32(samples.tobytes())
