"""Scores of labels held against the native pipeline's, row by row, without Spark."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_encoders as tiny
import torch
from pydantic import ValidationError

from sparkcoil import engines
from sparkcoil.engines import Placement
from sparkcoil.engines.entailment import Pair, Verdict
from sparkcoil.errors import RowError
from sparkcoil.scoring import Record
from sparkcoil.tasks.zero_shot_classification import TASK, ZeroShotClassificationOptions, labels_of, write

LONG = " ".join(tiny.TEXTS)
LABELS = ("politics", "sports", "the weather in New York", "science")


@pytest.fixture(scope="module", params=["bert", "roberta"])
def artifact(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    labels = {0: "contradiction", 1: "neutral", 2: "ENTAILMENT"}
    config = {"id2label": labels, "label2id": {name: i for i, name in labels.items()}}
    return tiny.build(tmp_path_factory.mktemp(request.param), "AutoModelForSequenceClassification", family=request.param, **config)


def score(artifact: Path, texts: Sequence[str | None] = tiny.TEXTS, **given: Any) -> list[Record]:
    return tiny.scored(TASK, artifact, tiny.cells("text", texts), **{"candidate_labels": LABELS, **given})


def native(artifact: Path, texts: Sequence[str] = tiny.TEXTS, labels: Sequence[str] = LABELS, **given: Any) -> list[dict[str, Any]]:
    classify = tiny.pipeline("zero-shot-classification", artifact)
    return [classify(text, candidate_labels=list(labels), **given) for text in texts]


def assert_equal(records: Sequence[Record], expected: Sequence[dict[str, Any]]) -> None:
    for record, theirs in zip(records, expected, strict=True):
        assert record.prediction is not None, record.error
        ours = record.prediction["scores"]
        assert [each["label"] for each in ours] == theirs["labels"]
        assert [each["score"] for each in ours] == pytest.approx(theirs["scores"], abs=1e-4)
        assert (record.prediction["label"], record.prediction["score"]) == (ours[0]["label"], ours[0]["score"])


def test_equals_the_native_pipeline_where_several_labels_may_hold(artifact: Path) -> None:
    assert_equal(score(artifact, multi_label=True), native(artifact, multi_label=True))


def test_equals_the_native_pipeline_for_one_label(artifact: Path) -> None:
    assert_equal(score(artifact, candidate_labels="science"), native(artifact, labels=["science"]))


def test_equals_the_native_pipeline_with_another_template(artifact: Path) -> None:
    template = "Who? {} in London!"
    assert_equal(score(artifact, hypothesis_template=template), native(artifact, hypothesis_template=template))


def test_equals_the_native_pipeline_where_entailment_is_the_first_label(tmp_path: Path) -> None:
    config = {"id2label": {0: "entailment", 1: "not_entailment"}, "label2id": {"entailment": 0, "not_entailment": 1}}
    tiny.build(tmp_path, "AutoModelForSequenceClassification", **config)
    assert_equal(score(tmp_path, multi_label=True), native(tmp_path, multi_label=True))


def test_a_long_text_is_cut_like_the_native_pipelines_and_keeps_its_labels(artifact: Path) -> None:
    (record,) = score(artifact, [LONG])
    assert_equal([record], native(artifact, [LONG]))
    assert record.warnings == ("truncated",)


def test_a_long_text_is_failed_where_the_option_says_so(artifact: Path) -> None:
    error = score(artifact, [LONG], candidate_labels=["a"], truncation="fail")[0].error
    assert error is not None and error.code == "too_long"


def test_every_row_may_have_its_own_labels(artifact: Path) -> None:
    cells = [b"sports, science,", np.array(["politics", "the weather"], dtype=object), ["a"], b"b"]
    rows = [{"text": b"The cat sat on the mat", "candidate_labels": cell} for cell in cells]
    records = tiny.scored(TASK, artifact, rows, batch=3)
    found = [sorted(each["label"] for each in (record.prediction or {})["scores"]) for record in records]
    assert found == [["science", "sports"], ["politics", "the weather"], ["a"], ["b"]]
    assert_equal(records[:1], native(artifact, ["The cat sat on the mat"], labels=["sports", "science"]))


def test_rows_without_labels_and_with_null_are_failed_alone(artifact: Path) -> None:
    cells = [b" , ", None, np.array(["a", None], dtype=object), np.array([], dtype=object), b"a"]
    records = tiny.scored(TASK, artifact, [{"text": b"cat", "candidate_labels": cell} for cell in cells])
    assert [each.error and each.error.code for each in records] == ["no_labels", "null_input", "null_input", "no_labels", None]


def test_a_label_that_leaves_no_room_for_the_text_is_failed_alone(artifact: Path) -> None:
    rows = [{"text": b"cat", "candidate_labels": cell} for cell in (b"a", b"politics " * 40, b"b")]
    records = tiny.scored(TASK, artifact, rows)
    assert [each.error and each.error.code for each in records] == [None, "too_long", None]


def test_labels_with_braces_stay_text(artifact: Path) -> None:
    record = score(artifact, ["cat"], candidate_labels=["{0.__class__}", "{}"])[0]
    assert {each["label"] for each in (record.prediction or {})["scores"]} == {"{0.__class__}", "{}"}


def test_a_template_without_a_place_for_the_label_is_refused() -> None:
    with pytest.raises(ValidationError, match="expected a place for the label"):
        ZeroShotClassificationOptions(hypothesis_template="no place")


def test_a_null_cell_is_failed() -> None:
    with pytest.raises(RowError, match="candidate_labels is NULL"):
        labels_of(None)


def test_logits_that_are_not_finite_fail_the_row(artifact: Path) -> None:
    engine = engines.load("entailment", artifact, ZeroShotClassificationOptions(), Placement("cpu", "auto"))
    torch.nn.init.constant_(list(engine.model.classifier.parameters())[-1], float("nan"))
    assert engine.forward(engine.prepare([("cat", ["a"])])[0].parts)[0].code == "non_finite"


def test_a_label_that_stands_by_itself_gets_its_highest_score_in_any_window() -> None:
    pairs = [Pair(label, {}, tokens, 2) for label in ("a", "b") for tokens in (500, 1)]
    verdicts = [Verdict(pair, entailment, 0.0) for pair, entailment in zip(pairs, (-9.0, 9.0, 0.0, -9.0), strict=True)]
    (several,) = write([verdicts], {}, ZeroShotClassificationOptions(multi_label=True))
    assert [(each["label"], round(each["score"], 3)) for each in several["scores"]] == [("a", 1.0), ("b", 0.5)]
    (competing,) = write([verdicts], {}, ZeroShotClassificationOptions())
    assert competing["label"] == "b"


def test_every_label_is_asked_about_the_same_windows(artifact: Path) -> None:
    options = ZeroShotClassificationOptions(truncation="stride")
    engine = engines.load("entailment", artifact, options, Placement("cpu", "auto"))
    (row,) = engine.prepare([(LONG, ["a", "the weather in New York"])])
    owned = [(part.features.tokens, part.features.windows) for part in row.parts]
    assert len(owned) > 4
    assert owned[: len(owned) // 2] == owned[len(owned) // 2 :]
    assert row.warnings == ()


def test_a_label_that_leaves_windows_no_room_to_move_on_fails_a_long_text_alone(artifact: Path) -> None:
    rows = [{"text": text.encode(), "candidate_labels": label} for text in ("cat", LONG) for label in (b"a", b"a " * 24)]
    records = tiny.scored(TASK, artifact, rows, truncation="stride", stride=40)
    assert [each.error and each.error.code for each in records][:3] == [None, None, None]
    assert records[3].error is not None and records[3].error.code == "too_long"
