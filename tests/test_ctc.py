"""The CTC engine: every form of every recording, long ones in chunks, and bad ones among good ones, held against the native pipeline."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import oracle
import pytest
import soxr
from bad_media import BAD_AUDIO, WAV_HEADER, encode, in_every_form

from sparkcoil import engines
from sparkcoil.engines import Parts, Placement, Prepared
from sparkcoil.engines.ctc import Ctc, chunking, segments_of
from sparkcoil.scoring import Record, Scoring
from sparkcoil.tasks import with_roots
from sparkcoil.tasks.automatic_speech_recognition import TASK, SpeechRecognitionOptions
from sparkcoil.transcripts import Segment, Word

RATE = 16000


@pytest.fixture(scope="module")
def artifact(examples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder laid out as a logged model, around the trained checkpoint."""
    folder = tmp_path_factory.mktemp("artifact")
    (folder / "model").symlink_to(examples / "models" / "keypad")
    return folder


@pytest.fixture(scope="module")
def files(examples: Path) -> list[Path]:
    return sorted((examples / "keypad" / "recordings").iterdir())


@pytest.fixture(scope="module")
def native(examples: Path) -> Any:
    return oracle.recognizer(examples / "models" / "keypad")


@pytest.fixture(scope="module")
def talk(files: list[Path]) -> np.ndarray:
    """Ninety seconds of keys, at 16 kHz."""
    return np.concatenate([oracle.waveform(file)["raw"] for file in files[:60]])[: 90 * RATE].astype(np.float32)


def engine_of(artifact: Path, **options: Any) -> Ctc:
    engine = engines.load("ctc", artifact, SpeechRecognitionOptions(**options), Placement("cpu", "auto"))
    assert isinstance(engine, Ctc)
    return engine


def heard(artifact: Path, rows: Sequence[Any], *, roots: Sequence[str] = (), **options: Any) -> list[Record]:
    engine = engine_of(artifact, **options)
    given = with_roots(SpeechRecognitionOptions(**options), roots)
    return Scoring(TASK, engine, given, engine.budget).score([row if isinstance(row, dict) else {"audio": row} for row in rows])[0]


def texts(records: Sequence[Record]) -> list[str]:
    assert [each.error for each in records] == [None] * len(records)
    return [(each.prediction or {})["text"] for each in records]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(("rate", "subtype"), [(8000, "ULAW"), (16000, "PCM_16"), (22050, "PCM_24"), (44100, "FLOAT"), (48000, "PCM_16")])
def test_every_form_at_every_rate_equals_the_native_pipeline(
    artifact: Path, files: list[Path], native: Any, tmp_path: Path, rate: int, subtype: str, channels: int
) -> None:
    samples = soxr.resample(oracle.waveform(files[channels])["raw"], RATE, rate)
    content = encode(np.stack([samples, 0.5 * samples], axis=1)[:, :channels], rate, subtype=subtype)
    rows = in_every_form(content, rate, tmp_path / "clip.wav")
    expected = native(oracle.waveform(tmp_path / "clip.wav"))["text"]
    assert len(expected) > 2
    assert texts(heard(artifact, rows, roots=[str(tmp_path)])) == [expected] * len(rows)


@pytest.mark.parametrize("seconds", [9.98, 10.0, 10.02, 13.3, 13.36, 33.31, 90.0])
@pytest.mark.parametrize(("chunk", "stride"), [(10.0, None), (10.0, 2.0), (4.3, 0.5)])
def test_chunks_give_what_the_native_pipeline_gives_of_the_same_chunks(
    artifact: Path, talk: np.ndarray, native: Any, seconds: float, chunk: float, stride: float | None
) -> None:
    samples = talk[: round(seconds * RATE)]
    asked = {"chunk_length_s": chunk, **({} if stride is None else {"stride_length_s": stride})}
    expected = native({"raw": samples.copy(), "sampling_rate": RATE}, return_timestamps="word", **asked)
    record = heard(artifact, [encode(samples, subtype="FLOAT")], return_timestamps="word", **asked)[0]
    assert record.prediction is not None
    assert record.prediction["text"] == expected["text"]
    assert record.prediction["duration"] == pytest.approx(len(samples) / RATE)
    words = [(each["word"], each["start"], each["end"]) for each in record.prediction["words"]]
    assert words == [(each["text"], *(pytest.approx(time, abs=0.011) for time in each["timestamp"])) for each in expected["chunks"]]


