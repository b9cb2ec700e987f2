"""What the R of a job on Spark is made of."""

from collections.abc import Mapping
from typing import Any

from sparkcoil.estimate import ASIDE

SLOTS = 2


def factors(bare: float, seconds: Mapping[str, float], throughput: Mapping[str, Any]) -> dict[str, float]:
    """Return factors whose product is R, from the seconds of bare loops on all slots and from what a run's report says.

    `kernel` is how fast padded tokens are computed, the bare loop being 1; rows that are not computed twice raise it.
    """
    stages = {name: each for name, each in throughput["worker_seconds"].items() if name not in ASIDE}
    forward, busy, padding = stages["forward"], sum(stages.values()), throughput["padding_efficiency"]
    return {
        "padding efficiency": padding,
        "kernel": bare * SLOTS / forward / padding,
        "feed": forward / busy,
        "balance": busy / SLOTS / seconds["score"],
        "besides Spark": seconds["score"] / seconds["total"],
    }
