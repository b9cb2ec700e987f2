"""What a Whisper hears held against the native pipeline's, recording by recording, for every batch size, without Spark."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import oracle
import pytest
import soxr
import tiny_speech
import transformers
from bad_media import BAD_AUDIO, encode, in_every_form
from transformers.models.whisper.generation_whisper import WhisperGenerationMixin

from sparkcoil import engines
from sparkcoil.batching import Budget
from sparkcoil.engines import Placement
from sparkcoil.engines.hearing import Ear
from sparkcoil.engines.whisper import code, is_repetitive
from sparkcoil.errors import ModelError
from sparkcoil.recordings import Sound
from sparkcoil.scoring import Record, Scoring
from sparkcoil.tasks import with_roots
from sparkcoil.tasks.automatic_speech_recognition import TASK
from sparkcoil.transcripts import Transcript
from sparkcoil.windows import Passage, Plan, Window

# The model hears windows of 2 s. Short and long recordings, one of exactly a window, and one that ends within an overlap.
WINDOW = 2
SECONDS = (0.6, 4.7, 0.2, 2.0, 3.1, 1.9, 0.9, 2.2)
TOKENS = 8
SOUNDS = [tiny_speech.noise(seconds, i) for i, seconds in enumerate(SECONDS)]
NATIVE_TIMES = {"none": False, "segment": True, "word": "word"}


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_speech.tiny_whisper(tmp_path_factory.mktemp("whisper"))


@pytest.fixture(scope="module")
def english(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_speech.tiny_whisper(tmp_path_factory.mktemp("english"), languages=())


@pytest.fixture(scope="module")
def pipeline(artifact: Path) -> Any:
    return transformers.pipeline("automatic-speech-recognition", model=str(artifact / "model"), device="cpu")


def natively(pipeline: Any, sound: np.ndarray, times: str = "none", **settings: Any) -> dict[str, Any]:
    """Return what the native pipeline hears in windows, greedily unless told otherwise: by itself it searches five beams."""
    given = {"num_beams": 1, "task": "transcribe", "max_new_tokens": TOKENS, **settings}
    sample = {"raw": sound.copy(), "sampling_rate": tiny_speech.RATE}
    return dict(pipeline(sample, chunk_length_s=WINDOW, return_timestamps=NATIVE_TIMES[times], generate_kwargs=given))


@pytest.fixture(scope="module")
def expected(pipeline: Any) -> Mapping[str, list[dict[str, Any]]]:
    return {times: [natively(pipeline, sound, times) for sound in SOUNDS] for times in NATIVE_TIMES}


def records(artifact: Path, rows: Sequence[Any], *, batch: int = 8, roots: Sequence[str] = (), **options: Any) -> list[Record]:
    chosen = with_roots(TASK.options(**{"max_new_tokens": TOKENS, **options}), roots)
    engine = engines.load(engines.name_of(TASK, artifact), artifact, chosen, Placement("cpu", "auto"))
    given = [row if isinstance(row, dict) else {"audio": tiny_speech.wav(row)} for row in rows]
    return Scoring(TASK, engine, chosen, Budget(engine.budget.size * 8, batch)).score(given)[0]


def heard(*args: Any, **options: Any) -> list[dict[str, Any]]:
    found = records(*args, **options)
    assert [each.error for each in found] == [None] * len(found)
    return [each.prediction or {} for each in found]


def texts(predictions: Sequence[Mapping[str, Any]]) -> list[str]:
    return [each["text"] for each in predictions]


@pytest.mark.parametrize("batch", [1, 2, 7, 64])
def test_texts_equal_the_native_pipelines_for_every_batch_size(artifact: Path, expected: Mapping[str, Any], batch: int) -> None:
    found = heard(artifact, SOUNDS, batch=batch)
    assert texts(found) == texts(expected["none"])
    assert [each["duration"] for each in found] == [pytest.approx(seconds) for seconds in SECONDS]
    assert all(each["segments"] == each["words"] == [] for each in found)


@pytest.mark.parametrize("count", range(1, len(SOUNDS)))
def test_texts_equal_the_native_pipelines_for_every_remainder(artifact: Path, expected: Mapping[str, Any], count: int) -> None:
    assert texts(heard(artifact, SOUNDS[:count], batch=3)) == texts(expected["none"][:count])


@pytest.mark.parametrize("batch", [1, 7])
def test_segments_equal_the_native_pipelines(artifact: Path, expected: Mapping[str, Any], batch: int) -> None:
    for found, native in zip(heard(artifact, SOUNDS, batch=batch, return_timestamps="segment"), expected["segment"], strict=True):
        assert found["text"] == native["text"]
        assert [each["text"] for each in found["segments"]] == [each["text"] for each in native["chunks"]]
        before = 0.0
        for ours, theirs in zip(found["segments"], native["chunks"], strict=True):
            start, end = theirs["timestamp"]
            start = before if start is None else start
            before = max(start, found["duration"]) if end is None else end
            assert (ours["start"], ours["end"]) == pytest.approx((start, before), abs=0.01)


def test_words_equal_the_native_pipelines_where_there_is_sound(artifact: Path, expected: Mapping[str, Any]) -> None:
    compared = 0
    for found, native in zip(heard(artifact, SOUNDS, return_timestamps="word"), expected["word"], strict=True):
        assert [each["word"] for each in found["words"]] == [each["text"] for each in native["chunks"]]
        assert "".join(each["text"] for each in found["segments"]) != ""
        for ours, theirs in zip(found["words"], native["chunks"], strict=True):
            # This model goes on to write where the sound has ended; natively, times run backwards from there.
            if theirs["timestamp"][1] < min(found["duration"], WINDOW):
                assert (ours["start"], ours["end"]) == pytest.approx(theirs["timestamp"], abs=0.021)
                compared += 1
    assert compared > 5


def test_word_times_do_not_depend_on_the_batch(artifact: Path) -> None:
    alone = heard(artifact, SOUNDS, batch=1, return_timestamps="word")
    assert heard(artifact, SOUNDS, batch=64, return_timestamps="word") == alone


def test_beams_give_what_the_native_pipeline_gives(artifact: Path, pipeline: Any) -> None:
    expected = [natively(pipeline, sound, num_beams=3)["text"] for sound in SOUNDS[:4]]
    assert texts(heard(artifact, SOUNDS[:4], num_beams=3)) == expected


@pytest.mark.parametrize("options", [{"repetition_penalty": 3.0}, {"no_repeat_ngram_size": 2}], ids=str)
def test_what_keeps_a_text_from_repeating_itself_holds_as_natively(artifact: Path, pipeline: Any, options: dict[str, Any]) -> None:
    found = texts(heard(artifact, SOUNDS[:4], **options))
    assert found == [natively(pipeline, sound, **options)["text"] for sound in SOUNDS[:4]]
    assert found != texts(heard(artifact, SOUNDS[:4]))
    assert expected != texts(heard(artifact, SOUNDS[:4]))


def test_other_windows_give_what_the_native_pipeline_gives(artifact: Path, pipeline: Any) -> None:
    sample = {"raw": SOUNDS[1].copy(), "sampling_rate": tiny_speech.RATE}
    given = {"num_beams": 1, "task": "transcribe", "max_new_tokens": TOKENS}
    native = pipeline(sample, chunk_length_s=1.5, stride_length_s=0.25, generate_kwargs=given)["text"]
    assert texts(heard(artifact, SOUNDS[1:2], chunk_length_s=1.5, stride_length_s=0.25)) == [native]


def test_each_row_has_its_own_language_task_and_prompt(artifact: Path, pipeline: Any) -> None:
    asked = [
        {},
        {"language": "en"},
        {"language": "japanese", "task": "translate"},
        {"task": "translate"},
        {"prompt": "Dial 7"},
        {"prompt": "Dial 77", "language": "German"},
    ]
    rows = [{"audio": tiny_speech.wav(SOUNDS[1]), **{name: value.encode() for name, value in each.items()}} for each in asked]
    found = heard(artifact, rows, batch=3)
    for each, ours in zip(asked, found, strict=True):
        settings: dict[str, Any] = {name: value for name, value in each.items() if name != "prompt"}
        if "prompt" in each:
            settings["prompt_ids"] = pipeline.tokenizer.get_prompt_ids(each["prompt"], return_tensors="pt")
        assert ours["text"] == natively(pipeline, SOUNDS[1], **settings)["text"]
    assert [each["language"] for each in found[1:3]] == ["en", "ja"]
    assert len(set(texts(found))) == len(asked)


def test_a_language_that_is_not_given_is_found_out(artifact: Path, pipeline: Any) -> None:
    found = heard(artifact, SOUNDS)
    names = {token: name.strip("<|>") for name, token in pipeline.generation_config.lang_to_id.items()}
    for prediction, sound in zip(found, SOUNDS, strict=True):
        if len(sound) <= WINDOW * tiny_speech.RATE:
            features = pipeline.feature_extractor(sound, sampling_rate=tiny_speech.RATE, return_tensors="pt").input_features
            assert prediction["language"] == names[int(WhisperGenerationMixin.detect_language(pipeline.model, features))]
    assert len({each["language"] for each in found}) > 1


def test_the_run_s_options_hold_where_a_row_says_nothing(artifact: Path) -> None:
    rows = [{"audio": tiny_speech.wav(SOUNDS[0]), "language": language} for language in (None, b"en")]
    assert [each["language"] for each in heard(artifact, rows, language="German")] == ["de", "en"]


@pytest.mark.parametrize(
    "given", [{"language": b"xx"}, {"task": b"sing"}, {"prompt": b"<|nospeech|>"}, {"language": b"fr"}], ids=lambda each: str(each)
)
def test_a_row_that_asks_for_what_is_not_there_is_failed_alone(artifact: Path, given: dict[str, bytes]) -> None:
    good, bad = records(artifact, [{"audio": tiny_speech.wav(SOUNDS[0])}, {"audio": tiny_speech.wav(SOUNDS[0]), **given}])
    assert good.error is None
    assert bad.error is not None
    assert (bad.error.stage, bad.error.code) == ("input", "bad_option")
    assert next(iter(given.values())).decode() not in bad.error.message


def test_a_prompt_that_leaves_no_room_is_failed(artifact: Path) -> None:
    bad = records(artifact, [{"audio": tiny_speech.wav(SOUNDS[0]), "prompt": b"very long " * 9}])[0]
    assert bad.error is not None
    assert (bad.error.code, bad.error.message) == ("too_long", "the prompt has 90 tokens, more than the 30 that are read")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"language": "fr"}, "language is not one of this model; its languages: de, en, ja"),
        ({"chunk_length_s": 5}, "chunk_length_s: this model hears at most 2 s at once, found 5"),
        ({"prompt": "<|de|>"}, "special token"),
    ],
)
def test_an_option_that_the_model_cannot_follow_is_refused(artifact: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        heard(artifact, SOUNDS[:1], **options)


def test_an_english_model_knows_no_other_language(english: Path) -> None:
    assert heard(english, SOUNDS[:1])[0]["language"] == "en"
    for options in ({"language": "de"}, {"language": "en"}, {"task": "translate"}):
        with pytest.raises(ModelError, match="this one knows one"):
            heard(english, SOUNDS[:1], **options)


def test_an_english_model_hears_what_it_does_natively(english: Path) -> None:
    pipe = transformers.pipeline("automatic-speech-recognition", model=str(english / "model"), device="cpu")
    expected = [natively(pipe, sound, task=None)["text"] for sound in SOUNDS[:4]]
    assert texts(heard(english, SOUNDS[:4])) == expected


def test_a_model_without_alignment_heads_gives_no_word_times(artifact: Path, tmp_path: Path) -> None:
    config = transformers.GenerationConfig.from_pretrained(artifact / "model")
    del config.alignment_heads
    for file in (artifact / "model").iterdir():
        (tmp_path / "model").mkdir(exist_ok=True)
        (tmp_path / "model" / file.name).symlink_to(file)
    (tmp_path / "model" / "generation_config.json").unlink()
    config.save_pretrained(tmp_path / "model")
    with pytest.raises(ModelError, match="word needs alignment_heads"):
        heard(tmp_path, SOUNDS[:1], return_timestamps="word")


def test_where_there_is_no_sound_there_is_no_text(artifact: Path) -> None:
    silent, half = records(artifact, [np.zeros(90_000), np.concatenate([np.zeros(32_000), SOUNDS[1][:32_000]])], language="de")
    assert silent.error is None
    assert silent.prediction == {"text": "", "language": "de", "duration": 5.625, "segments": [], "words": []}
    assert half.prediction is not None
    assert half.prediction["text"] != ""


def test_sampling_gives_the_same_text_whatever_the_batch(artifact: Path) -> None:
    sampled = texts(heard(artifact, SOUNDS[:4], temperature=1.0, batch=4))
    assert texts(heard(artifact, SOUNDS[3::-1], temperature=1.0, batch=1)) == sampled[::-1]
    assert texts(heard(artifact, SOUNDS[:4], temperature=1.0, batch=4, seed=1)) != sampled


def test_every_form_of_a_recording_gives_the_same(artifact: Path, tmp_path: Path) -> None:
    rows = in_every_form(tiny_speech.wav(SOUNDS[1]), tiny_speech.RATE, tmp_path / "clip.wav")
    expected = heard(artifact, SOUNDS[1:2], return_timestamps="segment")
    assert heard(artifact, rows, roots=[str(tmp_path)], return_timestamps="segment") == expected * len(rows)
    outside = records(artifact, rows[1:2])[0]
    assert outside.error is not None
    assert outside.error.stage == "input"


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(("rate", "subtype"), [(8000, "ULAW"), (16000, "PCM_16"), (22050, "PCM_24"), (44100, "FLOAT"), (48000, "PCM_16")])
def test_every_form_at_every_rate_equals_the_native_pipeline(
    artifact: Path, pipeline: Any, tmp_path: Path, rate: int, subtype: str, channels: int
) -> None:
    samples = soxr.resample(SOUNDS[channels], tiny_speech.RATE, rate)
    content = encode(np.stack([samples, 0.5 * samples], axis=1)[:, :channels], rate, subtype=subtype)
    rows = in_every_form(content, rate, tmp_path / "clip.wav")
    expected = natively(pipeline, oracle.waveform(tmp_path / "clip.wav")["raw"])["text"]
    assert len(expected) > 2
    assert texts(heard(artifact, rows, roots=[str(tmp_path)])) == [expected] * len(rows)


@pytest.mark.parametrize("seconds", [1.5, 3.0, 3.34, 4.0, 5.9])
def test_a_recording_that_breaks_off_gives_what_its_beginning_gives(artifact: Path, seconds: float) -> None:
    whole = tiny_speech.noise(min(6, seconds * 1.9), 5)
    kept = whole[: round(seconds * tiny_speech.RATE)]
    broken = tiny_speech.wav(whole)[: len(tiny_speech.wav(kept))]
    for times in ("segment", "word"):
        record = records(artifact, [{"audio": broken}], return_timestamps=times)[0]
        assert [record.prediction] == heard(artifact, [kept], return_timestamps=times)
        assert record.warnings[0] == "truncated_media"


def test_recordings_that_cannot_be_decoded_fail_alone(artifact: Path) -> None:
    bad = {name: make() for name, (make, _) in BAD_AUDIO.items() if name in ("zero_bytes", "text", "flac_cut_to_30_percent", "spoilt")}
    found = records(artifact, [SOUNDS[0], *({"audio": content} for content in bad.values()), SOUNDS[1]], batch=2)
    assert [each.error and each.error.code for each in found] == [None, *(BAD_AUDIO[name][1] for name in bad), None]
    assert [each.prediction for each in (found[0], found[-1])] == heard(artifact, SOUNDS[:2])


def test_windows_are_decoded_when_their_batch_is_about_to_run(artifact: Path) -> None:
    engine: Any = engines.load("whisper", artifact, TASK.options(max_new_tokens=1), Placement("cpu", "auto"))
    held: list[int] = []

    def hear(samples: np.ndarray) -> None:
        held.append(len(samples))

    engine.ear = Ear(tiny_speech.RATE, hear)
    item, _ = TASK.read({"audio": tiny_speech.wav(tiny_speech.noise(30, 1))}, TASK.options())
    parts = engine.prepare([item])[0].parts
    assert (held, len(parts)) == ([], 22)
    assert len(engine.forward(parts[:3])) == 3
    assert held == [WINDOW * tiny_speech.RATE] * 3


def transcript(artifact: Path, text: str, *, complete: bool = True) -> Transcript:
    """Return the transcript of a window in which a text was heard."""
    engine: Any = engines.load("whisper", artifact, TASK.options(), Placement("cpu", "auto"))
    window = Window(Sound(tiny_speech.wav(SOUNDS[0]), 60.0), language=None, task=None, plan=Plan((), TOKENS, (), None))
    tokens = engine.tokenizer(text, add_special_tokens=False).input_ids
    found: Transcript = engine.facts["transcript"]([Passage(window, len(SOUNDS[0]), SECONDS[0], tokens=tuple(tokens), complete=complete)])
    return found


def test_text_that_goes_round_in_circles_is_flagged(artifact: Path) -> None:
    assert transcript(artifact, " I will be there." * 9).warnings == ("repetition",)
    assert transcript(artifact, " I will be there.").warnings == ()


def test_text_that_is_cut_off_is_flagged(artifact: Path) -> None:
    assert transcript(artifact, " I will", complete=False).warnings == ("truncated",)
    assert any("truncated" in each.warnings for each in records(artifact, SOUNDS[:3], max_new_tokens=3))


def test_repetition_is_what_whisper_takes_for_it() -> None:
    assert is_repetitive("I will be there. " * 9)
    assert not is_repetitive("I will be there tomorrow at nine, as soon as the shops open; wait for me by the door, would you?")
    assert not is_repetitive("")


@pytest.mark.parametrize("name", ["de", "German", "<|de|>", " DE "])
def test_a_language_may_be_given_by_its_code_or_its_name(name: str) -> None:
    assert code(name) == "de"


def test_neighbouring_windows_keep_something_of_their_own() -> None:
    with pytest.raises(ValueError, match="below half of chunk_length_s"):
        TASK.options(chunk_length_s=10, stride_length_s=5)