@pytest.mark.parametrize(("rate", "format"), [(8000, "FLAC"), (44100, "WAV"), (48000, "FLAC")])
def test_chunks_of_other_rates_are_cut_where_the_native_pipeline_cuts(
    artifact: Path, talk: np.ndarray, native: Any, rate: int, format: str
) -> None:
    content = encode(soxr.resample(talk, RATE, rate), rate, format=format, subtype="PCM_24")
    samples = soxr.resample(soxr.resample(talk, RATE, rate), rate, RATE, quality="HQ")
    expected = native({"raw": samples, "sampling_rate": RATE}, chunk_length_s=10)["text"]
    assert texts(heard(artifact, [content], chunk_length_s=10.0)) == [expected]


def test_chunks_of_all_recordings_share_batches_and_come_back_to_their_own(artifact: Path, talk: np.ndarray) -> None:
    cells = [encode(talk[start * RATE : (start + length) * RATE]) for start, length in ((0, 40), (20, 7), (40, 25), (60, 30), (5, 3))]
    alone = [texts(heard(artifact, [cell], chunk_length_s=6.0))[0] for cell in cells]
    assert texts(heard(artifact, cells, chunk_length_s=6.0)) == alone
    assert len(set(alone)) == 5


def test_unless_asked_only_recordings_of_more_than_a_minute_are_cut(artifact: Path, talk: np.ndarray, native: Any) -> None:
    engine = engine_of(artifact)
    items = [TASK.read({"audio": encode(talk[: round(seconds * RATE)])}, SpeechRecognitionOptions())[0] for seconds in (59, 60, 60.1)]
    assert [type(each) for each in engine.prepare(items)] == [Prepared, Prepared, Parts]
    expected = native({"raw": talk.copy(), "sampling_rate": RATE}, chunk_length_s=30)["text"]
    assert texts(heard(artifact, [encode(talk, subtype="FLOAT")])) == [expected]


