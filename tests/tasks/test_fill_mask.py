"""Candidates held against the native pipeline's, row by row, without Spark."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import tiny_encoders as tiny
import torch

from sparkcoil import engines
from sparkcoil.engines import Placement
from sparkcoil.errors import ModelError
from sparkcoil.scoring import Record
from sparkcoil.tasks.fill_mask import TASK, FillMaskOptions

LONG = " ".join(tiny.TEXTS)
TARGETS = ("cat", "dog", "Paris", "unheard-of")


@pytest.fixture(scope="module", params=["bert", "roberta"])
def artifact(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.build(tmp_path_factory.mktemp(request.param), "AutoModelForMaskedLM", family=request.param)


@pytest.fixture(scope="module")
def mask(artifact: Path) -> str:
    return "[MASK]" if artifact.name.startswith("bert") else "<mask>"


@pytest.fixture(scope="module")
def texts(mask: str) -> list[str]:
    return [f"{text[: i % 9]} {mask} {text[i % 9 :]}"[:90] for i, text in enumerate(tiny.TEXTS)]


def score(artifact: Path, texts: Sequence[str | None], **given: Any) -> list[Record]:
    return tiny.scored(TASK, artifact, tiny.cells("text", texts), **given)


def native(artifact: Path, texts: Sequence[str], **given: Any) -> list[list[dict[str, Any]]]:
    """What the native pipeline says of the first mask of each text by itself."""
    fill = tiny.pipeline("fill-mask", artifact, **given)
    found = [fill(text, tokenizer_kwargs={"truncation": True}) for text in texts]
    return [each[0] if isinstance(each[0], list) else each for each in found]


def assert_equal(records: Sequence[Record], expected: Sequence[list[dict[str, Any]]]) -> None:
    for record, theirs in zip(records, expected, strict=True):
        assert record.prediction is not None, record.error
        ours = record.prediction["candidates"]
        assert [(each["token"], each["sequence"]) for each in ours] == [(each["token_str"], each["sequence"]) for each in theirs]
        assert [each["score"] for each in ours] == pytest.approx([each["score"] for each in theirs], abs=1e-4)
        assert {name: record.prediction[name] for name in ours[0]} == ours[0]


def test_top_k_keeps_the_best(artifact: Path, texts: list[str]) -> None:
    assert_equal(score(artifact, texts[:3], top_k=2), native(artifact, texts[:3], top_k=2))


def test_equals_the_native_pipeline_with_targets(artifact: Path, texts: list[str]) -> None:
    assert_equal(score(artifact, texts[:3], targets=TARGETS), native(artifact, texts[:3], targets=list(TARGETS)))
    assert len((score(artifact, texts[:1], targets="cat")[0].prediction or {})["candidates"]) == 1


def test_of_several_masks_the_first_is_filled_and_the_others_stay(artifact: Path, mask: str) -> None:
    texts = [f"The {mask} sat on the {mask}."]
    (record,) = score(artifact, texts)
    assert_equal([record], native(artifact, texts))
    assert mask in (record.prediction or {})["sequence"]


def test_a_text_without_a_mask_is_failed_alone(artifact: Path, mask: str) -> None:
    records = score(artifact, ["no mask", f"a {mask}", "", None])
    assert [each.error and (each.error.stage, each.error.code) for each in records] == [
        ("input", "no_mask"),
        None,
        ("input", "no_mask"),
        ("input", "null_input"),
    ]


def test_a_long_text_is_cut_with_a_warning_and_fails_where_that_takes_its_mask(artifact: Path, mask: str) -> None:
    early, late = score(artifact, [f"a {mask} {LONG}", f"{LONG} {mask}"])
    assert early.warnings == ("truncated",) and early.prediction is not None
    assert late.error is not None and late.error.code == "no_mask"
    assert score(artifact, [f"{LONG} {mask}"], truncation="truncate_left")[0].error is None


def test_a_template_may_hold_the_mask(artifact: Path, mask: str) -> None:
    templated = score(artifact, ["cat {0}"], prompt_template=f"the {{prompt}} is {mask}")
    assert templated[0].prediction == score(artifact, [f"the cat {{0}} is {mask}"])[0].prediction


def test_a_tokenizer_without_a_mask_is_refused(tmp_path: Path) -> None:
    tiny.build(tmp_path, "AutoModelForMaskedLM")
    tiny.gpt2_tokenizer().save_pretrained(tmp_path / "model")
    with pytest.raises(ModelError, match="expected a tokenizer with a mask token"):
        score(tmp_path, ["a"])


def test_a_target_without_a_token_is_refused(artifact: Path) -> None:
    with pytest.raises(ModelError, match="no token for ''"):
        score(artifact, ["a"], targets=("cat", ""))


def test_probabilities_that_are_not_finite_fail_the_row(artifact: Path, mask: str) -> None:
    engine = engines.load("masks", artifact, FillMaskOptions(), Placement("cpu", "auto"))
    torch.nn.init.constant_(engine.model.get_output_embeddings().bias, float("nan"))
    assert engine.forward([engine.prepare([f"a {mask}"])[0]])[0].code == "non_finite"
