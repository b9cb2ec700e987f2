"""How much of what is due makes one chunk: about so many seconds of work, by the rate at which the chunk before was scored.

What is due is cut by hash into slices of about equal size, and a chunk takes as many of them in turn as it has time for.
"""

from dataclasses import dataclass

# What a killed run repeats at most; long enough that a commit, and the wait for a chunk's last task, do not count.
CHUNK_SECONDS = 300.0
# The first chunk shows how fast this is: little work for a language model, and for a classifier a second or two.
FIRST_ROWS = 1_000
SLICE_ROWS = 250
MOST_SLICES = 10_000
# One chunk may have been fast by chance, such as by many duplicates.
MOST_GROWTH = 16


@dataclass(frozen=True)
class Chunk:
    """Slices `start` to `stop` of `of`, with about how many rows that is."""

    number: int
    start: int
    stop: int
    of: int
    rows: int

    @property
    def is_last(self) -> bool:
        """Tell whether nothing is left after it."""
        return self.stop == self.of


@dataclass(frozen=True)
class Pace:
    """How `total` rows are cut: by a fixed number of rows where one is given, else by seconds."""

    total: int
    slots: int
    rows: int | None = None
    seconds: float = CHUNK_SECONDS

    @property
    def slices(self) -> int:
        """How many slices there are."""
        return -(-self.total // self.rows) if self.rows else max(1, min(MOST_SLICES, self.total // SLICE_ROWS))

    def first(self) -> Chunk:
        """Return the first chunk."""
        return self.cut(0, 0, 1 if self.rows else max(1, self.slices * FIRST_ROWS * self.slots // self.total))

    def after(self, chunk: Chunk, seconds: float) -> Chunk | None:
        """Return the chunk that comes after one which took so many seconds, None after the last."""
        if chunk.is_last:
            return None
        size = chunk.stop - chunk.start
        if not self.rows:
            size = max(1, int(size * min(MOST_GROWTH, self.seconds / max(seconds, 1e-3))))
        return self.cut(chunk.number + 1, chunk.stop, size)

    def cut(self, number: int, start: int, size: int) -> Chunk:
        """Return a chunk of so many slices; a remainder that is not worth a chunk of its own is in it."""
        left = self.slices - start
        size = left if not self.rows and left <= size * 1.5 else min(size, left)
        return Chunk(number, start, start + size, self.slices, self.total * size // self.slices)
