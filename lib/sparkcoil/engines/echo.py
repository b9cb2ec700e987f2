"""A model without weights, for tests: it gives the sha256 of each text, and misbehaves where a marker in a text tells it to.

docs/testing.md has the markers. What it notes of its calls is read by testing.py.
"""

import ctypes
import hashlib
import math
import os
import re
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sparkcoil.batching import Batching, Budget
from sparkcoil.engines import Placement, Prepared
from sparkcoil.tasks.echo import EchoOptions

MARKER = re.compile(r"<([a-z-]+)(?::(\d+(?:\.\d+)?))?>")


def fail(text: str) -> None:
    """Raise what a model may raise, quoting the row."""
    raise ValueError(f"told to fail: {text}")


def lose_device(text: str) -> None:
    """Raise what torch raises where a kernel has failed, after which the device is lost to the process."""
    raise RuntimeError("CUDA error: device-side assert triggered")


def crash(text: str) -> None:
    """End the process by reading where nothing is."""
    ctypes.string_at(0)


def leave(text: str) -> None:
    """End the process without a word."""
    os._exit(3)


def kill(text: str) -> None:
    """End the process as the kernel does where memory has run out."""
    os.kill(os.getpid(), signal.SIGKILL)


def hang(text: str) -> None:
    """Sleep for ever."""
    while True:
        time.sleep(3600)


DEEDS: Mapping[str, Callable[[str], None]] = {
    "fail": fail,
    "lost-device": lose_device,
    "crash": crash,
    "exit": leave,
    "kill": kill,
    "hang": hang,
}


@dataclass
class Echo:
    """The model: what it was told of each text, and how often it has run out of memory on it."""

    options: EchoOptions
    facts: Mapping[str, Any] = field(default_factory=dict)
    unit: str = "tokens"
    per_unit: float = 1.0
    batching: Batching = "padded"
    budget: Budget = Budget(16_384, 64)
    calls: int = 0
    exhausted: Counter[str] = field(default_factory=Counter)

    def prepare(self, items: Sequence[str]) -> list[Prepared]:
        """Return each text with its number of words."""
        return [Prepared(each, max(1, len(each.split()))) for each in items]

    def forward(self, batch: Sequence[Prepared]) -> list[str | None]:
        """Return the hash of each text, None for what is to be not a number, unless one of them tells otherwise."""
        texts: list[str] = [each.features for each in batch]
        self.calls += 1
        if self.options.log is not None:
            note(Path(self.options.log), texts, self.calls)
        time.sleep(self.options.batch_seconds + self.options.row_seconds * len(texts))
        told = [self.obeyed(each) for each in texts]
        results = [None if "nan" in names else hash_of(each) for each, names in zip(texts, told, strict=True)]
        return results[:-1] if any("wrong-count" in names for names in told) else results

    def obeyed(self, text: str) -> set[str]:
        """Do what the markers in a text say, and return their names."""
        markers = dict(MARKER.findall(text))
        for name, amount in markers.items():
            if name in DEEDS:
                DEEDS[name](text)
            if name == "slow":
                time.sleep(float(amount or 1))
            if name == "oom" and self.exhausted[text] < float(amount or math.inf):
                self.exhausted[text] += 1
                raise MemoryError(text)
        return set(markers)


def hash_of(text: str) -> str:
    """Return the sha256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def note(folder: Path, texts: Sequence[str], call: int) -> None:
    """Append a line for each row of a call to this process's file, all at once, before anything can go wrong."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(f"{hash_of(each)} {call}\n" for each in texts)
    file = os.open(folder / f"{socket.gethostname()}-{os.getpid()}.calls", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, lines.encode())
    finally:
        os.close(file)


def load(artifact: Path, options: EchoOptions, placement: Placement) -> Echo:
    """Return the model, which has nothing to load."""
    return Echo(options)
