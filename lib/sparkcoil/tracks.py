"""How far the decoding of each window of sound has come, and what its tokens say of where it goes on.

Knows nothing of Spark or MLflow.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

import torch

from sparkcoil.engines.hearing import Heard
from sparkcoil.errors import RowError
from sparkcoil.planning import seed_of
from sparkcoil.windows import Mel, Passage, Window


@dataclass
class Track:
    """How far the decoding of a window has come: what was heard so far, and the frame from which the rest is heard."""

    window: Window
    heard: Heard
    language: int | None
    opening: tuple[int, ...]
    frame: int = 0
    tokens: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    complete: bool = True
    finite: bool = True

    @property
    def mel(self) -> Mel:
        """What the model is given of the window."""
        found: Mel = self.heard.features
        return found

    @property
    def seed(self) -> int | None:
        """The seed of sampling, None where the window is decoded without."""
        seed = self.window.plan.seed
        return None if seed is None else seed_of(seed, [self.mel.checksum])

    def result(self) -> Passage | RowError:
        """Return what was heard, or the failure of a window for which the model gave NaN."""
        if not self.finite:
            return RowError("output", "non_finite", "the model gave NaN")
        said = tuple(self.tokens), tuple(self.seconds), self.language, self.complete
        return Passage(self.window, self.heard.length, self.heard.ends, self.heard.warnings, *said)


def alike(tracks: Sequence[Track]) -> list[list[int]]:
    """Return the positions of tracks that may share a call."""
    groups: dict[Hashable, list[int]] = {}
    for i, track in enumerate(tracks):
        key = (track.window.plan, len(track.opening), i if track.window.plan.seed is not None else None)
        groups.setdefault(key, []).append(i)
    return list(groups.values())


def rest(features: torch.Tensor, frame: int) -> torch.Tensor:
    """Return a window's features from a frame on, with nothing behind them."""
    return torch.nn.functional.pad(features[:, frame:], (0, frame))


def until(tokens: Sequence[int], ends: Sequence[int]) -> list[int]:
    """Return the tokens before the first that ends a text."""
    return list(takewhile(lambda token: token not in ends, tokens))


def settled(tokens: Sequence[int], first: int) -> tuple[int, int | None]:
    """Return how many of the tokens stand, and the timestamp from which the window is heard again, None where it is not.

    Two timestamps in a row end one segment and begin another. What follows the last such pair was cut off by the window's end,
    unless a single timestamp closes it.
    """
    times = [token >= first for token in tokens]
    pairs = [i for i in range(1, len(tokens)) if times[i - 1] and times[i]]
    if not pairs or times[-2:] == [False, True]:
        return len(tokens), None
    return pairs[-1] + 1, tokens[pairs[-1] - 1] - first
