"""Segments of images held against the native pipeline's, image by image, for every family, subtask and batch size, without Spark."""

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
from seen_without_spark import batched, mask, rows

from sparkcoil.errors import ModelError
from sparkcoil.scoring import Record
from sparkcoil.tasks.image_segmentation import TASK

scoring = partial(seen_without_spark.scoring, TASK)
SIZES = ((40, 60), (64, 64), (100, 50), (64, 33), (40, 60), (130, 90))
IMAGES = [tiny_vision.drawn(*size, seed) for seed, size in enumerate(SIZES)]
IMAGES += [IMAGES[1].convert("L"), IMAGES[2].convert("P")]
# So low that what random models are hardly sure of stays.
LOW = {"threshold": 0.3, "mask_threshold": 0.3, "overlap_mask_area_threshold": 0.1}
OF_LABELS = ("segformer", "upernet")


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {family: tiny_vision.tiny_segmenter(tmp_path_factory.mktemp("segmenter"), family) for family in tiny_vision.SEGMENTERS}


def natively(artifact: Path, images: Sequence[Image.Image], **given: Any) -> list[Any]:
    pipe: Any = transformers.pipeline("image-segmentation", model=str(artifact / "model"), device="cpu")
    return [pipe(image, **given) for image in images]


def alike(found: Any, native: Any) -> bool:
    """Tell whether two segments are equal, scores within 1e-4, masks but for one pixel in 500 that two labels nearly share."""
    ours, theirs = mask(found["mask"]), np.asarray(native["mask"])
    same_score = found["score"] is None if native["score"] is None else found["score"] == pytest.approx(native["score"], abs=1e-4)
    same_mask = ours.shape == theirs.shape and (ours != theirs).mean() <= 0.002
    return bool(found["label"] == native["label"] and same_score and same_mask)


def same(records: Sequence[Record], native: Sequence[Any]) -> bool:
    """Tell whether segments are equal, image by image and in their order."""
    assert [each.error for each in records] == [None] * len(native)
    segments = [each.prediction["segments"] for each in records if each.prediction]
    return all(len(ours) == len(theirs) and all(map(alike, ours, theirs)) for ours, theirs in zip(segments, native, strict=True))


@pytest.mark.parametrize("family", first_of(tiny_vision.SEGMENTERS))
def test_segments_equal_the_native_pipelines_for_every_batch_size_and_remainder(artifacts: dict[str, Path], family: str) -> None:
    native = natively(artifacts[family], IMAGES, **LOW)
    assert sum(map(len, native)) > len(IMAGES) // 2
    assert len({repr([(each["label"], each["score"], np.asarray(each["mask"]).sum()) for each in some]) for some in native}) > 5
    loaded = scoring(artifacts[family], **LOW)
    for batch in (1, 4, 64):
        assert same(batched(loaded, batch).score(rows(IMAGES))[0], native)
    for count in range(1, 5):
        assert same(batched(loaded, 3).score(rows(IMAGES[:count]))[0], native[:count])


@pytest.mark.parametrize("subtask", ["panoptic", "instance", "semantic"])
@pytest.mark.parametrize("family", first_of(each for each in tiny_vision.SEGMENTERS if each not in OF_LABELS))
def test_every_subtask_gives_what_the_native_pipeline_gives(artifacts: dict[str, Path], family: str, subtask: str) -> None:
    native = natively(artifacts[family], IMAGES[:4], subtask=subtask, **LOW)
    assert any(native)
    assert same(scoring(artifacts[family], subtask=subtask, **LOW).score(rows(IMAGES[:4]))[0], native)


def test_segments_below_the_threshold_are_left_out_as_natively(artifacts: dict[str, Path]) -> None:
    few, many = (natively(artifacts["mask2former"], IMAGES[:4], **{**LOW, "threshold": each}) for each in (0.9, 0.3))
    assert sum(map(len, few)) < sum(map(len, many))
    found = scoring(artifacts["mask2former"], **{**LOW, "threshold": 0.9}).score(rows(IMAGES[:4]))[0]
    assert same(found, few)


def test_an_image_in_which_nothing_is_sure_enough_has_no_segments(artifacts: dict[str, Path]) -> None:
    found = scoring(artifacts["mask2former"], threshold=1.0).score(rows(IMAGES[:2]))[0]
    assert [(each.prediction, each.error) for each in found] == [({"segments": []}, None)] * 2


def test_a_subtask_that_the_model_is_not_for_is_refused(artifacts: dict[str, Path]) -> None:
    with pytest.raises(ModelError, match="expected one of semantic with this model, found instance"):
        scoring(artifacts["segformer"], subtask="instance")


def test_images_that_cannot_be_seen_fail_alone(artifacts: dict[str, Path]) -> None:
    found = scoring(artifacts["segformer"], max_pixels=4500).score(rows([IMAGES[0], b"no image", IMAGES[1], None, IMAGES[2]]))[0]
    codes = [each.error.code if each.error else None for each in found]
    assert codes == [None, "undecodable_image", None, "null_input", "image_too_large"]


def test_masks_leave_the_worker_as_text_and_a_score_that_there_is_none_of_as_null(artifacts: dict[str, Path]) -> None:
    prediction = scoring(artifacts["segformer"]).score(rows(IMAGES[:1]))[0][0].prediction
    assert prediction is not None
    first = TASK.sent(prediction)["segments"][0]
    assert (type(first["mask"]), first["score"]) == (str, None)
    assert TASK.wire == "segments ARRAY<STRUCT<label: STRING, score: DOUBLE, mask: STRING>>"