@pytest.mark.parametrize("format", ["WAV", "FLAC", "MP3"])
def test_a_long_recording_that_breaks_off_is_transcribed_up_to_there(artifact: Path, talk: np.ndarray, format: str) -> None:
    content = encode(talk, format=format, **({} if format == "MP3" else {"subtype": "PCM_16"}))
    whole, broken = heard(artifact, [content, content[: len(content) * 7 // 10]], chunk_length_s=10.0)
    assert whole.prediction is not None and broken.prediction is not None
    assert (whole.warnings, broken.warnings) == ((), ("truncated_media",))
    assert broken.prediction["duration"] == pytest.approx(0.7 * whole.prediction["duration"], rel=0.05)
    text = broken.prediction["text"]
    assert len(text) == pytest.approx(0.7 * len(whole.prediction["text"]), rel=0.1)
    assert whole.prediction["text"].startswith(text[:-3])


@pytest.mark.parametrize("share", [0.55, 0.6, 0.63, 0.66, 0.7, 0.77, 0.88])
def test_nothing_is_lost_where_a_recording_breaks_off_in_a_chunk(artifact: Path, talk: np.ndarray, share: float) -> None:
    whole = encode(talk[: 30 * RATE])
    broken = whole[: round(len(whole) * share)]
    frames = (len(broken) - WAV_HEADER) // 2
    expected, found = heard(artifact, [encode(talk[:frames]), broken], chunk_length_s=10.0)
    assert found.warnings == ("truncated_media",)
    assert found.prediction == expected.prediction


@pytest.mark.parametrize("format", ["WAV", "FLAC", "MP3"])
def test_a_long_recording_of_which_too_little_is_there_is_failed(artifact: Path, talk: np.ndarray, format: str) -> None:
    content = encode(talk, format=format)
    record = heard(artifact, [content[: len(content) * 3 // 10]], chunk_length_s=10.0)[0]
    assert record.error is not None
    assert record.error.code == "truncated_audio"


def test_every_kind_of_bad_recording_fails_alone_among_good_ones(artifact: Path, files: list[Path]) -> None:
    good = [file.read_bytes() for file in files[:30]]
    bad = [build() for build, _ in BAD_AUDIO.values()]
    mixed = [cell for i, cell in enumerate(bad) for cell in ([cell, good[i]] if i < len(good) else [cell])]
    records = dict(zip(mixed, heard(artifact, mixed, max_seconds=3600.0), strict=True))
    kinds = dict(zip(BAD_AUDIO, bad, strict=True))
    # In base64 it is a recording like any other.
    assert records[kinds.pop("base64_of_a_wav")].error is None
    assert {name: (records[cell].error or Record).code for name, cell in kinds.items()} == {  # type: ignore[union-attr]
        name: code for name, (_, code) in BAD_AUDIO.items() if name in kinds
    }
    alone = heard(artifact, good)
    assert [(records[cell].prediction, records[cell].warnings) for cell in good] == [(each.prediction, each.warnings) for each in alone]
    assert len(kinds) >= 25


def test_a_segment_ends_where_nothing_is_said_for_half_a_second() -> None:
    words = [Word("a", 0.1, 0.4), Word("b", 0.6, 0.9), Word("c", 1.5, 1.6), Word("d", 1.9, 2.0)]
    assert list(segments_of(words)) == [Segment("a b", 0.1, 0.9), Segment("c d", 1.5, 2.0)]
    assert list(segments_of([])) == []


@pytest.mark.parametrize(("asked", "segments", "words"), [("none", 0, 0), ("segment", 1, 0), ("word", 1, 1)])
def test_times_are_given_where_they_are_asked_for(artifact: Path, files: list[Path], asked: str, segments: int, words: int) -> None:
    record = heard(artifact, [files[0].read_bytes()], return_timestamps=asked)[0]
    assert record.prediction is not None
    assert (len(record.prediction["segments"]), len(record.prediction["words"])) == (segments, words)
    assert record.prediction["language"] is None
    for each in record.prediction["segments"]:
        assert each["text"] == record.prediction["text"]
        assert 0 <= each["start"] < each["end"] <= record.prediction["duration"]


def test_chunks_cover_a_recording_and_end_with_it() -> None:
    cut = chunking(TASK.options(chunk_length_s=2.0, stride_length_s=0.5), 100, 10)
    assert list(cut.cuts(150)) == [(0, 150)]
    assert list(cut.cuts(200)) == [(0, 200)]
    assert list(cut.cuts(201)) == [(0, 200), (100, 201)]
    assert list(cut.cuts(450)) == [(0, 200), (100, 300), (200, 400), (300, 450)]


def test_models_that_padding_changes_are_given_equal_lengths_also_where_headers_lie(artifact: Path, talk: np.ndarray) -> None:
    content = encode(talk[: 4 * RATE], format="FLAC")
    cells = [content, content[: len(content) * 8 // 10], encode(talk[4 * RATE : 8 * RATE])]
    alone = [texts(heard(artifact, [cell]))[0] for cell in cells]
    engine = engine_of(artifact)
    engine.batching = "exact lengths"
    lengths: list[tuple[int, ...]] = []
    model = engine.model

    def watched(**inputs: Any) -> Any:
        lengths.append(tuple(inputs["input_values"].shape))
        assert "attention_mask" not in inputs
        return model(**inputs)

    class Watched:
        """The model, with what it is given noted."""

        def __getattr__(self, name: str) -> Any:
            return getattr(model, name)

        def __call__(self, **inputs: Any) -> Any:
            return watched(**inputs)

    engine.model = Watched()
    scoring = Scoring(TASK, engine, SpeechRecognitionOptions(), engine.budget)
    assert texts(scoring.score([{"audio": cell} for cell in cells])[0]) == alone
    assert sorted(shape[0] for shape in lengths) == [1, 2]
