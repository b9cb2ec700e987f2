"""Labels that a model was never trained on held against the native pipeline's, image by image, for every batch size, without Spark."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import tiny_vision
import transformers
from architectures import first_of
from PIL import Image

from sparkcoil import engines
from sparkcoil.batching import Budget
from sparkcoil.engines import Engine, Placement
from sparkcoil.errors import RowError
from sparkcoil.scoring import Record, Scoring
from sparkcoil.tasks.zero_shot_image_classification import TASK

LABELS = ("a dog", "rain", "sports and the weather", "science")
SIZES = ((32, 32), (40, 60), (100, 50), (64, 64), (33, 97), (40, 60), (5, 7))
IMAGES = [tiny_vision.drawn(*size, seed) for seed, size in enumerate(SIZES)]
IMAGES += [IMAGES[1].convert("L"), IMAGES[2].convert("P")]
# As long as a row's label has to be to have more tokens than any of the models reads.
ENDLESS = "a very long story of " * 30


@pytest.fixture(scope="module", params=first_of(tiny_vision.LIKENERS))
def artifact(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_vision.tiny_likener(tmp_path_factory.mktemp("likener"), request.param)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield tiny_vision.tiny_likener(tmp_path_factory.mktemp("clip"), "clip")
    loaded.cache_clear()


@pytest.fixture(scope="module")
def siglip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_vision.tiny_likener(tmp_path_factory.mktemp("siglip"), "siglip")


def natively(artifact: Path, images: Sequence[Image.Image], labels: Sequence[str] = LABELS, **given: Any) -> list[Any]:
    pipe: Any = transformers.pipeline("zero-shot-image-classification", model=str(artifact / "model"), device="cpu")
    return [pipe(image, candidate_labels=list(labels), **given) for image in images]


@lru_cache(2)
def loaded(artifact: Path, template: str) -> Engine:
    """Return the engine of an artifact, which knows of its options the template alone."""
    return engines.load(engines.name_of(TASK, artifact), artifact, TASK.options(hypothesis_template=template), Placement("cpu", "auto"))


def scoring(artifact: Path, *, batch: int = 8, **options: Any) -> Scoring:
    chosen: Any = TASK.options(**options)
    engine = loaded(artifact, chosen.hypothesis_template)
    return Scoring(TASK, engine, chosen, Budget(engine.budget.size * 8, batch))


def rows_of(images: Sequence[Image.Image], labels: Sequence[Any] = ()) -> list[dict[str, Any]]:
    rows = [{"image": tiny_vision.png(image)} for image in images]
    return [{**row, "candidate_labels": each} for row, each in zip(rows, labels, strict=True)] if labels else rows


def records(artifact: Path, rows: Sequence[dict[str, Any]], **options: Any) -> list[Record]:
    return scoring(artifact, **options).score(rows)[0]


def scores(artifact: Path, rows: Sequence[dict[str, Any]], **options: Any) -> list[list[dict[str, Any]]]:
    found = records(artifact, rows, **options)
    assert [each.error for each in found] == [None] * len(found)
    return [each.prediction["scores"] for each in found if each.prediction]


def same(found: Sequence[Any], native: Sequence[Any]) -> bool:
    """Tell whether labels and scores are equal, image by image."""
    by_label = [[{each["label"]: each["score"] for each in labels} for labels in side] for side in (found, native)]
    return all(ours == pytest.approx(theirs, abs=1e-5) for ours, theirs in zip(*by_label, strict=True))


def test_labels_equal_the_native_pipelines_for_every_batch_size_and_remainder(artifact: Path) -> None:
    native, rows = natively(artifact, IMAGES), rows_of(IMAGES)
    assert len({tuple(round(each["score"], 4) for each in labels) for labels in native}) > len(IMAGES) // 2
    assert len({labels[0]["label"] for labels in native}) > 1
    for batch in (1, 2, 7, 64):
        assert same(scores(artifact, rows, batch=batch, candidate_labels=LABELS), native)
    for count in range(1, len(IMAGES)):
        assert same(scores(artifact, rows[:count], batch=3, candidate_labels=LABELS), native[:count])


def test_labels_compete_in_a_clip_and_stand_by_themselves_in_a_siglip(clip: Path, siglip: Path) -> None:
    def scored(artifact: Path, labels: Sequence[str]) -> dict[str, float]:
        return {each["label"]: each["score"] for each in scores(artifact, rows_of(IMAGES[:1]), candidate_labels=labels)[0]}

    assert scored(clip, ["rain"])["rain"] == 1.0
    assert sum(scored(clip, LABELS).values()) == pytest.approx(1.0)
    assert scored(siglip, ["rain"])["rain"] == pytest.approx(scored(siglip, LABELS)["rain"], abs=1e-6)
    assert sum(scored(siglip, LABELS).values()) > 1.2


def test_the_template_is_the_native_one_or_the_user_s(clip: Path) -> None:
    native = natively(clip, IMAGES[:3], hypothesis_template="One sees {}")
    found = scores(clip, rows_of(IMAGES[:3]), candidate_labels=LABELS, hypothesis_template="One sees {}")
    assert same(found, native)
    assert not same(found, natively(clip, IMAGES[:3]))


def test_each_row_may_have_labels_of_its_own(clip: Path, siglip: Path) -> None:
    labels = [["a dog", "rain"], "rain, sports, science", ["rain"]]
    asked = [["a dog", "rain"], ["rain", "sports", "science"], ["rain"]]
    for artifact in (clip, siglip):
        native = [natively(artifact, [image], each)[0] for image, each in zip(IMAGES, asked, strict=False)]
        assert same(scores(artifact, rows_of(IMAGES[:3], labels)), native)


def test_labels_are_placed_once_for_all_windows_and_images_once_for_all_labels(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running = scoring(clip, candidate_labels=("one", "two", "three"))
    model: Any = running.engine.model  # type: ignore[attr-defined]
    asked: dict[str, list[int]] = {"input_ids": [], "pixel_values": []}

    def counted(function: Any, name: str) -> Any:
        return lambda **given: asked[name].append(len(given[name])) or function(**given)

    monkeypatch.setattr(model, "get_text_features", counted(model.get_text_features, "input_ids"))
    monkeypatch.setattr(model, "get_image_features", counted(model.get_image_features, "pixel_values"))
    for start in range(0, 6, 2):
        running.score(rows_of(IMAGES[start : start + 2]))
    assert (sum(asked["input_ids"]), asked["pixel_values"]) == (3, [2, 2, 2])


def test_a_label_that_is_too_long_fails_the_row_that_asks_for_it(clip: Path) -> None:
    good, bad = records(clip, rows_of(IMAGES[:2], [["rain"], ["rain", ENDLESS]]))
    assert good.error is None
    assert bad.error is not None
    assert (bad.error.code, "story" in bad.error.message) == ("too_long", False)


def test_a_label_that_is_too_long_for_a_siglip_is_cut_as_natively_and_flagged(siglip: Path) -> None:
    plain, cut = records(siglip, rows_of(IMAGES[:2], [["rain"], ["rain", ENDLESS]]))
    assert (plain.warnings, cut.warnings) == ((), ("truncated",))
    assert cut.prediction is not None
    assert same([cut.prediction["scores"]], natively(siglip, IMAGES[1:2], ["rain", ENDLESS]))


def test_a_row_without_labels_and_an_image_that_is_none_fail_alone(clip: Path) -> None:
    rows = [*rows_of(IMAGES[:4], [["rain"], [], None, ["rain"]]), {"image": b"no image", "candidate_labels": ["rain"]}]
    found = [each.error.code if each.error else None for each in records(clip, rows)]
    assert found == [None, "no_labels", "null_input", None, "undecodable_image"]


def test_null_is_failed() -> None:
    with pytest.raises(RowError, match="image is NULL"):
        TASK.read({"image": None}, TASK.options())
