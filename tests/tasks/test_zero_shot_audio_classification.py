"""Labels that a model was never trained on held against the native pipeline's, sound by sound, for every batch size, without Spark."""

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_speech
import transformers
from bad_media import in_every_form

from sparkcoil import engines
from sparkcoil.batching import Budget
from sparkcoil.engines import Placement
from sparkcoil.errors import RowError
from sparkcoil.scoring import Record, Scoring
from sparkcoil.tasks import with_roots
from sparkcoil.tasks.zero_shot_audio_classification import TASK

LABELS = ("a dog", "rain", "sports and the weather")
# The model hears a second.
SOUNDS = [tiny_speech.noise(seconds, i) for i, seconds in enumerate((0.5, 1.0, 0.3, 0.9, 0.5, 2.5, 1.7, 0.05))]


@pytest.fixture(scope="module", params=[False, True], ids=["cut", "fused"])
def artifact(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_speech.tiny_clap(tmp_path_factory.mktemp("clap"), fusion=request.param)


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_speech.tiny_clap(tmp_path_factory.mktemp("one"))


def natively(artifact: Path, sounds: Sequence[np.ndarray], labels: Sequence[str] = LABELS, **given: Any) -> list[Any]:
    """Return what the native pipeline finds, where numpy's generator stands as the row's sound alone says."""
    pipe: Any = transformers.pipeline("zero-shot-audio-classification", model=str(artifact / "model"), device="cpu")
    found = []
    for sound in sounds:
        np.random.seed(zlib.crc32(sound.tobytes()))
        found.append(pipe(sound, candidate_labels=list(labels), **given))
    return found


def scoring(artifact: Path, *, batch: int = 8, roots: Sequence[str] = (), **options: Any) -> Scoring:
    chosen = with_roots(TASK.options(**options), roots)
    engine = engines.load(engines.name_of(TASK, artifact), artifact, chosen, Placement("cpu", "auto"))
    return Scoring(TASK, engine, chosen, Budget(engine.budget.size * 8, batch))


def records(artifact: Path, rows: Sequence[Any], **options: Any) -> list[Record]:
    given = [row if isinstance(row, dict) else {"audio": tiny_speech.wav(row)} for row in rows]
    return scoring(artifact, **options).score(given)[0]


def scores(artifact: Path, rows: Sequence[Any], **options: Any) -> list[list[dict[str, Any]]]:
    found = records(artifact, rows, **options)
    assert [each.error for each in found] == [None] * len(found)
    return [each.prediction["scores"] for each in found if each.prediction]


def same(found: Sequence[Any], native: Sequence[Any]) -> bool:
    by_label = [[{each["label"]: each["score"] for each in labels} for labels in side] for side in (found, native)]
    return all(ours == pytest.approx(theirs, abs=1e-4) for ours, theirs in zip(*by_label, strict=True))


def test_labels_equal_the_native_pipelines_for_every_batch_size_and_remainder(artifact: Path) -> None:
    native = natively(artifact, SOUNDS)
    assert len({round(labels[0]["score"], 3) for labels in native}) > 3
    for batch in (1, 2, 7, 64):
        assert same(scores(artifact, SOUNDS, batch=batch, candidate_labels=LABELS), native)
    for count in range(1, len(SOUNDS)):
        assert same(scores(artifact, SOUNDS[:count], batch=3, candidate_labels=LABELS), native[:count])


def test_the_template_is_the_native_one_or_the_user_s(one: Path) -> None:
    native = natively(one, SOUNDS[:2], hypothesis_template="One hears {}")
    assert same(scores(one, SOUNDS[:2], candidate_labels="a dog, rain, sports and the weather", hypothesis_template="One hears {}"), native)


def test_each_row_may_have_labels_of_its_own(one: Path) -> None:
    labels = [["a dog", "rain"], ["rain", "sports", "science"], ["rain"]]
    rows = [{"audio": tiny_speech.wav(sound), "candidate_labels": each} for sound, each in zip(SOUNDS, labels, strict=False)]
    native = [natively(one, [sound], each)[0] for sound, each in zip(SOUNDS, labels, strict=False)]
    assert same(scores(one, rows), native)


def test_labels_are_placed_once_for_all_windows_that_ask_for_them(one: Path) -> None:
    running = scoring(one, candidate_labels=LABELS)
    engine: Any = running.engine
    asked: list[int] = []
    text_features = engine.model.get_text_features
    engine.model.get_text_features = lambda **given: asked.append(len(given["input_ids"])) or text_features(**given)
    for start in range(0, 6, 2):
        running.score([{"audio": tiny_speech.wav(sound)} for sound in SOUNDS[start : start + 2]])
    assert sum(asked) == len(LABELS)


def test_a_longer_sound_is_flagged_only_where_a_part_of_it_was_left_out(artifact: Path) -> None:
    fused = "fusion" in (artifact / "model" / "preprocessor_config.json").read_text()
    found = records(artifact, SOUNDS[4:7], candidate_labels=LABELS)
    assert [each.warnings for each in found] == [(), *[() if fused else ("truncated",)] * 2]


def test_every_form_of_a_recording_gives_the_same(one: Path, tmp_path: Path) -> None:
    rows = in_every_form(tiny_speech.wav(SOUNDS[0]), tiny_speech.RATE, tmp_path / "clip.wav")
    asked = {"candidate_labels": LABELS}
    assert same(scores(one, rows, roots=[str(tmp_path)], **asked), scores(one, SOUNDS[:1], **asked) * len(rows))


def test_a_sound_that_breaks_off_gets_the_labels_of_its_beginning(artifact: Path) -> None:
    whole = tiny_speech.noise(1.8, 4)
    rows = [{"audio": tiny_speech.wav(whole)[: len(tiny_speech.wav(whole[:16_000]))]}, SOUNDS[1]]
    broken, other = records(artifact, rows, candidate_labels=LABELS)
    assert (broken.warnings, other.warnings) == (("truncated_media",), ())
    assert broken.prediction is not None
    assert same([broken.prediction["scores"]], natively(artifact, [whole[:16_000]]))


def test_what_is_drawn_of_long_sounds_is_the_same_whatever_is_heard_beside_them(one: Path) -> None:
    long = [tiny_speech.noise(1.5 + i / 10, i) for i in range(9)]
    assert same(scores(one, long, candidate_labels=LABELS, batch=9), natively(one, long))


def test_a_label_that_is_too_long_fails_the_row_that_asks_for_it(one: Path) -> None:
    rows = [{"audio": tiny_speech.wav(SOUNDS[0]), "candidate_labels": each} for each in (["rain"], ["rain", "very long " * 30])]
    good, bad = records(one, rows)
    assert good.error is None
    assert bad.error is not None
    assert (bad.error.code, "very" in bad.error.message) == ("too_long", False)


def test_a_row_without_labels_is_failed(one: Path) -> None:
    assert [each.error and each.error.code for each in records(one, SOUNDS[:1])] == ["no_labels"]


def test_the_generator_of_numpy_stays_where_it_was(one: Path) -> None:
    np.random.seed(5)
    before = np.random.get_state()[1].copy()
    scores(one, SOUNDS[5:6], candidate_labels=LABELS)
    assert (np.random.get_state()[1] == before).all()


def test_null_is_failed() -> None:
    with pytest.raises(RowError, match="audio is NULL"):
        TASK.read({"audio": None}, TASK.options())
