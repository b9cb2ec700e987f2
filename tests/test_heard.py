"""What two models hear alike is decoded once, while they hear the same rows and no longer."""

import numpy as np
import pytest
from bad_media import encode, tone

from sparkcoil import heard, recordings
from sparkcoil.media import Recording
from sparkcoil.recordings import HearingOptions, Sound

CELL = encode(tone(0.5))


def sound() -> Sound:
    return recordings.read({"audio": bytes(bytearray(CELL))}, HearingOptions())[0]


def test_the_same_part_of_the_same_recording_is_decoded_once() -> None:
    with heard.remembered():
        first = sound().samples(16_000)
        assert sound().samples(16_000) is first
        assert sound().samples(8_000) is not first
        assert sound().samples(16_000, start=0.25) is not first
    assert sound().samples(16_000) is not first


def test_what_would_take_too_much_memory_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heard, "MOST_BYTES", 1_000)
    small, large = (Recording(np.zeros(size, dtype=np.float32), 1.0) for size in (200, 300))
    with heard.remembered():
        assert heard.once("small", lambda: small) is small
        assert heard.once("large", lambda: large) is large
        assert heard.once("large", lambda: small) is small
        assert heard.once("small", lambda: large) is small
