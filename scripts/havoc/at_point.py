"""The scoring job, whose driver and JVM kill themselves at a named point: `at_point.py POINT NUMBER CONF`; POINTS has them all.

A point within one of Delta's or Spark's writes is when its files appear: those are looked for every few milliseconds.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from sparkcoil import chunks, lease, pipeline, sink, staging
from sparkcoil.cli import score
from sparkcoil.runfile import load_config

LOOK_SECONDS = 0.002
# A function of the library, before or after which the driver dies.
AROUND = {
    "target.create": (sink, "create"),
    "stage.write": (staging, "write_chunk"),
    "stage.measure": (staging, "measure"),
    "publish": (sink, "publish"),
    "confirm": (sink, "confirmed"),
    "stage.clear": (staging, "clear"),
    "report": (pipeline.tracking, "log_run"),
    "preflight": (chunks, "cleared"),
    "lease": (lease, "acquired"),
}
# Files of the target's folder, by whose appearance the driver dies in the middle of a write.
WITHIN = {
    "stage.files": "_sparkcoil/*/*/{number}/**/*.parquet",
    "stage.done": "_sparkcoil/*/*/{number}/_SUCCESS",
    "publish.files": "*.parquet",
    "publish.commit": "_delta_log/{number:020d}.json",
}
POINTS = [*(f"{when} {name}" for name in AROUND for when in ("before", "after")), *(f"within {name}" for name in WITHIN)]


def die() -> None:
    """Kill the driver, its JVM and its workers, which are of one process group."""
    os.killpg(0, signal.SIGKILL)


def around(when: str, name: str, number: int) -> None:
    """Let the driver die before or after a function's call of a number."""
    module, function = AROUND[name]
    real: Callable[..., Any] = getattr(module, function)
    calls = iter(range(1_000_000))

    def called(*given: Any, **named: Any) -> Any:
        mine = next(calls) == number
        if mine and when == "before":
            die()
        result = real(*given, **named)
        if mine:
            die()
        return result

    setattr(module, function, called)


def within(target: Path, pattern: str, before: set[Path]) -> None:
    """Let the driver die as soon as the target has a file that it did not have."""
    while not {*target.glob(pattern)} - before:
        time.sleep(LOOK_SECONDS)
    die()


def main() -> None:
    """Run the job to its point."""
    point, number, conf = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    when, _, name = point.partition(" ")
    if when == "within":
        target = Path(str(load_config(conf).target.path))
        pattern = WITHIN[name].format(number=number)
        threading.Thread(target=within, args=(target, pattern, {*target.glob(pattern)}), daemon=True).start()
    else:
        around(when, name, number)
    sys.argv[1:] = [conf]
    typer.run(score)


if __name__ == "__main__":
    main()
