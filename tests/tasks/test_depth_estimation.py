"""Depths of images held against the native pipeline's, image by image, for every family and batch size, without Spark."""

import io
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import seen_without_spark
import tiny_vision
import transformers
from architectures import first_of
from PIL import Image
from seen_without_spark import batched, rows

from sparkcoil.scoring import Record
from sparkcoil.tasks.depth_estimation import TASK

scoring = partial(seen_without_spark.scoring, TASK)
SIZES = ((32, 32), (40, 60), (100, 50), (64, 64), (33, 97), (40, 60), (200, 120))
IMAGES = [tiny_vision.drawn(*size, seed) for seed, size in enumerate(SIZES)]
IMAGES += [IMAGES[1].convert("L"), IMAGES[2].convert("P")]


@pytest.fixture(scope="module", params=first_of(tiny_vision.DEPTHS))
def artifact(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_vision.tiny_depth(tmp_path_factory.mktemp("depth"), request.param)


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_vision.tiny_depth(tmp_path_factory.mktemp("one"), "dpt")


def natively(artifact: Path, images: Sequence[Image.Image]) -> list[np.ndarray]:
    pipe: Any = transformers.pipeline("depth-estimation", model=str(artifact / "model"), device="cpu")
    return [pipe(image)["predicted_depth"].numpy() for image in images]


def picture(prediction: Any) -> np.ndarray:
    """Return the greys of a prediction, after a look at what kind of file it is."""
    with Image.open(io.BytesIO(prediction["depth"])) as image:
        assert (image.format, image.mode) == ("PNG", "I;16")
        return np.asarray(image)


def same(records: Sequence[Record], native: Sequence[np.ndarray]) -> bool:
    """Tell whether depths are equal, within 1e-5 and half a step of the picture."""
    assert [each.error for each in records] == [None] * len(native)
    for found, theirs in zip((each.prediction for each in records), native, strict=True):
        assert found is not None
        step = (found["max"] - found["min"]) / 65_535
        assert (found["min"], found["max"]) == pytest.approx((theirs.min(), theirs.max()), abs=1e-5)
        if not np.allclose(found["min"] + picture(found) * step, theirs, rtol=0, atol=1e-5 + step * 0.51):
            return False
    return True


def test_depths_equal_the_native_pipelines_for_every_batch_size_and_remainder(artifact: Path) -> None:
    native = natively(artifact, IMAGES)
    assert all(each.std() > 0.1 for each in native)
    assert len({(each.shape, round(float(each.mean()), 4)) for each in native}) > len(IMAGES) // 2
    loaded = scoring(artifact)
    for batch in (1, 4, 64):
        assert same(batched(loaded, batch).score(rows(IMAGES))[0], native)
    for count in range(1, 5):
        assert same(batched(loaded, 3).score(rows(IMAGES[:count]))[0], native[:count])


def test_a_picture_is_of_its_images_size_and_goes_from_black_to_white(one: Path) -> None:
    records = scoring(one).score(rows(IMAGES[:3]))[0]
    pictures = [picture(each.prediction) for each in records]
    assert [each.shape for each in pictures] == list(SIZES[:3])
    assert {(int(each.min()), int(each.max())) for each in pictures} == {(0, 65_535)}


def test_images_that_cannot_be_seen_fail_alone(one: Path) -> None:
    found = scoring(one, max_pixels=2400).score(rows([IMAGES[0], b"no image", IMAGES[1], None, IMAGES[2]]))[0]
    assert [each.error.code if each.error else None for each in found] == [
        None, "undecodable_image", None, "null_input", "image_too_large"
    ]  # fmt: skip


def test_an_image_that_only_the_processor_cannot_take_fails_with_a_code_of_its_own(tmp_path: Path) -> None:
    sizes = ((40, 20), (64, 64), (20, 20))
    found = scoring(tiny_vision.tiny_depth(tmp_path, "glpn")).score(rows([tiny_vision.drawn(*size, 1) for size in sizes]))[0]
    assert [each.error and each.error.code for each in found] == ["image_refused", None, "image_refused"]
    assert found[0].error is not None
    assert found[0].error.message == "the model's image processor takes no image of 20 x 40 pixels (ValueError)"


def test_depths_that_are_not_finite_fail_alone(one: Path) -> None:
    broken = scoring(one)
    forward = broken.engine.model.forward

    def with_a_hole(**inputs: Any) -> Any:
        outputs = forward(**inputs)
        outputs.predicted_depth[1, 3, 4] = float("nan")
        return outputs

    broken.engine.model.forward = with_a_hole
    found = broken.score(rows(IMAGES[:3]))[0]
    assert sorted(each.error.code if each.error else "ok" for each in found) == ["non_finite", "ok", "ok"]
