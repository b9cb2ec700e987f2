"""Full disks: a run whose target, shuffle files or temporary files find no room ends with the folder's name, and its rerun passes.

Each place is a tmpfs, small at first and then grown, so that this needs the right to mount.
"""

import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from havoc.families import Asked, Found, beside, ended_well, summed
from havoc.scene import Scene, running

FULL, ROOMY = "96k", "256m"
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
        with mounted(disk):
            problems += [f"{name}: {each}" for each in full(place, disk, environment(disk))]
            mount(disk, f"remount,size={ROOMY}")
            with running(place, environment=environment(disk)) as job:
                problems += [f"{name}, with room: {each}" for each in ended_well(job)]
            verdicts.append(place.verdict())
            problems += beside(verdicts[-1])
    counts = summed(verdicts)
    rows, seconds = asked.rows * len(verdicts), round(time.monotonic() - start, 1)
    return Found("disks", rows, 0, 2 * len(verdicts), **counts, recomputed_per_kill=None, seconds=seconds, problems=problems)


def full(place: Scene, disk: Path, environment: dict[str, str]) -> Iterator[str]:
    """Run the job on a disk without room, and yield what is wrong: it ended well, did not name the folder, or published rows."""
    with running(place, environment=environment) as job:
        code = job.code()
    said = job.err.read_text(errors="replace")
    if code in (0, None):
        yield f"ended with {code} though there was no room"
    elif str(disk) not in said:
        yield f"the full folder is not named: {said[-600:]}"
    if (place.target / "_delta_log").is_dir() and place.verdict().lost != place.rows:
        yield "rows were published"


@contextmanager
def mounted(folder: Path) -> Iterator[None]:
    """Have a disk of its own at a folder for the block, full at first."""
    folder.mkdir(parents=True, exist_ok=True)
    mount(folder, f"size={FULL}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def mount(folder: Path, options: str) -> None:
    """Mount memory at a folder."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(folder)], check=True)
