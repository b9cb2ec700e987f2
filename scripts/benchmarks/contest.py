"""Who is how fast: contestants take turns, round by round, so that what else the machine does meets all of them alike."""

import math
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Contestant:
    """One who scores: `run` gives the outputs in the order of the rows, `noted` is what it counted of itself."""

    name: str
    run: Callable[[Sequence[Any]], list[Any]]
    noted: dict[str, Any] = field(default_factory=dict)


def timed(contestants: Sequence[Contestant], rows: Sequence[Any], rounds: int) -> dict[str, list[float]]:
    """Return the seconds that each contestant took for all rows in every round, in an order that turns from round to round."""
    seconds: dict[str, list[float]] = {each.name: [] for each in contestants}
    for number in range(rounds):
        turn = number % len(contestants)
        for each in [*contestants[turn:], *contestants[:turn]]:
            started = time.perf_counter()
            each.run(rows)
            seconds[each.name].append(time.perf_counter() - started)
    return seconds


def rounded(timings: dict[str, list[float]]) -> dict[str, list[float]]:
    """Return seconds to the millisecond."""
    return {name: [round(one, 3) for one in each] for name, each in timings.items()}


def fastest(contestants: Sequence[Contestant], rows: Sequence[Any]) -> Contestant:
    """Return the fastest of several that differ in a setting, by one round each."""
    return min(contestants, key=lambda each: timed([each], rows, 1)[each.name])


def peak_mebibytes() -> int:
    """Return the most memory that this process has had."""
    return math.ceil(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
