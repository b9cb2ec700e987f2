"""Which processes may be killed: those that a job started, directly or through the cluster that this process started, and no others."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

import psutil

from havoc.scene import Job, Scene

EXECUTOR = "CoarseGrainedExecutorBackend"
# Python workers fork from one of these, and have its command line.
DAEMONS = ("pyspark.daemon", "sparkcoil.daemon")
LOOK_SECONDS = 0.3
# The last kill comes before this share of the rows has been handed to the model, while there is something left to disturb.
SPREAD = 0.9

Victims = Callable[[Job], Sequence[psutil.Process]]


def executors(job: Job) -> list[psutil.Process]:
    """Return the JVMs of the cluster's executors."""
    return [each for each in psutil.Process().children(recursive=True) if EXECUTOR in said(each)]


def python_workers(job: Job) -> list[psutil.Process]:
    """Return the Python workers of the cluster's executors, or of the job itself in local mode."""
    found = []
    for place in executors(job) or [psutil.Process(job.process.pid)]:
        with suppress(psutil.NoSuchProcess):
            found += [each for each in place.children(recursive=True) if is_daemon(each) and is_daemon(each.parent())]
    return found


def is_daemon(process: psutil.Process | None) -> bool:
    """Tell whether a process is Spark's Python daemon, or has forked from it."""
    return any(each in said(process) for each in DAEMONS)


def said(process: psutil.Process | None) -> str:
    """Return a process's command line; nothing for one that has ended."""
    try:
        return " ".join(process.cmdline()) if process else ""
    except psutil.Error:
        return ""


def moments(texts: int, kills: int, chance: random.Random) -> Iterator[float]:
    """Yield after how many rows each kill comes: at random, one in each of as many equal parts of the run."""
    yield from (SPREAD * texts * (number + chance.random()) / kills for number in range(kills))


def computed(scene: Scene) -> int:
    """Return how many rows the model has been handed so far, by the number of lines in its log."""
    return sum(each.read_bytes().count(b"\n") for each in (scene.place / "log").glob("*.calls"))


def kill_along(scene: Scene, job: Job, kills: int, victims: Victims, chance: random.Random) -> int:
    """Kill one of the victims at each of the moments, while the job runs; return how many were killed."""
    killed = 0
    for moment in moments(scene.texts, kills, chance):
        while computed(scene) < moment and not job.ended():
            time.sleep(LOOK_SECONDS)
        killed += kill_one(job, victims, chance)
    return killed


def kill_one(job: Job, victims: Victims, chance: random.Random) -> bool:
    """Kill one of the victims as soon as there is one; tell whether there was before the job ended."""
    while not job.ended():
        with suppress(psutil.NoSuchProcess, IndexError):
            chance.choice(victims(job)).kill()
            return True
        time.sleep(LOOK_SECONDS)
    return False
