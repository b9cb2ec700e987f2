"""How much memory the Python workers of a job have: each job's are told apart by a variable in their environment."""

import threading
from collections.abc import Callable
from pathlib import Path

from pyspark.sql import SparkSession

MARK = "BENCHMARK_WORKER"
EVERY = 0.5


def peak_mebibytes(spark: SparkSession, mark: str, run: Callable[[], object]) -> int:
    """Return the most memory that all Python workers have had at once during a run whose functions are made in it.

    Pages that they share are counted once (Linux's Pss). Workers are started for the run alone, since Spark shares them only among
    functions with the same environment.
    """
    told, ended, highest = spark.sparkContext.environment, threading.Event(), [0]

    def watch() -> None:
        while not ended.wait(EVERY):
            highest[0] = max(highest[0], sum(map(proportional, Path("/proc").glob("[0-9]*"))))

    def proportional(process: Path) -> int:
        try:
            if f"{MARK}={mark}".encode() not in (process / "environ").read_bytes().split(b"\0"):
                return 0
            told = (process / "smaps_rollup").read_text().split("\nPss:")
            return int(told[1].split()[0]) if len(told) > 1 else 0
        except OSError:  # it has ended, or is another's
            return 0

    watcher = threading.Thread(target=watch, daemon=True)
    told[MARK] = mark
    watcher.start()
    try:
        run()
    finally:
        told.pop(MARK)
        ended.set()
        watcher.join()
    return highest[0] // 1024
