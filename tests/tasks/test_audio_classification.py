"""Labels of sounds held against the native pipeline's, sound by sound, for every family and batch size, without Spark."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_speech
import transformers
from architectures import first_of
from bad_media import in_every_form

from sparkcoil import engines
from sparkcoil.batching import Budget
from sparkcoil.engines import Placement
from sparkcoil.errors import RowError
from sparkcoil.scoring import Record, Scoring
from sparkcoil.tasks import with_roots
from sparkcoil.tasks.audio_classification import TASK

# Equal lengths too; the last two are longer than models that read one window can take in.
SECONDS = (0.5, 1.0, 0.3, 0.5, 0.9, 0.5, 1.0, 0.03, 2.5, 3.0)
SOUNDS = [tiny_speech.noise(seconds, i) for i, seconds in enumerate(SECONDS)]
FAMILIES = {
    "wav2vec2 with layer norm": ("wav2vec2", {"feat_extract_norm": "layer"}),
    "wav2vec2 with group norm": ("wav2vec2", {"feat_extract_norm": "group"}),
    "hubert": ("hubert", {"feat_extract_norm": "group"}),
    "wavlm": ("wavlm", {"feat_extract_norm": "layer"}),
    "unispeech-sat": ("unispeech-sat", {"feat_extract_norm": "group"}),
    "ast": ("audio-spectrogram-transformer", {}),
    "whisper": ("whisper", {}),
}


@pytest.fixture(scope="module", params=first_of(FAMILIES))
def artifact(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    family, config = FAMILIES[request.param]
    return tiny_speech.tiny_classifier(tmp_path_factory.mktemp("classifier"), family, **config)


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_speech.tiny_classifier(tmp_path_factory.mktemp("one"), "wav2vec2", feat_extract_norm="layer")


def natively(artifact: Path, sounds: Sequence[np.ndarray], **given: Any) -> list[Any]:
    pipe: Any = transformers.pipeline("audio-classification", model=str(artifact / "model"), device="cpu")
    return [pipe(sound.copy(), **{"top_k": None, **given}) for sound in sounds]


def records(artifact: Path, sounds: Sequence[Any], *, batch: int = 8, roots: Sequence[str] = (), **options: Any) -> list[Record]:
    chosen = with_roots(TASK.options(**options), roots)
    engine = engines.load(engines.name_of(TASK, artifact), artifact, chosen, Placement("cpu", "auto"))
    rows = [sound if isinstance(sound, dict) else {"audio": tiny_speech.wav(sound)} for sound in sounds]
    return Scoring(TASK, engine, chosen, Budget(engine.budget.size * 8, batch)).score(rows)[0]


def scores(artifact: Path, sounds: Sequence[Any], **options: Any) -> list[list[dict[str, Any]]]:
    found = records(artifact, sounds, **options)
    assert [each.error for each in found] == [None] * len(found)
    return [each.prediction["scores"] for each in found if each.prediction]


def same(found: Sequence[Any], native: Sequence[Any]) -> bool:
    """Tell whether labels and scores are equal, sound by sound."""
    by_label = [[{each["label"]: each["score"] for each in labels} for labels in side] for side in (found, native)]
    return all(ours == pytest.approx(theirs, abs=1e-5) for ours, theirs in zip(*by_label, strict=True))


def test_labels_equal_the_native_pipelines_for_every_batch_size_and_remainder(artifact: Path) -> None:
    native = natively(artifact, SOUNDS)
    assert len({labels[0]["label"] for labels in native} | {round(labels[0]["score"], 3) for labels in native}) > 3
    for batch in (1, 7, 64):
        assert same(scores(artifact, SOUNDS, batch=batch), native)
    for count in (1, 4):
        assert same(scores(artifact, SOUNDS[:count], batch=3), native[:count])


def test_the_best_label_comes_first(one: Path) -> None:
    for record in records(one, SOUNDS[:3]):
        assert record.prediction is not None
        found = [each["score"] for each in record.prediction["scores"]]
        assert found == sorted(found, reverse=True)
        assert record.prediction["label"] == record.prediction["scores"][0]["label"]
        assert record.prediction["score"] == found[0]


@pytest.mark.parametrize("function", ["softmax", "sigmoid", "none"])
def test_every_function_gives_what_the_native_pipeline_gives(one: Path, function: str) -> None:
    native = natively(one, SOUNDS[:4], function_to_apply=function, top_k=2)
    assert same(scores(one, SOUNDS[:4], function_to_apply=function, top_k=2), native)


def test_a_sound_longer_than_the_model_reads_is_cut_with_a_warning(tmp_path: Path) -> None:
    for family in ("audio-spectrogram-transformer", "whisper"):
        artifact = tiny_speech.tiny_classifier(tmp_path / family, family)
        assert [each.warnings for each in records(artifact, SOUNDS[6:9])] == [(), (), ("truncated",)]


def test_every_form_of_a_recording_gives_the_same(one: Path, tmp_path: Path) -> None:
    rows = in_every_form(tiny_speech.wav(SOUNDS[0]), tiny_speech.RATE, tmp_path / "clip.wav")
    assert same(scores(one, rows, roots=[str(tmp_path)]), scores(one, SOUNDS[:1]) * len(rows))


def broken(seconds: float, kept: float) -> dict[str, bytes]:
    """Return a recording that breaks off."""
    whole = tiny_speech.noise(seconds, 4)
    return {"audio": tiny_speech.wav(whole)[: len(tiny_speech.wav(whole[: round(kept * tiny_speech.RATE)]))]}


def test_a_sound_that_breaks_off_gets_the_labels_of_its_beginning(artifact: Path) -> None:
    sounds = [broken(1.0, 0.7), tiny_speech.noise(1.0, 3), broken(1.0, 0.9)]
    found = records(artifact, sounds)
    assert [each.warnings for each in found] == [("truncated_media",), (), ("truncated_media",)]
    beginnings = [tiny_speech.noise(1.0, 4)[: round(kept * tiny_speech.RATE)] for kept in (0.7, 0.9)]
    native = natively(artifact, [beginnings[0], sounds[1], beginnings[1]])
    assert same([each.prediction["scores"] for each in found if each.prediction], native)


def test_what_cannot_be_read_is_not_decoded_and_what_breaks_off_before_is_not_called_cut(tmp_path: Path) -> None:
    artifact = tiny_speech.tiny_classifier(tmp_path, "audio-spectrogram-transformer")
    assert [each.warnings for each in records(artifact, [broken(1.5, 1.0)])] == [("truncated_media",)]
    engine: Any = engines.load("acoustic", artifact, TASK.options(), Placement("cpu", "auto"))
    sound, _ = TASK.read({"audio": tiny_speech.wav(tiny_speech.noise(60, 1))}, TASK.options())
    prepared = engine.prepare([sound])
    assert engine.ear.hear(prepared)[0].length < 3 * tiny_speech.RATE


def test_a_sound_shorter_than_a_frame_is_failed(one: Path, tmp_path: Path) -> None:
    for artifact in (one, tiny_speech.tiny_classifier(tmp_path, "audio-spectrogram-transformer")):
        good, bad = records(artifact, [SOUNDS[0], SOUNDS[0][:40]])
        assert good.error is None
        assert bad.error is not None
        assert (bad.error.stage, bad.error.code) == ("input", "audio_too_short")


def test_a_sound_over_the_limit_is_failed(one: Path) -> None:
    found = records(one, SOUNDS[:2], max_seconds=0.7)
    assert [each.error and each.error.code for each in found] == [None, "audio_too_long"]


def test_null_is_failed() -> None:
    with pytest.raises(RowError, match="audio is NULL"):
        TASK.read({"audio": None}, TASK.options())
