"""Texts that a VITS speaks held against the model's own forward, for every batch size, without Spark."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import one_by_one
import pytest
import soundfile
import tiny_speech
import torch
import transformers

from sparkcoil import engines
from sparkcoil.artifact import LoggedModel
from sparkcoil.batching import Budget
from sparkcoil.engines import Placement
from sparkcoil.errors import EnvironmentError_, ModelError, RowError
from sparkcoil.fitness import check
from sparkcoil.scoring import Record, Scoring
from sparkcoil.tasks import load
from sparkcoil.tasks.text_to_audio import TASK

TEXTS = (
    "where was she born",
    "a",
    "the cat sat on the mat, while the dog barked at the postman",
    "who",
    "Antoine flew over the Sahara",
    "so it goes",
)
EVEN = {"noise_scale": 0.0, "noise_scale_duration": 0.0}


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_speech.tiny_voice(tmp_path_factory.mktemp("voice"))


@pytest.fixture(scope="module")
def choir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_speech.tiny_voice(tmp_path_factory.mktemp("choir"), num_speakers=3, speaker_embedding_size=4)


def scoring(artifact: Path, *, batch: int = 8, dtype: str = "auto", **options: Any) -> Scoring:
    chosen = TASK.options(**options)
    engine = engines.load(engines.name_of(TASK, artifact), artifact, chosen, Placement("cpu", dtype))
    return Scoring(TASK, engine, chosen, Budget(engine.budget.size, batch))


def records(artifact: Path, texts: Sequence[Any], **options: Any) -> list[Record]:
    rows = [each if isinstance(each, dict) else {"text": each if each is None else each.encode()} for each in texts]
    return scoring(artifact, **options).score(rows)[0]


def predictions(artifact: Path, texts: Sequence[Any], **options: Any) -> list[dict[str, Any]]:
    found = records(artifact, texts, **options)
    assert [each.error for each in found] == [None] * len(found)
    return [each.prediction for each in found if each.prediction]


def samples(prediction: Any) -> np.ndarray:
    return np.asarray(soundfile.read(io.BytesIO(prediction["audio"]), dtype="float32")[0])


def natively(artifact: Path, text: str, noise: float = 0.0, noise_duration: float = 0.0, **given: Any) -> np.ndarray:
    """Return what the model's own forward speaks with such noise."""
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(artifact / "model")
    model: Any = transformers.VitsModel.from_pretrained(artifact / "model").eval()
    model.noise_scale, model.noise_scale_duration = noise, noise_duration
    with torch.no_grad():
        return np.asarray(model(**tokenizer(text, return_tensors="pt"), **given).waveform[0])


def failures(artifact: Path, texts: Sequence[Any], **options: Any) -> list[Any]:
    return [each.error and (each.error.stage, each.error.code) for each in records(artifact, texts, **options)]


def test_speech_equals_the_model_s_own_with_a_seed_of_the_row_s_text_for_every_batch_size(artifact: Path) -> None:
    native = one_by_one.speeches(artifact, [{"text": text} for text in TEXTS])
    assert len({each["duration"] for each in native}) > 3
    for batch in (1, 2, 7, 64):
        assert predictions(artifact, TEXTS, batch=batch) == native
    assert predictions(artifact, TEXTS[::-1], batch=4) == native[::-1]


def test_without_noise_speech_is_the_model_s_own_whatever_the_seed(artifact: Path) -> None:
    for text, found in zip(TEXTS, predictions(artifact, TEXTS, seed=3, **EVEN), strict=True):
        assert samples(found) == pytest.approx(natively(artifact, text), abs=1e-4)


def test_another_seed_speaks_otherwise_and_the_same_one_alike(artifact: Path) -> None:
    zero, one, again = (predictions(artifact, TEXTS[2:3], seed=seed)[0]["audio"] for seed in (0, 1, 0))
    assert zero == again
    assert zero != one


def test_each_noise_has_a_scale_of_its_own(artifact: Path) -> None:
    even, sound, length = (
        predictions(artifact, TEXTS[2:3], **{**EVEN, **given})[0] for given in ({}, {"noise_scale": 1.0}, {"noise_scale_duration": 2.0})
    )
    assert even["duration"] == sound["duration"] != length["duration"]
    assert even["audio"] != sound["audio"]


def test_a_rate_is_that_of_the_model_s_own_forward(artifact: Path) -> None:
    found = predictions(artifact, TEXTS[:1], speaking_rate=0.6, **EVEN)[0]
    assert samples(found) == pytest.approx(natively(artifact, TEXTS[0], speaking_rate=0.6), abs=1e-4)
    assert found["duration"] > predictions(artifact, TEXTS[:1], **EVEN)[0]["duration"]


@pytest.mark.parametrize("stochastic", [True, False])
def test_each_speaker_of_several_is_the_model_s_own(tmp_path: Path, stochastic: bool) -> None:
    several = {"num_speakers": 3, "speaker_embedding_size": 4, "use_stochastic_duration_prediction": stochastic}
    folder = tiny_speech.tiny_voice(tmp_path, **several)
    for speaker in (None, 0, 2):
        found = predictions(folder, TEXTS[:1], speaker_id=speaker, **EVEN)[0]
        assert samples(found) == pytest.approx(natively(folder, TEXTS[0], speaker_id=speaker), abs=1e-4)


def test_a_row_may_have_a_speaker_a_rate_and_a_seed_of_its_own(choir: Path) -> None:
    own = {"speaker_id": 2, "speaking_rate": 0.7, "seed": 5}
    found = predictions(choir, [{"text": b"so it goes", **own}, {"text": b"so it goes", "speaker_id": None}], speaker_id=1)
    assert found == [predictions(choir, ["so it goes"], **given)[0] for given in (own, {"speaker_id": 1})]


