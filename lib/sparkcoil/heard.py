"""What was decoded of recordings while two models hear the same rows, so that what both ask for is decoded once.

Knows nothing of Spark, MLflow or torch.
"""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sparkcoil.media import Recording

# Past this, what else is heard is not kept, and decoded again.
MOST_BYTES = 2**28


@dataclass
class Heard:
    """What was decoded, by what was asked for, and how many bytes of samples that is."""

    recordings: "dict[Hashable, Recording]" = field(default_factory=dict)
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


def once(asked: Hashable, decode: "Callable[[], Recording]") -> "Recording":
    """Return what was decoded for the same asking, where that is remembered, else what `decode` gives now."""
    known = _heard
    if known is None:
        return decode()
    if asked in known.recordings:
        return known.recordings[asked]
    found = decode()
    if known.size + found.samples.nbytes <= MOST_BYTES:
        known.recordings[asked] = found
        known.size += found.samples.nbytes
    return found
