"""Objects held against the native pipeline's, image by image, for every family and batch size, without Spark."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import seen_without_spark
import tiny_detection
import tiny_vision
import torch
import transformers
from architectures import first_of
from PIL import Image
from seen_without_spark import rows as rows_of

from sparkcoil.batching import Budget
from sparkcoil.scoring import Record
from sparkcoil.tasks.object_detection import TASK

scoring = partial(seen_without_spark.scoring, TASK)
SIZES = ((32, 32), (40, 60), (100, 50), (64, 64), (33, 97), (40, 60), (200, 120))
IMAGES = [tiny_vision.drawn(*size, seed) for seed, size in enumerate(SIZES)]
IMAGES += [IMAGES[1].convert("L"), IMAGES[2].convert("P"), IMAGES[3].convert("1")]


@pytest.fixture(scope="module", params=first_of(tiny_detection.DETECTORS))
def artifact(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_detection.tiny_detector(tmp_path_factory.mktemp("detector"), request.param)


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_detection.tiny_detector(tmp_path_factory.mktemp("one"), "yolos")


def natively(artifact: Path, images: Sequence[Image.Image], **given: Any) -> list[Any]:
    pipe: Any = transformers.pipeline("object-detection", model=str(artifact / "model"), device="cpu")
    return [pipe(image, **given) for image in images]


def records(artifact: Path, images: Sequence[Any], **options: Any) -> list[Record]:
    return scoring(artifact, **options).score(rows_of(images))[0]


def objects(artifact: Path, images: Sequence[Any], **options: Any) -> list[list[dict[str, Any]]]:
    return found_in(records(artifact, images, **options))


def found_in(found: Sequence[Record]) -> list[list[dict[str, Any]]]:
    assert [each.error for each in found] == [None] * len(found)
    return [each.prediction["objects"] for each in found if each.prediction]


def test_objects_equal_the_native_pipelines_for_every_batch_size_and_remainder(artifact: Path) -> None:
    native = natively(artifact, IMAGES, threshold=0.0)
    assert min(map(len, native)) >= tiny_detection.QUERIES
    assert len({str(each) for each in native}) == len(IMAGES)
    running = scoring(artifact, threshold=0.0)
    for count, batch in ((len(IMAGES), 1), (len(IMAGES), 7), (len(IMAGES), 64), (1, 3), (2, 3), (4, 3), (5, 3)):
        running.budget = Budget(running.budget.size, batch)
        assert tiny_detection.same_images(found_in(running.score(rows_of(IMAGES[:count]))[0]), native[:count])


def test_a_backbone_of_timm_named_as_on_the_hub_needs_no_network(tmp_path: Path) -> None:
    hub = {"backbone": "test_resnet", "use_timm_backbone": True, "use_pretrained_backbone": True, "backbone_config": None}
    named = tiny_detection.tiny_detector(tmp_path, "detr", **hub)
    file = named / "model" / "config.json"
    saved = json.loads(file.read_text())
    assert saved.pop("backbone_config")["model_type"] == "timm_backbone"
    file.write_text(json.dumps({**saved, **hub}))
    native = natively(named, IMAGES[:4], threshold=0.0)
    assert tiny_detection.same_images(objects(named, IMAGES[:4], threshold=0.0), native)


@pytest.mark.parametrize("given", [{}, {"threshold": 0.3}], ids=["by default", "as told"])
def test_only_objects_above_the_threshold_are_kept_in_the_model_s_order(one: Path, given: dict[str, float]) -> None:
    native, every = natively(one, IMAGES, **given), natively(one, IMAGES, threshold=0.0)
    assert 0 < sum(map(len, native)) < sum(map(len, every))
    found = objects(one, IMAGES, **given)
    assert [[each["label"] for each in image] for image in found] == [[each["label"] for each in image] for image in native]
    assert tiny_detection.same_images(found, native)


def test_an_image_without_objects_is_ok_and_has_none(one: Path) -> None:
    assert natively(one, IMAGES[:2], threshold=1.0) == [[], []]
    assert objects(one, IMAGES[:2], threshold=1.0) == [[], []]


def test_the_best_are_kept_in_the_model_s_order(one: Path) -> None:
    native = natively(one, IMAGES[:4], threshold=0.0)
    lowest = [sorted((each["score"] for each in image), reverse=True)[2] for image in native]
    best = [[each for each in image if each["score"] >= least] for image, least in zip(native, lowest, strict=True)]
    assert any([each["score"] for each in image] != sorted((each["score"] for each in image), reverse=True) for image in best)
    found = objects(one, IMAGES[:4], threshold=0.0, top_k=3)
    assert [[each["label"] for each in image] for image in found] == [[each["label"] for each in image] for image in best]
    assert tiny_detection.same_images(found, best)


def test_boxes_are_whole_pixels_of_the_upright_image(one: Path) -> None:
    lying = tiny_vision.drawn(40, 120, 6)
    turned = Image.Exif()
    turned[0x0112] = 6
    as_stored = tiny_vision.png(lying, "PNG", exif=turned)
    upright = lying.transpose(Image.Transpose.ROTATE_270)
    found, native = objects(one, [as_stored], threshold=0.0), natively(one, [upright], threshold=0.0)
    assert tiny_detection.same_images(found, native)
    assert max(each["box"]["ymax"] for each in found[0]) > 60
    assert {type(side) for each in found[0] for side in each["box"].values()} == {int}


def test_what_is_no_image_fails_alone(one: Path) -> None:
    found = records(one, [IMAGES[0], b"no image", None, IMAGES[1]], threshold=0.0)
    assert [each.error.code if each.error else None for each in found] == [None, "undecodable_image", "null_input", None]
    assert tiny_detection.same_images(found_in([found[0], found[3]]), natively(one, IMAGES[:2], threshold=0.0))


def test_what_is_not_finite_fails_its_row_instead_of_finding_nothing(one: Path) -> None:
    running = scoring(one, threshold=0.0)
    engine: Any = running.engine
    torch.nn.init.constant_(engine.model.class_labels_classifier.layers[0].bias, float("nan"))
    found = running.score(rows_of(IMAGES[:2]))[0]
    assert [each.error.code if each.error else None for each in found] == ["non_finite"] * 2


@pytest.mark.parametrize("family", ["GroundingDino", "OwlViT", "OmDetTurbo", "PPOCRV5ServerDet"])
def test_models_that_are_asked_by_text_or_look_for_text_are_not_of_this_task(family: str) -> None:
    assert not f"{family}ForObjectDetection".endswith(TASK.heads)
