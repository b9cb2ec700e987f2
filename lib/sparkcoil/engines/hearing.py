"""What engines that hear have in common: headers are probed for a window, recordings are decoded for the batch at hand alone."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sparkcoil.engines import Prepared
from sparkcoil.engines.ahead import Ahead
from sparkcoil.errors import RowError
from sparkcoil.media import Samples
from sparkcoil.recordings import Sound

TOO_SHORT = RowError("input", "audio_too_short", "the recording is shorter than one frame of the model")


@dataclass(frozen=True, eq=False)
class Clip:
    """The part of a recording that one input is made of, to its end where `seconds` is None; the features of its Prepared."""

    sound: Sound
    start: float = 0.0
    seconds: float | None = None

    @property
    def is_whole(self) -> bool:
        """Whether it is all of the recording."""
        return not self.start and self.seconds is None


@dataclass(frozen=True)
class Heard:
    """A clip as the model takes it: the features, from how many samples, where in the recording they end, and its warnings."""

    features: Any
    length: int
    ends: float
    warnings: tuple[str, ...] = ()


class Ear(Ahead):
    """Hears clips at a model's rate, ahead of their batch."""

    def __init__(self, rate: int, extract: Callable[[Samples], Any]) -> None:
        super().__init__(self._heard, "audio")
        self.rate = rate
        self._extract = extract

    def durations(self, sounds: Sequence[Sound]) -> list[float | RowError]:
        """Return the duration of each recording in seconds, or the row's failure, by headers alone."""
        return self.each(Sound.probe, sounds)

    def length(self, seconds: float) -> int:
        """Return how many samples so many seconds are at the model's rate."""
        return math.floor(seconds * self.rate + 0.5)

    def hear(self, batch: Sequence[Prepared]) -> list[Heard | RowError]:
        """Return what each clip of a batch is as features, or why it cannot be heard, which is its row's failure alone."""
        return self.taken(batch)

    def _heard(self, clip: Clip) -> Heard:
        with self.timed("decode"):
            recording = clip.sound.samples(self.rate, clip.start, clip.seconds)
        with self.timed("features"):
            features = self._extract(recording.samples) if recording.samples.size else None
        return Heard(features, len(recording.samples), recording.seconds, recording.warnings)


class Hearer:
    """An engine that hears by an ear: batches to come are heard ahead of their turn."""

    ear: Ear

    def expect(self, batch: Sequence[Prepared]) -> None:
        """Start to hear what a batch to come will need."""
        self.ear.expect(batch)

    def spent(self) -> Mapping[str, float]:
        """Return what hearing took."""
        return self.ear.spent()
