"""A lease on file systems without locks, such as HDFS: a file that only one run can create, kept fresh while the run goes on.

A file that nobody has written for a while is one of a dead run, and taken over. Two may take over at once, but only one of them
can rename the file away.
"""

import json
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from time import sleep
from typing import Any

from py4j.protocol import Py4JError  # type: ignore[import-untyped]
from pyspark.sql import SparkSession

from sparkcoil.errors import TargetBusy
from sparkcoil.tables import file_system

# How often a file that says nothing is looked at again, and after how many seconds.
LOOKS, LOOKS_APART = 3, 0.05
EVERY_SECONDS = 10.0
EXPIRY_SECONDS = 60.0


@contextmanager
def held(spark: SparkSession, location: str, run_id: str) -> Iterator["Heartbeat"]:
    """Hold the target for the block; raises TargetBusy where another run does, or has been heard of within a minute."""
    folder = file_system(spark, location)[1]
    system, place = file_system(spark, f"{folder.getParent()}/.{folder.getName()}.sparkcoil-lease")
    beat = Heartbeat(system, place, {"run_id": run_id, "pid": os.getpid(), "host": socket.gethostname()})
    beat.take()
    try:
        beat.start()
        yield beat
    finally:
        beat.stop()


class Heartbeat:
    """A lease file and the thread that keeps it fresh; `check` raises once it is lost.

    It is no lock: a run that is taken for dead may have a commit on its way.
    """

    exclusive = False

    def __init__(self, system: Any, place: Any, owner: Mapping[str, Any]) -> None:
        self.system, self.place, self.owner = system, place, owner
        self.over, self.busy = threading.Event(), threading.Lock()
        self.thread = threading.Thread(target=self.keep, name="sparkcoil-lease", daemon=True)
        self.heard = time.monotonic()

    def take(self) -> None:
        """Create the file, or take it over from a run that has died; raises TargetBusy where that still writes it."""
        if not self.created():
            found = self.read()
            if self.age() > EXPIRY_SECONDS:
                sleep(EVERY_SECONDS * 1.5)  # the clocks of two machines may differ: a living run has written meanwhile
            if self.age() <= EXPIRY_SECONDS or self.read() != found or not self.removed(found) or not self.created():
                raise TargetBusy(f"target: another run holds it: {describe(found)} (lease file {self.place.getName()} beside the target)")
        self.heard = time.monotonic()

    def start(self) -> None:
        """Begin to keep the file fresh."""
        self.thread.start()

    def stop(self) -> None:
        """Give the lease back, if it has not been lost."""
        self.over.set()
        self.thread.join()
        if self.is_mine():
            self.system.delete(self.place, False)

    def keep(self) -> None:
        """Write the file again and again, until the lease is given back, lost, or could not be written for so long that it may be."""
        while not self.over.wait(EVERY_SECONDS) and not self.expired():
            with self.busy:
                mine = self.is_mine()
                if mine is False:
                    return
                with suppress(Py4JError):
                    if mine and not self.expired():
                        self.write(overwrite=True)
                        self.heard = time.monotonic()

    def check(self) -> None:
        """Pass if the lease is still this run's; raises TargetBusy where another has taken it over, or may have."""
        with self.busy:
            if self.expired() or self.is_mine() is False:
                raise TargetBusy(f"target: this run has lost it to another: {describe(self.read())}; what it has staged is kept")

    def expired(self) -> bool:
        """Tell whether others may take this run for dead."""
        return time.monotonic() - self.heard > EXPIRY_SECONDS

    def is_mine(self) -> bool | None:
        """Tell whether the file says so; None where it cannot be read now."""
        found = self.read()
        if not found and self.is_there() is not False:
            return None
        return bool(found.get("run_id") == self.owner["run_id"])

    def is_there(self, place: Any = None) -> bool | None:
        """Tell whether there is a file; None where the file system does not answer."""
        with suppress(Py4JError):
            return bool(self.system.exists(place or self.place))
        return None

    def created(self) -> bool:
        """Create the file where there is none."""
        try:
            self.write(overwrite=False)
        except Py4JError:
            if self.system.exists(self.place):
                return False
            raise
        return True

    def removed(self, found: Mapping[str, Any]) -> bool:
        """Remove what a dead run has left, and nothing that a living one has written since it was found."""
        aside = self.place.suffix(f".{self.owner['run_id']}")
        try:
            renamed: bool = self.system.rename(self.place, aside)
        except Py4JError:  # some file systems raise where another was quicker, and may have written its own by now; others give false
            if self.system.exists(self.place) and self.read() == found:
                raise
            renamed = False
        if not renamed:
            return False
        if self.read(aside) != found:
            self.system.rename(aside, self.place)
            return False
        return bool(self.system.delete(aside, False))

    def write(self, *, overwrite: bool) -> None:
        """Write who holds the lease, and when it was last heard of."""
        with closing(self.system.create(self.place, overwrite)) as stream:
            stream.write(json.dumps({**self.owner, "at": time.time()}).encode())

    def read(self, place: Any = None) -> dict[str, Any]:
        """Return what the file says, nothing where there is none, or it cannot be read now."""
        for _ in range(LOOKS):
            with suppress(Py4JError, ValueError), closing(self.system.open(place or self.place)) as stream:
                found: dict[str, Any] = json.loads(bytes(stream.readAllBytes()).decode())
                return found
            if self.is_there(place) is False:
                break
            time.sleep(LOOKS_APART)  # its holder may be writing it anew, which empties it for a moment
        return {}

    def age(self) -> float:
        """Return how many seconds ago the file was written, by this machine's clock."""
        with suppress(Py4JError):
            return time.time() - float(self.system.getFileStatus(self.place).getModificationTime()) / 1000
        return 0.0


def describe(owner: Mapping[str, Any]) -> str:
    """Return the holder in words."""
    return "run {run_id}, process {pid} on {host}".format(**owner) if owner else "it has not written its name yet"
