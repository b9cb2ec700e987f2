"""Objects that labels ask for held against the native pipeline's, image by image, for every batch size, without Spark."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import tiny_detection
import tiny_vision
import torch
import transformers
from architectures import first_of
from PIL import Image

from sparkcoil import engines
from sparkcoil.batching import Budget
from sparkcoil.engines import Placement
from sparkcoil.errors import RowError
from sparkcoil.scoring import Record, Scoring
from sparkcoil.tasks.zero_shot_object_detection import TASK

LABELS = ("a cat", "star", "blue ball")
SIZES = ((32, 32), (40, 60), (100, 50), (64, 64), (33, 97), (200, 120))
IMAGES = [tiny_vision.drawn(*size, seed) for seed, size in enumerate(SIZES)]
IMAGES += [IMAGES[1].convert("L"), IMAGES[2].convert("P")]


@pytest.fixture(scope="module", params=first_of(tiny_detection.FINDERS))
def artifact(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_detection.tiny_finder(tmp_path_factory.mktemp("finder"), request.param)


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_detection.tiny_finder(tmp_path_factory.mktemp("one"), "owlvit")


def natively(artifact: Path, images: Sequence[Image.Image], labels: Sequence[str] = LABELS, **given: Any) -> list[Any]:
    pipe: Any = transformers.pipeline("zero-shot-object-detection", model=str(artifact / "model"), device="cpu")
    return [pipe(image, candidate_labels=list(labels), **given) for image in images]


def scoring(artifact: Path, *, batch: int = 8, **options: Any) -> Scoring:
    chosen = TASK.options(**options)
    engine = engines.load(engines.name_of(TASK, artifact), artifact, chosen, Placement("cpu", "auto"))
    return Scoring(TASK, engine, chosen, Budget(engine.budget.size * 8, batch))


def rows_of(images: Sequence[Any], labels: Sequence[Any] = ()) -> list[dict[str, Any]]:
    rows = [{"image": image if isinstance(image, bytes | None) else tiny_vision.png(image)} for image in images]
    return [{**row, "candidate_labels": own} for row, own in zip(rows, labels, strict=True)] if labels else rows


def records(artifact: Path, rows: Sequence[Any], **options: Any) -> list[Record]:
    return scoring(artifact, **options).score(rows)[0]


def found_in(found: Sequence[Record]) -> list[list[dict[str, Any]]]:
    assert [each.error for each in found] == [None] * len(found)
    return [each.prediction["objects"] for each in found if each.prediction]


def codes(found: Sequence[Record]) -> list[str | None]:
    return [each.error.code if each.error else None for each in found]


def test_objects_equal_the_native_pipelines_for_every_batch_size_and_remainder(artifact: Path) -> None:
    native = natively(artifact, IMAGES, threshold=0.0)
    assert {len(each) for each in native} == {16 * len(LABELS)}
    assert len({str(each) for each in native}) == len(IMAGES)
    running = scoring(artifact, threshold=0.0, candidate_labels=LABELS)
    for count, batch in ((len(IMAGES), 1), (len(IMAGES), 7), (len(IMAGES), 64), (1, 3), (2, 3), (4, 3), (5, 3)):
        running.budget = Budget(running.budget.size, batch)
        assert tiny_detection.same_images(found_in(running.score(rows_of(IMAGES[:count]))[0]), native[:count])


@pytest.mark.parametrize("given", [{}, {"threshold": 0.5}, {"top_k": 3}], ids=["by default", "threshold", "top_k"])
def test_options_mean_what_they_mean_natively(one: Path, given: dict[str, Any]) -> None:
    native = natively(one, IMAGES[:4], **given)
    assert 0 < sum(map(len, native)) < 4 * 16 * len(LABELS)
    assert tiny_detection.same_images(
        found_in(records(one, rows_of(IMAGES[:4]), candidate_labels="a cat, star, blue ball", **given)), native
    )


def test_each_row_may_have_labels_of_its_own_also_of_other_number_and_length(one: Path) -> None:
    labels = [["a cat", "x"], ["blue ball", "star", "a cat", "moon"], ["x"]]
    native = [natively(one, [image], own, threshold=0.0)[0] for image, own in zip(IMAGES, labels, strict=False)]
    assert tiny_detection.same_images(found_in(records(one, rows_of(IMAGES[:3], labels), threshold=0.0)), native)


def test_labels_are_read_once_for_all_windows_and_images_seen_once_for_all_labels(one: Path) -> None:
    running = scoring(one, candidate_labels=LABELS)
    engine: Any = running.engine
    read: list[int] = []
    seen: list[int] = []
    engine.model.owlvit.text_model.register_forward_hook(lambda _, given, out: read.append(len(out.pooler_output)))
    engine.model.owlvit.vision_model.register_forward_hook(lambda _, given, out: seen.append(len(out.pooler_output)))
    for start in range(0, 6, 2):
        running.score(rows_of(IMAGES[start : start + 2]))
    assert (sum(read), sum(seen)) == (len(LABELS), 6)


def test_what_is_no_image_or_cannot_be_asked_fails_alone(one: Path) -> None:
    labels = [["star"], ["star", "very long " * 30], [], ["star"], None, ["star", None]]
    found = records(one, rows_of([IMAGES[0], IMAGES[1], IMAGES[2], b"no image", IMAGES[3], IMAGES[4]], labels), threshold=0.0)
    assert codes(found) == [None, "too_long", "no_labels", "undecodable_image", "null_input", "null_input"]
    assert found[1].error is not None
    assert "very" not in found[1].error.message
    assert tiny_detection.same_images(found_in(found[:1]), natively(one, IMAGES[:1], ["star"], threshold=0.0))


def test_an_image_without_objects_is_ok_and_has_none(one: Path) -> None:
    assert found_in(records(one, rows_of(IMAGES[:2]), candidate_labels=LABELS, threshold=1.0)) == [[], []]


def test_what_is_not_finite_fails_its_row_instead_of_finding_nothing(one: Path) -> None:
    running = scoring(one, candidate_labels=LABELS)
    engine: Any = running.engine
    torch.nn.init.constant_(engine.model.class_head.dense0.bias, float("nan"))
    assert codes(running.score(rows_of(IMAGES[:2]))[0]) == ["non_finite"] * 2


def test_labels_may_not_be_missing() -> None:
    with pytest.raises(RowError, match="no candidate label"):
        TASK.read({"image": b"\x89PNG"}, TASK.options())


def test_models_whose_sight_depends_on_the_labels_are_refused() -> None:
    assert not "GroundingDinoForObjectDetection".endswith(TASK.heads)
