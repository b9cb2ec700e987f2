"""Entities held against the native pipeline's, row by row, for every strategy, without Spark."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_encoders as tiny
import torch

from sparkcoil import engines, tasks
from sparkcoil.engines import Placement
from sparkcoil.engines.tokens import Tokens
from sparkcoil.errors import ModelError
from sparkcoil.scoring import Record
from sparkcoil.tasks.token_classification import TASK, TokenClassificationOptions, write

LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "MISC"]
STRATEGIES = ["none", "simple", "first", "average", "max"]
LONG = (" ".join(tiny.TEXTS), " ".join(reversed(tiny.TEXTS)), tiny.MEGABYTE[:2000])

pytestmark = pytest.mark.filterwarnings("ignore:Tokenizer does not support real words")


@pytest.fixture(scope="module", params=["bert", "roberta"])
def artifact(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    labels = dict(enumerate(LABELS))
    folder = tmp_path_factory.mktemp(request.param)
    return tiny.build(folder, "AutoModelForTokenClassification", family=request.param, id2label=labels, seed=1)


def score(artifact: Path, texts: Sequence[str | None], **given: Any) -> list[Record]:
    return tiny.scored(TASK, artifact, tiny.cells("text", texts), **given)


def native(artifact: Path, texts: Sequence[str], **given: Any) -> list[list[dict[str, Any]]]:
    """What the native pipeline says of each text by itself."""
    tagger = tiny.pipeline("token-classification", artifact, **given)
    return [tagger(text) if text.strip() else [] for text in texts]


def assert_equal(records: Sequence[Record], expected: Sequence[Sequence[dict[str, Any]]], texts: Sequence[str]) -> None:
    for record, entities, text in zip(records, expected, texts, strict=True):
        assert record.prediction is not None, record.error
        ours = record.prediction["entities"]
        theirs = [(each.get("entity_group", each.get("entity")), each["start"], each["end"]) for each in entities]
        assert [(each["entity"], each["start"], each["end"]) for each in ours] == theirs
        assert [each["score"] for each in ours] == pytest.approx([float(each["score"]) for each in entities], abs=1e-4)
        assert all(each["text"] == text[each["start"] : each["end"]] for each in ours)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_equals_the_native_pipeline_for_every_strategy(artifact: Path, strategy: str) -> None:
    expected = native(artifact, tiny.TEXTS, aggregation_strategy=strategy)
    assert len({each.get("entity_group", each.get("entity")) for row in expected for each in row}) > 2
    assert_equal(score(artifact, tiny.TEXTS, aggregation_strategy=strategy), expected, tiny.TEXTS)


@pytest.mark.parametrize("strategy", STRATEGIES[1:])
@pytest.mark.parametrize("stride", [0, 10])
def test_equals_the_native_pipeline_on_long_texts(artifact: Path, strategy: str, stride: int) -> None:
    expected = native(artifact, LONG, aggregation_strategy=strategy, stride=stride)
    assert_equal(score(artifact, LONG, aggregation_strategy=strategy, stride=stride), expected, LONG)


def test_ignored_labels_are_an_option(artifact: Path) -> None:
    expected = native(artifact, tiny.TEXTS, aggregation_strategy="simple", ignore_labels=["PER", "MISC"])
    assert_equal(score(artifact, tiny.TEXTS, ignore_labels=("PER", "MISC")), expected, tiny.TEXTS)


def test_tokens_of_two_windows_are_given_once(artifact: Path) -> None:
    record = score(artifact, [LONG[0]], aggregation_strategy="none", ignore_labels=())[0]
    places = [(each["start"], each["end"]) for each in (record.prediction or {})["entities"]]
    assert len(places) > 100
    assert max(places.count(each) for each in places if each[0] < each[1]) == 1


def test_a_long_text_is_read_to_its_end(artifact: Path) -> None:
    record = score(artifact, [LONG[2]], ignore_labels=())[0]
    assert record.prediction is not None
    assert record.prediction["entities"][-1]["end"] >= len(LONG[2]) - 1


def test_a_text_without_entities_has_an_empty_list(artifact: Path) -> None:
    ignored = ("O", "PER", "LOC", "MISC")
    assert [each.prediction for each in score(artifact, tiny.TEXTS[:3], ignore_labels=ignored)] == [{"entities": []}] * 3


def test_blank_texts_have_no_entities_but_a_warning_and_null_is_failed(artifact: Path) -> None:
    empty, blank, null = score(artifact, ["", " \n", None])
    assert (empty.prediction, empty.warnings) == ({"entities": []}, ("blank_input",))
    assert blank.error is None
    assert null.error is not None and null.error.code == "null_input"


def test_windows_that_would_not_move_on_are_refused(artifact: Path) -> None:
    with pytest.raises(ModelError, match="stride: expected less than"):
        score(artifact, tiny.TEXTS, stride=62)


def test_probabilities_that_are_not_finite_fail_the_row(artifact: Path) -> None:
    engine = engines.load("tokens", artifact, TokenClassificationOptions(), Placement("cpu", "auto"))
    torch.nn.init.constant_(engine.model.classifier.bias, float("nan"))
    (window,) = engine.prepare(["cat"])[0].parts
    assert engine.forward([window])[0].code == "non_finite"


def test_a_tokenizer_without_offsets_is_refused(tmp_path: Path) -> None:
    tiny.build(tmp_path, "AutoModelForTokenClassification")
    tiny.slow_tokenizer(tmp_path)
    with pytest.raises(ModelError, match="expected a fast tokenizer"):
        score(tmp_path, ["a"])


def test_a_label_that_begins_an_entity_ends_the_one_before() -> None:
    scores = np.eye(len(LABELS))[[1, 2, 1, 2, 4, 0, 5, 5]]
    tokens = Tokens("abcdefgh", scores, [(i, i + 1) for i in range(8)], [False] * 8)
    entities = write([[tokens]], {"labels": LABELS}, TokenClassificationOptions())[0]["entities"]
    assert [(each["entity"], each["text"]) for each in entities] == [("PER", "ab"), ("PER", "cd"), ("LOC", "e"), ("MISC", "gh")]


def test_the_alias_names_the_same_task() -> None:
    assert tasks.load("ner") is TASK


def test_a_long_text_is_failed_alone_where_the_option_says_so(artifact: Path) -> None:
    failed, fine = score(artifact, [LONG[0], "cat"], truncation="fail")
    assert failed.error is not None and (failed.error.stage, failed.error.code) == ("input", "too_long")
    assert fine.prediction is not None
