"""How what is due is cut into chunks: by rows where they are given, else by the time that the last one took."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkcoil.pacing import FIRST_ROWS, MOST_GROWTH, Chunk, Pace


def walked(pace: Pace, seconds: Callable[[Chunk], float]) -> list[Chunk]:
    """Return all chunks, each of which takes as long as `seconds` says."""
    found, chunk = [], pace.first()
    while chunk is not None:
        found.append(chunk)
        chunk = pace.after(chunk, seconds(chunk))
    return found


@given(
    total=st.integers(1, 50_000_000),
    slots=st.integers(1, 200),
    rows=st.none() | st.integers(1, 1_000_000),
    rate=st.floats(0.5, 1e6),
)
def test_chunks_cover_all_slices_once(total: int, slots: int, rows: int | None, rate: float) -> None:
    pace = Pace(total, slots, max(rows, total // 1_000 + 1) if rows else None)
    chunks = walked(pace, lambda chunk: chunk.rows / rate)
    edges = [(each.start, each.stop) for each in chunks]
    assert [start for start, _ in edges] == [0, *(stop for _, stop in edges[:-1])]
    assert edges[-1][1] == pace.slices
    assert [each.number for each in chunks] == list(range(len(chunks)))
    assert [each.is_last for each in chunks] == [False] * (len(chunks) - 1) + [True]


def test_a_given_number_of_rows_is_kept_to() -> None:
    chunks = walked(Pace(40, 2, rows=10), lambda chunk: 0.01)
    assert [each.rows for each in chunks] == [10, 10, 10, 10]


def test_few_rows_are_one_chunk() -> None:
    assert [each.rows for each in walked(Pace(2 * FIRST_ROWS, 2), lambda chunk: 5)] == [2 * FIRST_ROWS]


@pytest.mark.parametrize(("rate", "expected"), [(10, 3_000), (1_000, 300_000)])
def test_chunks_come_to_take_their_time(rate: float, expected: int) -> None:
    chunks = walked(Pace(2_000_000, 2), lambda chunk: chunk.rows / rate)
    assert chunks[0].rows == pytest.approx(2 * FIRST_ROWS, rel=0.1)
    assert chunks[4].rows == pytest.approx(expected, rel=0.1)


def test_a_slow_model_gets_small_chunks_at_once() -> None:
    first, second, *_ = walked(Pace(100_000, 2), lambda chunk: chunk.rows / 2)
    assert (first.rows, second.rows) == (2_000, pytest.approx(600, abs=250))


def test_a_chunk_that_took_no_time_is_followed_by_one_that_is_not_all() -> None:
    first, second, *_ = walked(Pace(40_000_000, 2), lambda chunk: 0.0)
    assert second.rows <= MOST_GROWTH * first.rows


def test_a_small_remainder_is_part_of_the_last_chunk() -> None:
    chunks = walked(Pace(4_000, 1), lambda chunk: 300)
    assert [each.rows for each in chunks] == [1_000, 1_000, 1_000, 1_000]
    assert [each.rows for each in walked(Pace(3_400, 1), lambda chunk: 300)][-1] > 1_000
