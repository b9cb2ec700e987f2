"""Labels of images held against the native pipeline's, image by image, for every family and batch size, without Spark."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import tiny_vision
import transformers
from architectures import first_of
from PIL import Image

from sparkcoil import engines
from sparkcoil.batching import Budget
from sparkcoil.engines import Placement
from sparkcoil.scoring import Record, Scoring
from sparkcoil.tasks import with_roots
from sparkcoil.tasks.image_classification import TASK

SIZES = ((32, 32), (40, 60), (100, 50), (64, 64), (33, 97), (40, 60), (5, 7), (200, 120))
IMAGES = [tiny_vision.drawn(*size, seed) for seed, size in enumerate(SIZES)]
IMAGES += [IMAGES[1].convert("L"), IMAGES[2].convert("P"), IMAGES[3].convert("1")]


@pytest.fixture(scope="module", params=first_of(tiny_vision.CLASSIFIERS))
def artifact(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_vision.tiny_classifier(tmp_path_factory.mktemp("classifier"), request.param)


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_vision.tiny_classifier(tmp_path_factory.mktemp("one"), "vit")


def natively(artifact: Path, images: Sequence[Image.Image], **given: Any) -> list[Any]:
    pipe: Any = transformers.pipeline("image-classification", model=str(artifact / "model"), device="cpu")
    return [pipe(image, **{"top_k": None, **given}) for image in images]


def records(artifact: Path, images: Sequence[Any], *, batch: int = 8, roots: Sequence[str] = (), **options: Any) -> list[Record]:
    chosen = with_roots(TASK.options(**options), roots)
    engine = engines.load(engines.name_of(TASK, artifact), artifact, chosen, Placement("cpu", "auto"))
    rows = [image if isinstance(image, dict) else {"image": tiny_vision.png(image)} for image in images]
    return Scoring(TASK, engine, chosen, Budget(engine.budget.size * 8, batch)).score(rows)[0]


def scores(artifact: Path, images: Sequence[Any], **options: Any) -> list[list[dict[str, Any]]]:
    found = records(artifact, images, **options)
    assert [each.error for each in found] == [None] * len(found)
    return [each.prediction["scores"] for each in found if each.prediction]


def same(found: Sequence[Any], native: Sequence[Any]) -> bool:
    """Tell whether labels and scores are equal, image by image."""
    by_label = [[{each["label"]: each["score"] for each in labels} for labels in side] for side in (found, native)]
    return all(ours == pytest.approx(theirs, abs=1e-5) for ours, theirs in zip(*by_label, strict=True))


def test_labels_equal_the_native_pipelines_for_every_batch_size_and_remainder(artifact: Path) -> None:
    native = natively(artifact, IMAGES)
    assert len({tuple(round(each["score"], 4) for each in labels) for labels in native}) > len(IMAGES) // 2
    for batch in (1, 7, 64):
        assert same(scores(artifact, IMAGES, batch=batch), native)
    for count in (1, 4):
        assert same(scores(artifact, IMAGES[:count], batch=3), native[:count])


@pytest.mark.parametrize("function", ["softmax", "sigmoid", "none"])
def test_every_function_gives_what_the_native_pipeline_gives(one: Path, function: str) -> None:
    native = natively(one, IMAGES[:4], function_to_apply=function, top_k=2)
    found = scores(one, IMAGES[:4], function_to_apply=function, top_k=2)
    assert same(found, native)
    assert [[each["label"] for each in labels] for labels in found] == [[each["label"] for each in labels] for labels in native]


def test_an_image_with_more_pixels_than_asked_for_fails_alone(one: Path) -> None:
    found = records(one, IMAGES[:3], max_pixels=2400)
    assert [each.error.code if each.error else None for each in found] == [None, None, "image_too_large"]


def test_an_image_that_is_hardly_wider_than_a_line_fails_alone(one: Path) -> None:
    found = records(one, [IMAGES[0], Image.new("RGB", (1, 300)), Image.new("RGB", (300, 3))])
    assert [each.error.code if each.error else None for each in found] == [None, "image_too_narrow", None]
