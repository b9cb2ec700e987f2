"""Word times held against the native pipeline's, and recordings that cannot be transcribed, without Spark."""

from collections.abc import Sequence
from pathlib import Path

import oracle
import pytest
from bad_media import good_audio

from sparkcoil import engines
from sparkcoil.batching import Budget
from sparkcoil.engines import Placement
from sparkcoil.errors import ModelError
from sparkcoil.scoring import Record, Scoring
from sparkcoil.tasks.automatic_speech_recognition import TASK, SpeechRecognitionOptions


@pytest.fixture(scope="module")
def artifact(examples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder laid out as a logged model, around the trained checkpoint."""
    folder = tmp_path_factory.mktemp("artifact")
    (folder / "model").symlink_to(examples / "models" / "keypad")
    return folder


@pytest.fixture(scope="module")
def files(examples: Path) -> list[Path]:
    """Recordings of all rates, formats and channel counts."""
    return sorted((examples / "keypad" / "recordings").iterdir())[:10]


def heard(artifact: Path, cells: Sequence[bytes], *, rows: int, options: SpeechRecognitionOptions | None = None) -> list[Record]:
    options = options or SpeechRecognitionOptions()
    engine = engines.load("ctc", artifact, options, Placement("cpu", "auto"))
    return Scoring(TASK, engine, options, Budget(engine.budget.size, rows)).score([{"audio": cell} for cell in cells])[0]


def test_word_times_equal_the_native_pipelines(artifact: Path, examples: Path, files: list[Path]) -> None:
    options = SpeechRecognitionOptions(return_timestamps="word")
    records = heard(artifact, [file.read_bytes() for file in files], rows=4, options=options)
    native = oracle.recognizer(examples / "models" / "keypad")
    for record, file in zip(records, files, strict=True):
        chunks = native(oracle.waveform(file), return_timestamps="word")["chunks"]
        assert record.prediction is not None
        words = [(word["word"], word["start"], word["end"]) for word in record.prediction["words"]]
        assert words == [(chunk["text"], *(pytest.approx(time, abs=0.02) for time in chunk["timestamp"])) for chunk in chunks]


def test_words_are_empty_unless_asked_for(artifact: Path, files: list[Path]) -> None:
    record = heard(artifact, [files[0].read_bytes()], rows=1)[0]
    assert record.prediction is not None
    assert record.prediction["words"] == []


def test_silence_gives_an_empty_text(artifact: Path) -> None:
    record = heard(artifact, [good_audio(1.0, frequency=0.0)], rows=1)[0]
    assert record.prediction is not None
    assert record.prediction["text"] == ""


def test_a_recording_shorter_than_a_frame_is_failed(artifact: Path) -> None:
    record = heard(artifact, [good_audio(0.001)], rows=1)[0]
    assert record.error is not None
    assert (record.error.stage, record.error.code) == ("input", "audio_too_short")


def test_a_recording_over_the_limit_is_failed(artifact: Path) -> None:
    record = heard(artifact, [good_audio(3.0)], rows=1, options=SpeechRecognitionOptions(max_seconds=2.0))[0]
    assert record.error is not None
    assert record.error.code == "audio_too_long"


def test_what_only_a_whisper_follows_is_refused(artifact: Path, files: list[Path]) -> None:
    with pytest.raises(ModelError, match="language: this option is for a Whisper"):
        heard(artifact, [], rows=1, options=SpeechRecognitionOptions(language="de"))
    options = SpeechRecognitionOptions()
    engine = engines.load("ctc", artifact, options, Placement("cpu", "auto"))
    rows = [{"audio": files[0].read_bytes(), "language": language} for language in (None, b"de")]
    good, bad = Scoring(TASK, engine, options, engine.budget).score(rows)[0]
    assert good.error is None
    assert bad.error is not None
    assert (bad.error.code, bad.error.message) == ("bad_option", "language is for a Whisper, and this model is none")
