"""What was decoded while two models hear or see the same rows, so that what both ask for is decoded once.

Knows nothing of Spark, MLflow or torch.
"""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, cast

# Past this, what else is heard is not kept, and decoded again.
MOST_BYTES = 2**28


class Decoded(Protocol):
    """A recording, or the pixels of an image."""

    @property
    def nbytes(self) -> int:
        """Return how many bytes of memory it takes."""
        ...


D = TypeVar("D", bound=Decoded)


@dataclass
class Heard:
    """What was decoded, by what was asked for, and how many bytes that is."""

    decoded: dict[Hashable, Any] = field(default_factory=dict)
    size: int = 0


_heard: Heard | None = None


@contextmanager
def remembered() -> Iterator[None]:
    """Within the block, in every thread, what is asked for twice alike is decoded once."""
    global _heard
    _heard = Heard()
    try:
        yield
    finally:
        _heard = None


def once(asked: Hashable, decode: Callable[[], D]) -> D:
    """Return what was decoded for the same asking, where that is remembered, else what `decode` gives now."""
    known = _heard
    if known is None:
        return decode()
    if asked in known.decoded:
        return cast(D, known.decoded[asked])
    found = decode()
    if known.size + found.nbytes <= MOST_BYTES:
        known.decoded[asked] = found
        known.size += found.nbytes
    return found
