"""Full disks: a run whose target, shuffle files or temporary files find no room ends with the folder's name, and its rerun passes.

Each place is a small tmpfs that is filled up beforehand, so that this needs the right to mount.
"""

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from havoc.families import Asked, Found, beside, ended_well
from havoc.scene import Scene, running

SIZE, LEFT_BYTES = "64m", 96 * 1024
# What is full, and the environment of a job that has it on a disk of its own.
PLACES: Mapping[str, Callable[[Path], dict[str, str]]] = {
    "target and stage": lambda disk: {},
    "spark.local.dir": lambda disk: {"SPARK_LOCAL_DIRS": str(disk)},
    "temporary files": lambda disk: {"TMPDIR": str(disk)},
}


def disks(asked: Asked) -> Found:
    """Fill the disk of each place, run, make room, and run again."""
    start = time.monotonic()
    problems: list[str] = []
    verdicts = []
    for number, (name, environment) in enumerate(PLACES.items()):
        place = asked.scene({}, slow=False, name=f"disk{number}")
        disk = place.target if number == 0 else place.place / "disk"
        with small_disk(disk):
            problems += [f"{name}: {each}" for each in full(place, disk, environment(disk))]
            with running(place, environment=environment(disk)) as job:
                problems += [f"{name}, with room: {each}" for each in ended_well(job)]
            verdicts.append(place.verdict())
            problems += beside(verdicts[-1])
    counts = {name: sum(getattr(each, name) for each in verdicts) for name in ("lost", "duplicated", "mismatched")}
    rows, seconds = asked.rows * len(verdicts), round(time.monotonic() - start, 1)
    return Found("disks", rows, 0, 2 * len(verdicts), **counts, recomputed_per_kill=None, seconds=seconds, problems=problems)


def full(place: Scene, disk: Path, environment: dict[str, str]) -> Iterator[str]:
    """Run the job on a disk without room, and yield what is wrong: an end that is none, a folder that is not named, a target that has rows."""
    ballast = disk / "ballast"
    room = os.statvfs(disk)
    ballast.write_bytes(bytes(room.f_bavail * room.f_frsize - LEFT_BYTES))
    with running(place, environment=environment) as job:
        code = job.code()
    said = job.err.read_text(errors="replace")
    ballast.unlink()
    if code in (0, None):
        yield f"ended with {code} though there was no room"
    elif str(disk) not in said:
        yield f"the full folder is not named: {said[-600:]}"
    if (place.target / "_delta_log").is_dir() and place.verdict().lost != place.rows:
        yield "rows were published"


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """Have a small disk of its own at a folder for the block."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "none", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
