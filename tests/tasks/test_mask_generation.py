"""Masks of images held against the native pipeline's, image by image, for every family and batch size, without Spark."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import seen_without_spark
import tiny_vision
import torch
import transformers
from architectures import first_of
from PIL import Image
from seen_without_spark import batched, mask, rows

from sparkcoil.engines import encoder, sam
from sparkcoil.scoring import Record
from sparkcoil.tasks.mask_generation import TASK

scoring = partial(seen_without_spark.scoring, TASK)
SIZES = ((40, 60), (64, 64), (100, 50), (64, 33), (40, 60), (130, 90))
IMAGES = [tiny_vision.drawn(*size, seed) for seed, size in enumerate(SIZES)]
IMAGES += [IMAGES[1].convert("L"), IMAGES[2].convert("P")]
# Random models are never sure.
ALL = {"points_per_crop": 4, "pred_iou_thresh": 0.0, "stability_score_thresh": 0.0, "crops_nms_thresh": 1.0}


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {family: tiny_vision.tiny_masker(tmp_path_factory.mktemp("masker"), family) for family in tiny_vision.MASKERS}


def natively(artifact: Path, images: Sequence[Image.Image], **given: Any) -> list[list[tuple[float, np.ndarray]]]:
    pipe: Any = transformers.pipeline("mask-generation", model=str(artifact / "model"), device="cpu")
    found = [pipe(image, **given) for image in images]
    return [list(zip(each["scores"].tolist(), map(np.asarray, each["masks"]), strict=True)) for each in found]


def described(found: Sequence[Sequence[tuple[float, np.ndarray]]]) -> list[str]:
    """Return what distinguishes the masks of each image."""
    return [repr([(score, pixels.sum()) for score, pixels in some]) for some in found]


def same(records: Sequence[Record], native: Sequence[Sequence[tuple[float, np.ndarray]]]) -> bool:
    """Tell whether masks are equal, image by image and in their order, scores within 1e-4, but for one pixel in 500."""
    assert [each.error for each in records] == [None] * len(native)
    ours = [[(each["score"], mask(each["mask"]) > 0) for each in record.prediction["segments"]] for record in records if record.prediction]
    return all(len(found) == len(expected) and all(map(alike, found, expected)) for found, expected in zip(ours, native, strict=True))


def alike(found: tuple[float, np.ndarray], native: tuple[float, np.ndarray]) -> bool:
    """Tell whether two masks are equal."""
    shapes = found[1].shape == native[1].shape
    return shapes and found[0] == pytest.approx(native[0], abs=1e-4) and bool((found[1] != native[1]).mean() <= 0.002)


@pytest.mark.parametrize("family", first_of(tiny_vision.MASKERS))
def test_masks_equal_the_native_pipelines_for_every_batch_size_and_remainder(artifacts: dict[str, Path], family: str) -> None:
    native = natively(artifacts[family], IMAGES, **ALL)
    assert all(native)
    assert len(set(described(native))) > 5
    loaded = scoring(artifacts[family], **ALL)
    for batch in (1, 4, 64):
        assert same(batched(loaded, batch).score(rows(IMAGES))[0], native)
    for count in range(1, 5):
        assert same(batched(loaded, 3).score(rows(IMAGES[:count]))[0], native[:count])


def test_points_of_several_forward_passes_give_what_the_native_pipeline_gives(artifacts: dict[str, Path]) -> None:
    many = {**ALL, "points_per_crop": 9, "stability_score_thresh": 0.5}
    assert many["points_per_crop"] ** 2 > sam.POINTS
    native = natively(artifacts["sam2"], IMAGES[:2], **many)
    assert any(native)
    assert same(scoring(artifacts["sam2"], **many).score(rows(IMAGES[:2]))[0], native)


THRESHOLDS = (
    {"pred_iou_thresh": 0.9},
    {"stability_score_thresh": 0.5},
    {"stability_score_thresh": 0.2, "stability_score_offset": 2.0},
    {"mask_threshold": 1.0},
    {"crops_nms_thresh": 0.3},
)


@pytest.mark.parametrize("given", THRESHOLDS, ids=lambda given: "-".join(given))
def test_each_threshold_has_the_effect_that_it_has_natively(artifacts: dict[str, Path], given: dict[str, Any]) -> None:
    every, fewer = (natively(artifacts["sam"], IMAGES[:4], **{**ALL, **some}) for some in ({}, given))
    assert all(fewer)
    assert described(fewer) != described(every)
    assert same(scoring(artifacts["sam"], **{**ALL, **given}).score(rows(IMAGES[:4]))[0], fewer)


def test_an_image_in_which_nothing_is_good_enough_has_no_segments(artifacts: dict[str, Path]) -> None:
    for given in ({"pred_iou_thresh": 1e6}, {"stability_score_thresh": 1.1}):
        found = scoring(artifacts["sam"], **{**ALL, **given}).score(rows(IMAGES[:2]))[0]
        assert [(each.prediction, each.error) for each in found] == [({"segments": []}, None)] * 2


def test_masks_are_made_as_large_as_an_image_a_few_at_a_time(artifacts: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    expected = natively(artifacts["sam"], IMAGES[:2], **ALL)
    loaded, sizes, cut = scoring(artifacts["sam"], **ALL), list[int](), sam.Cutting.cut

    def counted(self: sam.Cutting, *given: Any) -> sam.Good:
        sizes.append(len(given[2]))
        return cut(self, *given)

    monkeypatch.setattr(sam, "MOST_VALUES", 64 * 64 * 5)
    monkeypatch.setattr(sam.Cutting, "cut", counted)
    assert same(loaded.score(rows(IMAGES[:2]))[0], expected)
    assert max(sizes) == 5


def test_an_image_is_seen_once_however_many_points_it_is_asked_at(artifacts: dict[str, Path]) -> None:
    loaded, calls = scoring(artifacts["sam"], **ALL), []
    engine: Any = loaded.engine
    engine.model.vision_encoder.register_forward_hook(lambda *given: calls.append(len(given[1][0])))
    batched(loaded, 4).score(rows(IMAGES[:5]))
    assert calls == [4, 1]


def test_masks_that_are_not_numbers_fail_their_row_alone(artifacts: dict[str, Path]) -> None:
    loaded = scoring(artifacts["sam"], **ALL)
    engine: Any = loaded.engine
    engine.model.mask_decoder.register_forward_hook(lambda *given: (torch.full_like(given[2][0], torch.nan), *given[2][1:]))
    assert [each.error for each in loaded.score(rows(IMAGES[:2]))[0]] == [encoder.NON_FINITE] * 2


def test_images_that_cannot_be_seen_fail_alone(artifacts: dict[str, Path]) -> None:
    found = scoring(artifacts["sam2"], max_pixels=4500).score(rows([IMAGES[0], b"no image", IMAGES[1], None, IMAGES[2]]))[0]
    codes = [each.error.code if each.error else None for each in found]
    assert codes == [None, "undecodable_image", None, "null_input", "image_too_large"]


def test_segments_have_the_type_of_image_segmentations_and_no_label(artifacts: dict[str, Path]) -> None:
    prediction = scoring(artifacts["sam"], **ALL).score(rows(IMAGES[:1]))[0][0].prediction
    assert prediction is not None
    first = TASK.sent(prediction)["segments"][0]
    assert (first["label"], type(first["score"]), type(first["mask"])) == (None, float, str)
    assert TASK.wire == "segments ARRAY<STRUCT<label: STRING, score: DOUBLE, mask: STRING>>"


@pytest.mark.parametrize("counts", [[12], [0, 12], [3, 4, 5], [0, 1, 11]])
def test_run_lengths_stand_for_the_pixels_that_transformers_reads_in_them(counts: list[int]) -> None:
    from transformers.models.sam.image_processing_sam import _rle_to_mask

    runs = {"size": [4, 3], "counts": counts}
    assert (sam.pixels(runs) == _rle_to_mask(runs).numpy()).all()
