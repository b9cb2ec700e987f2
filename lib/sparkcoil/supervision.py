"""Scores in a child process what has ended a worker before: a row that crashes or hangs the model fails alone.

The first attempt of a Spark task scores in the worker itself. Where that was killed, hung or lost its device, Spark tries the task again,
and that attempt hands its rows to a child, a few at a time. If the child ends over them, or gives no sign of life for too long, they are
handed to a new one by themselves, and the row that ends it then is failed with RowError("model", code, message):

crash      the process ended by itself, by a signal or with its device lost
oom        the process was killed, as the system does where memory has run out
timeout    the model gave no sign of life for `batching.batch_timeout_seconds`
"""

import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Pipe
from typing import Any

from sparkcoil import errors, scorer, weights
from sparkcoil.errors import RowError, SparkcoilError
from sparkcoil.scoring import Record, Stats, identity
from sparkcoil.spec import Spec
from sparkcoil.supervised import LOST_DEVICE, Loading
from sparkcoil.tasks import Row

# What is scored again, row by row, where a child has ended over it; more rows would fill larger batches.
ROWS_AT_ONCE = 64
# Time to write its stack, for a child that is told to end.
LAST_WORDS_SECONDS = 10


class ChildEnded(Exception):
    """The child ended, or was ended, over the rows that it had; `error` is what becomes of a row that it had alone."""

    def __init__(self, error: RowError) -> None:
        super().__init__(error.message)
        self.error = error


@dataclass
class Supervisor:
    """Scores rows in a child that is started anew where it has ended; rows that have ended one are remembered."""

    loading: Loading
    child: "Child | None" = None
    blamed: dict[Hashable, Record] = field(default_factory=dict)
    loads: list[float] = field(default_factory=list)
    about: Mapping[str, Any] = field(default_factory=dict)

    def score(self, rows: Sequence[Row]) -> tuple[list[Record], dict[str, Any]]:
        """Return one record for each row, in the rows' order, and what they cost, loading included; equal rows are computed once."""
        keys = [identity(row) for row in rows]
        todo = list({key: row for key, row in zip(keys, rows, strict=True) if key not in self.blamed}.items())
        self.about = self.about or self._living().about
        stats, found = Stats(rows=len(rows), computed_rows=len(todo)), dict(self.blamed)
        for start in range(0, len(todo), ROWS_AT_ONCE):
            some = todo[start : start + ROWS_AT_ONCE]
            found.update(zip((key for key, _ in some), self._together([row for _, row in some], stats), strict=True))
        self.blamed.update({key: found[key] for key, _ in todo if is_blamed(found[key])})
        loads, self.loads = self.loads, []
        cost = {"loads": len(loads), "load_seconds": sum(loads), "worker": os.getpid()}
        return [found[key] for key in keys], {**vars(stats), **self.about, **cost}

    def _together(self, rows: Sequence[Row], stats: Stats) -> list[Record]:
        try:
            return self._asked(rows, stats)
        except ChildEnded:
            return [self._alone(row, stats) for row in rows]

    def _alone(self, row: Row, stats: Stats) -> Record:
        try:
            return self._asked([row], stats)[0]
        except ChildEnded as ended:
            return Record(None, ended.error)

    def _asked(self, rows: Sequence[Row], stats: Stats) -> list[Record]:
        records, cost = self._living().score(rows)
        stats.add(cost)
        return records

    def _living(self) -> "Child":
        if self.child is None or self.child.ended:
            start = time.perf_counter()
            self.child = Child(self.loading)
            self.about = self.child.about
            self.loads.append(time.perf_counter() - start)
        return self.child


def supervisor(spec: Spec) -> Supervisor:
    """Return what scores with a spec in a child, which knows nothing of Spark: where the model and the device are is found out here."""
    import torch

    device = scorer.device_here(spec.placement.device)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        gc.collect()
        torch.cuda.empty_cache()  # of models that this process has had
    return Supervisor(Loading(spec, weights.locate(spec.weights), device, torch.get_num_threads()))


def is_blamed(record: Record) -> bool:
    """Tell whether a record is that of a row that has ended a child."""
    return record.error is not None and record.error.code in ("crash", "oom", "timeout")


class Child:
    """A process with a model of its own, which scores what it is handed."""

    def __init__(self, loading: Loading) -> None:
        """Start it and wait until the model is loaded; raises what loading raises, as a SparkcoilError."""
        self.ended, self.timeout = False, loading.spec.timeout
        self._ours, theirs = Pipe()
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "sparkcoil.supervised", str(theirs.fileno())],
                env=environment,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=2,
            )
        try:
            self._ours.send(loading)
            self.about: Mapping[str, Any] = self._answer()[0]
        except ChildEnded as ended:
            raise SparkcoilError(f"loading the model: {ended.error.message}") from None

    def __del__(self) -> None:
        """Let it go: it ends when nobody is left to ask it."""
        self._ours.close()
        if hasattr(self, "_process"):
            self._end(signal.SIGKILL)

    def score(self, rows: Sequence[Row]) -> tuple[list[Record], Stats]:
        """Return the records of rows and what they cost; raises ChildEnded where there are none."""
        try:
            self._ours.send(rows)
        except ConnectionError:
            raise self._failure() from None
        records, stats = self._answer()
        return records, stats

    def _answer(self) -> Sequence[Any]:
        limit: float | None = None
        try:
            while self._ours.poll(limit):
                said: list[Any]
                kind, *said = self._ours.recv()
                if kind == "refused":
                    self.ended = True
                    raise getattr(errors, said[0])(said[1])
                if kind == "done":
                    return said
                limit = self.timeout if kind == "begins" else None
        except (EOFError, ConnectionError):
            raise self._failure() from None
        self._end(signal.SIGABRT)  # at which it writes its stack
        self.ended = True
        raise ChildEnded(RowError("model", "timeout", f"the model gave no sign of life for {self.timeout:g} s", retryable=True))

    def _failure(self) -> ChildEnded:
        self.ended = True
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(LAST_WORDS_SECONDS)
        code = self._process.poll()
        self._end(signal.SIGKILL)
        if code == -signal.SIGKILL:
            return ChildEnded(RowError("model", "oom", "the model's process was killed, as where memory has run out", retryable=True))
        return ChildEnded(RowError("model", "crash", f"the model's process {how_it_ended(code)}"))

    def _end(self, number: int) -> None:
        for each in (number, signal.SIGKILL):
            if self._process.poll() is None:
                self._process.send_signal(each)
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(LAST_WORDS_SECONDS)


def how_it_ended(code: int | None) -> str:
    """Return how a process ended, in words, by its exit code."""
    if code == LOST_DEVICE:
        return "lost its device"
    if code is None or code >= 0:
        return f"ended with exit code {code}"
    known = {each.value: each.name for each in signal.Signals}
    return f"was ended by {known.get(-code, f'signal {-code}')}"