def test_a_row_s_speaker_that_the_model_has_not_fails_the_row(choir: Path) -> None:
    assert failures(choir, [{"text": b"so", "speaker_id": 3}, {"text": b"so", "speaker_id": 0}]) == [("input", "bad_option"), None]


def test_a_speaker_that_the_model_has_not_is_refused_with_those_that_it_has(artifact: Path, choir: Path) -> None:
    with pytest.raises(ModelError, match="speaker_id: expected a speaker from 0 to 2; found 3"):
        scoring(choir, speaker_id=3)
    with pytest.raises(ModelError, match="speaker_id: expected a speaker 0, since the model has one speaker; found 1"):
        scoring(artifact, speaker_id=1)


def test_a_file_has_the_rate_and_the_duration_that_are_said(artifact: Path) -> None:
    for found in predictions(artifact, TEXTS):
        info = soundfile.info(io.BytesIO(found["audio"]))
        assert (info.format, info.subtype, info.channels) == ("WAV", "PCM_16", 1)
        assert (info.samplerate, info.frames / info.samplerate) == (found["sampling_rate"], found["duration"])


def test_speech_that_lasts_too_long_is_cut_with_a_warning(artifact: Path) -> None:
    whole = predictions(artifact, TEXTS[2:3], **EVEN)[0]
    cut, short = records(artifact, [TEXTS[2], TEXTS[1]], max_seconds=1.5, **EVEN)
    assert (cut.warnings, short.warnings) == (("truncated",), ())
    assert cut.prediction is not None
    assert whole["duration"] > cut.prediction["duration"] == 1.5
    # The layers that make the sound look a little ahead.
    assert samples(cut.prediction)[:2000] == pytest.approx(samples(whole)[:2000], abs=1e-4)


def test_a_text_of_more_tokens_than_can_be_spoken_is_cut_with_one_warning(artifact: Path) -> None:
    [found] = records(artifact, ["radioactivity " * 1000], max_seconds=2.0)
    assert found.warnings == ("truncated",)
    assert found.prediction is not None and found.prediction["duration"] == 2.0


def test_speech_that_lasts_too_long_fails_where_that_is_asked_for(artifact: Path) -> None:
    asked = {"max_seconds": 1.0, "truncation": "fail"}
    assert failures(artifact, [TEXTS[2], "radioactivity " * 1000, TEXTS[1]], **asked) == [("input", "too_long")] * 2 + [None]


def test_a_voice_that_never_ends_is_stopped(artifact: Path) -> None:
    [found] = records(artifact, TEXTS[:1], speaking_rate=1e-30, max_seconds=3.0)
    assert found.prediction is not None
    assert (found.prediction["duration"], found.warnings) == (3.0, ("truncated",))


def test_rows_that_cannot_be_spoken_fail_alone(artifact: Path) -> None:
    rows = [None, "", " \n", "🙂", "12", {"text": b"\xff"}, "so it goes"]
    codes = ["null_input", "no_tokens", "no_tokens", "no_tokens", "no_tokens", "invalid_encoding"]
    assert failures(artifact, rows) == [*(("input", code) for code in codes), None]


def test_a_character_that_the_model_has_no_token_for_fails_its_row(tmp_path: Path) -> None:
    artifact = tiny_speech.tiny_voice(tmp_path)
    settings = artifact / "model" / "tokenizer_config.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "normalize": False}))
    assert failures(artifact, ["so it goes", "so IT goes"]) == [None, ("input", "unknown_token")]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_shorter_formats_speak_for_as_long(artifact: Path, dtype: str) -> None:
    exact, short = (predictions(artifact, TEXTS, dtype=each, **EVEN) for each in ("float32", dtype))
    assert [each["duration"] for each in short] == pytest.approx([each["duration"] for each in exact], rel=0.1)


@pytest.mark.parametrize("weight", ["decoder.conv_post.weight", "duration_predictor.proj.weight"])
def test_sound_that_is_not_finite_fails_its_row(tmp_path: Path, weight: str) -> None:
    running = scoring(tiny_speech.tiny_voice(tmp_path, use_stochastic_duration_prediction=False))
    engine: Any = running.engine
    engine.model.get_parameter(weight).data.fill_(float("nan"))
    [found] = running.score([{"text": b"so it goes"}])[0]
    assert found.error is not None and (found.error.stage, found.error.code) == ("output", "non_finite")


def test_torch_s_generator_stays_where_it_was(artifact: Path) -> None:
    running = scoring(artifact)
    before = torch.get_rng_state()
    running.score([{"text": b"so it goes"}])
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("needs", "package"), [("phonemize", "phonemizer"), ("is_uroman", "uroman")])
def test_a_tokenizer_that_needs_what_is_not_installed_is_refused(tmp_path: Path, needs: str, package: str) -> None:
    artifact = tiny_speech.tiny_voice(tmp_path)
    settings = artifact / "model" / "tokenizer_config.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), needs: True}))
    with pytest.raises(EnvironmentError_, match=package):
        scoring(artifact)


@pytest.mark.parametrize("kind", ["SpeechT5ForTextToSpeech", "BarkModel", "MusicgenForConditionalGeneration"])
def test_other_models_that_make_sounds_are_refused_by_name(tmp_path: Path, kind: str) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(json.dumps({"architectures": [kind]}))
    with pytest.raises(ModelError, match=f"task text-to-audio expects a model class ending in VitsModel, found {kind}"):
        check(LoggedModel("other", None, tmp_path), TASK)


def test_text_to_speech_is_another_name_of_it() -> None:
    assert load("text-to-speech") is TASK


def test_null_is_failed() -> None:
    with pytest.raises(RowError, match="text is NULL"):
        TASK.read({"text": None}, TASK.options())
