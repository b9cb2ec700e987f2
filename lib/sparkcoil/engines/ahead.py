"""Getting inputs ready ahead of their batch: threads decode for a batch while the model is at work on the one before it.

Decoding releases Python's lock. What is ready is held until its batch takes it.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from sparkcoil import batching
from sparkcoil.engines import Prepared
from sparkcoil.errors import RowError

THREADS = 2


class Ahead:
    """Makes of each input's features what the model takes, ahead of its batch; what an exception makes of a row has the medium's code."""

    def __init__(self, make: Callable[[Any], Any], medium: str) -> None:
        self._make = make
        self._medium = medium
        self._threads: ThreadPoolExecutor | None = None
        self._coming: dict[Any, Future[Any]] = {}
        self._seconds: dict[str, float] = {}
        self._counting = threading.Lock()

    def each(self, function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        """Return what the function gives for each item, by the threads, or the row's failure."""
        return list(self._pool().map(lambda item: self._attempted(function, item), items))

    def expect(self, batch: Sequence[Prepared]) -> None:
        """Start to make what a batch to come will need."""
        for each in batch:
            if each.features not in self._coming:
                self._coming[each.features] = self._pool().submit(self._attempted, self._make, each.features)

    def taken(self, batch: Sequence[Prepared]) -> list[Any]:
        """Return what was made for each input of a batch, or why it could not be, which is its row's failure alone."""
        self.expect(batch)
        with self.timed("wait"):
            return [self._coming.pop(each.features).result() for each in batch]

    def spent(self) -> Mapping[str, float]:
        """Return the seconds since last asked that threads took by stage, and that the model waited for them."""
        with self._counting:
            seconds, self._seconds = self._seconds, {}
        return seconds

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time of the block to a stage's seconds."""
        start = time.perf_counter()
        try:
            yield
        finally:
            with self._counting:
                self._seconds[stage] = self._seconds.get(stage, 0.0) + time.perf_counter() - start

    def _pool(self) -> ThreadPoolExecutor:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS, "sparkcoil-ahead")
        return self._threads

    def _attempted(self, function: Callable[[Any], Any], item: Any) -> Any:
        try:
            return function(item)
        except RowError as error:
            return error
        except Exception as error:
            if batching.is_fatal(error):
                raise
            told = f"decoding raised {type(error).__name__}"
            return RowError("input", f"undecodable_{self._medium}", told, retryable=batching.is_out_of_memory(error))
