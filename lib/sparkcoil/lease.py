"""One run at a time on a target: a lock file beside it, held by the JVM that writes, so that it ends with the writer.

On file systems without locks it is a file that is kept fresh (heartbeat.py).
"""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

from pyspark.sql import SparkSession

from sparkcoil import heartbeat
from sparkcoil.errors import TargetBusy

# A driver that is killed leaves its JVM a moment to end, in which it may still commit: worth waiting for.
PATIENCE_SECONDS = 60.0

_held_here: set[Path] = set()


class Lease(Protocol):
    """What a run holds of its target; an exclusive one keeps every other run from a commit that is on its way."""

    exclusive: bool

    def check(self) -> None:
        """Pass if the run still holds it; raises TargetBusy where it has lost it."""


class Lock:
    """A lock of the operating system, which nobody takes from the process that has it."""

    exclusive = True

    def check(self) -> None:
        """Pass."""


def held(spark: SparkSession, location: str, run_id: str) -> AbstractContextManager[Lease]:
    """Hold the target for the block; raises TargetBusy where another run does."""
    return (locked if location.startswith(("file:", "/")) else heartbeat.held)(spark, location, run_id)


@contextmanager
def locked(spark: SparkSession, location: str, run_id: str) -> Iterator[Lock]:
    """Hold a target on a local disk for the block; raises TargetBusy where another run does."""
    path = lock_path(location)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The JVM's locks are its process's: closing a second channel on the file would release the first one's lock.
    if path in _held_here:
        raise TargetBusy(f"target: another run of this process holds it: {heartbeat.describe(owner_of(path))}")
    _held_here.add(path)
    try:
        channel = acquired(spark, path)
        try:
            path.write_text(json.dumps({"run_id": run_id, "pid": os.getpid(), "host": socket.gethostname()}))
            yield Lock()
        finally:
            path.unlink(missing_ok=True)
            channel.close()
    finally:
        _held_here.remove(path)


def lock_path(location: str) -> Path:
    """Return the lock file of a target: beside its folder, since a folder with files in it cannot become a table."""
    folder = Path("/" + location.removeprefix("file:").lstrip("/")).resolve()  # one lock, whichever link leads there
    return folder.parent / f".{folder.name}.sparkcoil-lock"


def acquired(spark: SparkSession, path: Path) -> Any:
    """Return the locked channel; waits where the holder's driver is dead but its JVM is not yet."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        channel = lock_of(spark, path)
        if channel is not None and path.exists():
            return channel
        if channel is not None:  # its last holder removed the file between our opening and locking it
            channel.close()
            continue
        owner = owner_of(path)
        if not owner or is_alive(owner) or time.monotonic() > deadline:
            raise TargetBusy(f"target: another run holds it: {heartbeat.describe(owner)} (lock file {path.name} beside the target)")
        time.sleep(0.2)


def lock_of(spark: SparkSession, path: Path) -> Any | None:
    """Return a locked channel on the file, or None where someone else has it."""
    assert spark._jvm is not None
    channel = spark._jvm.java.io.RandomAccessFile(str(path), "rw").getChannel()
    if channel.tryLock() is None:
        channel.close()
        return None
    return channel


def owner_of(path: Path) -> dict[str, Any]:
    """Return what the holder wrote of itself, or nothing where it has not yet."""
    try:
        owner: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return owner


def is_alive(owner: dict[str, Any]) -> bool:
    """Tell whether the holder's driver still runs; one on another host counts as running."""
    if owner["host"] != socket.gethostname():
        return True
    try:
        os.kill(owner["pid"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
