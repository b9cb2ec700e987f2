"""A recording is cut into windows that overlap, and ends with its sound, whatever its header says."""

import numpy as np
import pytest

from sparkcoil.recordings import Sound
from sparkcoil.windows import Passage, Plan, Window, checksum, cut, is_silent, to_the_end

RATE = 10


def passage(start: float, length: int, after: int = 2) -> Passage:
    window = Window(Sound(b"", 60.0), start, after=after, language=None, task=None, plan=Plan((), 8, (), None))
    return Passage(window, length, start + length / RATE)


@pytest.mark.parametrize("count", range(1, 60))
def test_pieces_cover_all_samples_and_share_what_they_say(count: int) -> None:
    pieces = list(cut(count, 12, 2, 2))
    own = [i for each in pieces for i in range(each.start + each.before, each.start + each.length - each.after)]
    assert own == list(range(count))
    assert all(each.length <= 12 for each in pieces)


def test_what_fits_into_one_window_is_one_piece() -> None:
    assert [tuple(each) for each in cut(12, 12, 2, 2)] == [(0, 12, 0, 0)]


def test_a_whole_recording_has_all_its_passages() -> None:
    passages = [passage(0.0, 12), passage(0.8, 12), passage(1.6, 7, after=0)]
    assert [each.length for each in to_the_end(passages, RATE)] == [12, 12, 7]


@pytest.mark.parametrize(("lengths", "left"), [((12, 9, 1), 2), ((12, 12, 4), 2), ((12, 0, 0), 1), ((0, 0, 0), 1), ((12, 12, 5), 3)])
def test_nothing_follows_the_window_in_which_a_recording_breaks_off(lengths: tuple[int, ...], left: int) -> None:
    found = to_the_end([passage(0.8 * i, length) for i, length in enumerate(lengths)], RATE)
    assert [each.length for each in found] == list(lengths[:left])
    assert [each.window.after for each in found] == [2] * (left - 1) + [0]


def test_two_steps_of_16_bits_are_silence() -> None:
    assert is_silent(np.full(9, 2 / 2**15, np.float32))
    assert not is_silent(np.full(9, 3 / 2**15, np.float32))
    assert is_silent(np.empty(0, np.float32))


def test_a_checksum_tells_samples_apart() -> None:
    one, other = np.zeros(9, np.float32), np.ones(9, np.float32)
    assert checksum(one) == checksum(one.copy()) != checksum(other)
