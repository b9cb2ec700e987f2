"""Recordings are decoded when their batch is about to run, ahead of the model, and held no longer than that."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from bad_media import cut, good_audio, noise

from sparkcoil import recordings
from sparkcoil.batching import Batching, Budget
from sparkcoil.engines import Expecting, Prepared
from sparkcoil.engines.acoustic import Acoustic
from sparkcoil.engines.clap import Clap
from sparkcoil.engines.ctc import Ctc
from sparkcoil.engines.hearing import Clip, Ear, Heard, Hearer
from sparkcoil.engines.whisper import Whisper
from sparkcoil.errors import EnvironmentError_, RowError
from sparkcoil.recordings import HearingOptions, Sound
from sparkcoil.scoring import Record, Scoring
from sparkcoil.tasks import Prediction, Row, Task

RATE = 16000


@dataclass
class Loudness(Hearer):
    """A toy that hears how loud recordings are; it counts the samples that were decoded and not yet taken by a batch."""

    facts: dict[str, Any] = field(default_factory=dict)
    unit: str = "audio seconds"
    per_unit: float = RATE
    batching: Batching = "padded"
    budget: Budget = Budget(4 * RATE, 8)
    held: int = 0
    most: int = 0
    decoded: int = 0
    batches: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lock = threading.Lock()
        self.ear = Ear(RATE, self.extract)

    def extract(self, samples: np.ndarray) -> float:
        with self.lock:
            self.held += len(samples)
            self.decoded += 1
            self.most = max(self.most, self.held)
        return float(np.abs(samples).max())

    def prepare(self, items: Sequence[Sound]) -> list[Prepared | RowError]:
        known = self.ear.durations(items)
        return [
            each if isinstance(each, RowError) else Prepared(Clip(sound), self.ear.length(each))
            for sound, each in zip(items, known, strict=True)
        ]

    def forward(self, batch: Sequence[Prepared]) -> Sequence[Any]:
        heard = self.ear.hear(batch)
        self.batches.append(len(batch))
        with self.lock:
            self.held -= sum(each.length for each in heard if isinstance(each, Heard))
        return [each if isinstance(each, RowError) else each.features for each in heard]


def read(row: Row, options: HearingOptions) -> tuple[Sound, tuple[str, ...]]:
    return recordings.read(row, options)


def write(results: Sequence[float], facts: Any, options: HearingOptions) -> list[Prediction]:
    return [{"loudness": round(each, 2)} for each in results]


TASK = Task("loudness", recordings.INPUTS, "loudness DOUBLE", HearingOptions, "loudness", (), read, write)


def scored(cells: Sequence[bytes], engine: Loudness) -> list[Record]:
    return Scoring(TASK, engine, HearingOptions(), engine.budget).score([{"audio": cell} for cell in cells])[0]


def tones(count: int) -> list[bytes]:
    """Return recordings of a second, all different."""
    return [good_audio(1, frequency=200 + i) for i in range(count)]


def test_no_more_is_decoded_at_once_than_two_batches_hold() -> None:
    engine = Loudness()
    records = scored(tones(40), engine)
    assert [each.prediction for each in records] == [{"loudness": 0.5}] * 40
    assert (engine.decoded, engine.batches) == (40, [4] * 10)
    assert 4 * RATE <= engine.most <= 8 * RATE
    assert engine.held == 0


def test_what_hearing_took_is_told_beside_what_the_model_took() -> None:
    engine = Loudness()
    _, stats = Scoring(TASK, engine, HearingOptions(), engine.budget).score([{"audio": cell} for cell in tones(4)])
    assert {"decode", "features", "wait", "forward"} <= set(stats.seconds)
    assert stats.seconds["wait"] <= stats.seconds["forward"]
    assert engine.spent() == {}


@pytest.mark.parametrize("kind", [Acoustic, Clap, Ctc, Whisper])
def test_every_engine_that_hears_is_told_of_the_batches_to_come(kind: type) -> None:
    assert issubclass(kind, Expecting)


def test_preparing_decodes_nothing() -> None:
    engine = Loudness()
    prepared = engine.prepare([Sound(cell, 10.0) for cell in tones(5)])
    assert [each.length for each in prepared] == [RATE] * 5
    assert engine.decoded == 0


def test_the_next_batch_is_heard_while_the_model_is_at_work() -> None:
    engine = Loudness()
    heard = threading.Event()
    clips = [Prepared(Clip(Sound(cell, 10.0)), RATE) for cell in tones(2)]

    def extract(samples: np.ndarray) -> float:
        heard.set()
        return 0.0

    engine.ear = Ear(RATE, extract)
    engine.expect(clips)
    assert heard.wait(30)
    assert [each.length for each in engine.ear.hear(clips)] == [RATE, RATE]


def test_a_recording_whose_samples_cannot_be_decoded_fails_alone_when_its_turn_comes() -> None:
    flac = good_audio(1, format="FLAC")
    bad = flac[:60] + noise(len(flac) - 60)
    engine = Loudness()
    cells = tones(7)
    alone = scored(cells, Loudness())
    records = scored([*cells[:3], bad, *cells[3:], b"text"], engine)
    assert [each.error.code for each in records if each.error] == ["truncated_audio", "undecodable_audio"]
    assert [each for each in records if not each.error] == alone
    assert sum(engine.batches) == 8


def test_a_batch_that_fails_is_heard_again_for_its_halves() -> None:
    engine = Loudness()
    forward = engine.forward

    def fragile(batch: Sequence[Prepared]) -> Sequence[Any]:
        results = forward(batch)
        if len(batch) > 1:
            raise MemoryError
        return results

    engine.forward = fragile  # type: ignore[method-assign]
    records = scored(tones(8), engine)
    assert [each.prediction for each in records] == [{"loudness": 0.5}] * 8


def test_a_part_has_the_place_where_it_ends_and_the_warning_of_its_recording() -> None:
    ear = Ear(RATE, len)
    sound = Sound(cut(good_audio(10), 0.7), 100.0)
    inside, over = ear.hear([Prepared(Clip(sound, 1.0, 2.0), 2 * RATE), Prepared(Clip(sound, 6.0, 2.0), 2 * RATE)])
    assert inside == Heard(2 * RATE, 2 * RATE, 3.0, ("truncated_media",))
    assert (over.ends, over.length) == (pytest.approx(7.0, abs=0.01), pytest.approx(RATE, abs=160))
    beyond = ear.hear([Prepared(Clip(sound, 8.0, 2.0), 2 * RATE)])[0]
    assert (beyond.features, beyond.length, beyond.warnings) == (None, 0, ("truncated_media",))


def test_a_set_up_that_cannot_decode_is_raised_and_blames_no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    from sparkcoil import sandbox

    monkeypatch.setattr(sandbox.sys, "executable", "/bin/false")
    with pytest.raises(EnvironmentError_):
        scored(tones(2), Loudness())
