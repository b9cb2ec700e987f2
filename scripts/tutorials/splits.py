"""Examples drawn without end: those that training may see, and those that it never sees.
Knows nothing of what an example is, other than the texts that would give it away."""

import random
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from make_docstrings import split_of

T = TypeVar("T")


def draws(draw: Callable[[random.Random], T], told_by: Callable[[T], Sequence[str]], *, seed: int, held_out: bool) -> Iterator[T]:
    """The draws of one split, the same for a seed on every machine.

    `told_by` gives the texts that tell an example, the whole last: what is held out as a whole is no part of anything in training.
    """
    chance = random.Random(seed)
    while True:
        drawn = draw(chance)
        splits = [split_of(text) for text in told_by(drawn)]
        if splits[-1] == "held_out" if held_out else "held_out" not in splits:
            yield drawn
