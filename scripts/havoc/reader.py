"""Reads a target over and over while drivers are killed: what it sees is whole chunks of right rows, and never fewer than before."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pandas as pd
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from havoc import oracle
from havoc.scene import Scene

POLL_SECONDS = 0.2


@dataclass
class Reader:
    """What has been seen so far of a scene's target: how often, which versions, the most rows, and what was wrong."""

    scene: Scene
    polls: int = 0
    versions: list[int] = field(default_factory=list)
    most: int = 0
    problems: list[str] = field(default_factory=list)

    def look(self) -> None:
        """Look at the target once; a version that has been seen is not read again."""
        try:
            table = DeltaTable(str(self.scene.target))
        except TableNotFoundError:
            return
        self.polls += 1
        if table.version() not in self.versions:
            self.versions.append(table.version())
            seen = oracle.visible(table)
            self.problems += [f"version {table.version()}: {each}" for each in self.wrong(seen)]
            self.most = max(self.most, len(seen))

    def wrong(self, seen: pd.DataFrame) -> Iterator[str]:
        """Yield what is wrong with the rows that are visible."""
        if len(seen) < self.most:
            yield f"{len(seen)} rows after {self.most}"
        if seen["id"].duplicated().any():
            yield "rows are there more than once"
        if oracle.wrong(seen, self.scene.hashes):
            yield f"{oracle.wrong(seen, self.scene.hashes)} rows are wrong"
        if torn := parts(seen, self.scene.hashes):
            yield f"of {torn} texts only some rows are there, which are always in one chunk"


def parts(seen: pd.DataFrame, hashes: pd.Series) -> int:
    """Return of how many texts only a part of the rows is there."""
    there = seen["id"].map(hashes).value_counts()
    return int((hashes.value_counts().reindex(there.index) != there).sum())


@contextmanager
def reading(scene: Scene) -> Iterator[Reader]:
    """Read the scene's target every 200 ms within the block."""
    reader, over = Reader(scene), threading.Event()

    def read() -> None:
        while not over.wait(POLL_SECONDS):
            try:
                reader.look()
            except Exception as error:  # whatever it is, a reader should not have met it
                reader.problems.append(f"{type(error).__name__}: {error}")

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        yield reader
    finally:
        over.set()
        thread.join()
