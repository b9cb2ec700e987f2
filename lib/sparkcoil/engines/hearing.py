"""What engines that hear have in common: headers are probed for a window, recordings are decoded for the batch at hand alone.

Threads decode and make features for a batch while the model is at work on the one before it: decoding releases Python's lock.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sparkcoil import batching
from sparkcoil.engines import Prepared
from sparkcoil.errors import RowError
from sparkcoil.media import Samples
from sparkcoil.recordings import Sound

THREADS = 2
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


class Ear:
    """Hears clips at a model's rate, ahead of their batch; holds what was heard until its batch takes it."""

    def __init__(self, rate: int, extract: Callable[[Samples], Any]) -> None:
        self.rate = rate
        self._extract = extract
        self._threads: ThreadPoolExecutor | None = None
        self._coming: dict[Clip, Future[Heard | RowError]] = {}
        self._seconds: dict[str, float] = {}
        self._counting = threading.Lock()

    def durations(self, sounds: Sequence[Sound]) -> list[float | RowError]:
        """Return the duration of each recording in seconds, or the row's failure, by headers alone."""
        return list(self._pool().map(lambda sound: attempted(sound.probe), sounds))

    def length(self, seconds: float) -> int:
        """Return how many samples so many seconds are at the model's rate."""
        return math.floor(seconds * self.rate + 0.5)

    def expect(self, batch: Sequence[Prepared]) -> None:
        """Start to hear the clips of inputs whose turn comes soon."""
        for each in batch:
            if each.features not in self._coming:
                self._coming[each.features] = self._pool().submit(attempted, self._heard, each.features)

    def hear(self, batch: Sequence[Prepared]) -> list[Heard | RowError]:
        """Return what each clip of a batch is as features, or why it cannot be heard, which is its row's failure alone."""
        self.expect(batch)
        with self._timed("wait"):
            return [self._coming.pop(each.features).result() for each in batch]

    def spent(self) -> Mapping[str, float]:
        """Return the seconds since last asked that threads took to decode and to make features, and that the model waited for them."""
        with self._counting:
            seconds, self._seconds = self._seconds, {}
        return seconds

    def _heard(self, clip: Clip) -> Heard:
        with self._timed("decode"):
            recording = clip.sound.samples(self.rate, clip.start, clip.seconds)
        with self._timed("features"):
            features = self._extract(recording.samples) if recording.samples.size else None
        return Heard(features, len(recording.samples), recording.seconds, recording.warnings)

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            with self._counting:
                self._seconds[stage] = self._seconds.get(stage, 0.0) + time.perf_counter() - start

    def _pool(self) -> ThreadPoolExecutor:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS, "sparkcoil-ear")
        return self._threads


class Hearer:
    """An engine that hears by an ear: batches to come are heard ahead of their turn."""

    ear: Ear

    def expect(self, batch: Sequence[Prepared]) -> None:
        """Start to hear what a batch to come will need."""
        self.ear.expect(batch)

    def spent(self) -> Mapping[str, float]:
        """Return what hearing took."""
        return self.ear.spent()


def attempted(function: Callable[..., Any], *given: Any) -> Any:
    """Return the function's result, or the failure of the row that it raised on."""
    try:
        return function(*given)
    except RowError as error:
        return error
    except Exception as error:
        if batching.is_fatal(error):
            raise
        return RowError("input", "undecodable_audio", f"decoding raised {type(error).__name__}", retryable=batching.is_out_of_memory(error))
