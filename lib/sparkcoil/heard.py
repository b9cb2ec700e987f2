"""What was decoded of recordings while two models hear the same rows, so that what both ask for is decoded once.

Knows nothing of Spark, MLflow or torch.
"""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sparkcoil.media import Recording

# Past this, what else is heard is not kept, and decoded again.
MOST_BYTES = 2**28

_heard: "dict[Hashable, Recording] | None" = None


@contextmanager
def remembered() -> Iterator[None]:
    """Within the block, in every thread, what is asked for twice alike is decoded once."""
    global _heard
    _heard = {}
    try:
        yield
    finally:
        _heard = None


def once(asked: Hashable, decode: "Callable[[], Recording]") -> "Recording":
    """Return what was decoded for the same asking, where that is remembered, else what `decode` gives now."""
    known = _heard
    if known is None:
        return decode()
    if asked not in known:
        found = decode()
        if sum(each.samples.nbytes for each in [*known.values()]) + found.samples.nbytes > MOST_BYTES:
            return found
        known[asked] = found
    return known[asked]
