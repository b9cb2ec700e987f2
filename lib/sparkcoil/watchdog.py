"""Whether a model is still at work on a batch: each of its forward passes, such as each step of a text, is a sign of life.

Knows nothing of Spark, MLflow or torch.
"""

import faulthandler
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# The share of the limit within which one sign of life is enough: a small model gives thousands a second.
PAUSE = 0.05

_watching: "Watch | None" = None


@dataclass
class Watch:
    """What a batch is computed within: `begins` starts its time anew at each sign of life, `ends` stops it."""

    begins: Callable[[], None]
    ends: Callable[[], None]
    pause: float
    told: float = 0.0

    def __enter__(self) -> None:
        """Start the batch's time."""
        global _watching
        _watching = self
        self.told = time.monotonic()
        self.begins()

    def __exit__(self, *raised: object) -> None:
        """Stop the batch's time."""
        global _watching
        _watching = None
        self.ends()

    def alive(self) -> None:
        """Start the batch's time anew, unless that was done a moment ago."""
        now = time.monotonic()
        if now - self.told >= self.pause:
            self.told = now
            self.begins()


def beat(*call: object) -> None:
    """Give a sign of life to the watch that there is, if any."""
    if _watching is not None:
        _watching.alive()


def listen(engine: Any) -> None:
    """Take each forward pass of an engine's model, where it has one, as a sign of life."""
    model: Any = getattr(engine, "model", None)
    if hasattr(model, "register_forward_pre_hook"):
        model.register_forward_pre_hook(beat)


def ending(seconds: float) -> Watch:
    """Return a watch that ends the process without a sign of life for so long, with its stack on stderr.

    A thread that knows nothing of Python does it, whatever the process is at.
    """

    def begins() -> None:
        faulthandler.dump_traceback_later(seconds, exit=True, file=2)

    return Watch(begins, faulthandler.cancel_dump_traceback_later, PAUSE * seconds)
