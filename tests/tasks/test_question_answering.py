"""Answers held against a program that reads one row at a time, as transformers 4's pipeline did, without Spark."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import tiny_encoders as tiny
import torch
from one_by_one import Answers

from sparkcoil import engines
from sparkcoil.engines import Placement
from sparkcoil.engines.spans import Span
from sparkcoil.errors import ModelError, RowError
from sparkcoil.scoring import Record
from sparkcoil.tasks import Row
from sparkcoil.tasks.question_answering import TASK, QuestionAnsweringOptions, write

QUESTIONS = ("Where was Marie Curie born?", "Who barked at the postman?", "12", "🙂?", "What?")
PAIRS = [
    *((QUESTIONS[i % len(QUESTIONS)], text) for i, text in enumerate(tiny.TEXTS)),
    ("Who flew?", " ".join(tiny.TEXTS)),
    ("Who flew over the Sahara?", " ".join(tiny.TEXTS * 2)),
]


@pytest.fixture(scope="module", params=["bert", "roberta"])
def artifact(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    return tiny.build(folder, "AutoModelForQuestionAnswering", family=request.param)


def rows(pairs: Sequence[tuple[str, str]]) -> list[Row]:
    return [{"question": question.encode(), "context": context.encode()} for question, context in pairs]


def score(artifact: Path, pairs: Sequence[tuple[str, str]], **given: Any) -> list[Record]:
    return tiny.scored(TASK, artifact, rows(pairs), **given)


def assert_equal(records: Sequence[Record], expected: Sequence[Mapping[str, Any]]) -> None:
    for record, native in zip(records, expected, strict=True):
        assert record.prediction is not None, record.error
        assert {**record.prediction, "score": 0} == {**native, "score": 0}
        assert record.prediction["score"] == pytest.approx(native["score"], abs=1e-4)


def test_answers_vary_and_are_parts_of_the_context(artifact: Path) -> None:
    predictions = [each.prediction or {} for each in score(artifact, PAIRS)]
    assert len({each["answer"] for each in predictions}) > 5
    assert all(each["answer"] == context[each["start"] : each["end"]] for each, (_, context) in zip(predictions, PAIRS, strict=True))


def test_equals_it_where_answers_may_be_impossible(artifact: Path) -> None:
    oracle = Answers(artifact)
    found = [oracle(*pair, impossible=True) for pair in PAIRS]
    assert_equal(score(artifact, PAIRS, handle_impossible_answer=True), found)


@pytest.mark.parametrize(("null_score", "answer"), [(0.4, "b"), (0.6, "")])
def test_an_answer_is_empty_where_every_window_finds_none_likelier(null_score: float, answer: str) -> None:
    windows = [Span("a", 0.2, 0, 1, 0.9), Span("b", 0.5, 1, 2, null_score)]
    written = write([windows], {}, QuestionAnsweringOptions(handle_impossible_answer=True))[0]
    assert written["answer"] == answer
    assert written["score"] == max(null_score, 0.5)


def test_answers_have_at_most_so_many_tokens(artifact: Path) -> None:
    oracle = Answers(artifact)
    assert_equal(score(artifact, PAIRS, max_answer_len=2), [oracle(*pair, max_answer_len=2) for pair in PAIRS])


def test_a_question_that_leaves_no_room_is_failed_alone(artifact: Path) -> None:
    long, fine = ("Who was it? " * 40, "In Paris."), ("Who?", "In Paris.")
    failed, scored = score(artifact, [long, fine])
    assert failed.error is not None and (failed.error.stage, failed.error.code) == ("input", "too_long")
    assert scored.prediction is not None


def test_a_long_question_with_a_context_short_enough_is_answered(artifact: Path) -> None:
    pair = ("cat sat on the mat " * 2, "the dog")
    assert_equal(score(artifact, [pair]), [Answers(artifact)(*pair)])


def test_a_blank_context_is_answered_with_nothing_and_a_warning(artifact: Path) -> None:
    for record in score(artifact, [("Who?", ""), ("", "")]):
        assert record.prediction == {"answer": "", "score": 0.0, "start": 0, "end": 0}
        assert record.warnings == ("blank_input",)


def test_windows_that_would_not_move_on_are_refused(artifact: Path) -> None:
    with pytest.raises(ModelError, match="doc_stride: expected less than"):
        score(artifact, PAIRS, doc_stride=62)


def test_null_inputs_are_failed() -> None:
    with pytest.raises(RowError, match="context is NULL"):
        TASK.read({"question": b"a", "context": None}, QuestionAnsweringOptions())
    with pytest.raises(RowError, match="question is NULL"):
        TASK.read({"question": None, "context": b"a"}, QuestionAnsweringOptions())


def test_logits_that_are_not_finite_fail_the_row(artifact: Path) -> None:
    engine = engines.load("spans", artifact, QuestionAnsweringOptions(), Placement("cpu", "auto"))
    torch.nn.init.constant_(engine.model.qa_outputs.bias, float("nan"))
    (window,) = engine.prepare([("Who?", "In Paris.")])[0].parts
    assert engine.forward([window])[0].code == "non_finite"


def test_a_tokenizer_without_offsets_is_refused(tmp_path: Path) -> None:
    tiny.build(tmp_path, "AutoModelForQuestionAnswering")
    tiny.slow_tokenizer(tmp_path)
    with pytest.raises(ModelError, match="expected a fast tokenizer"):
        score(tmp_path, PAIRS)


def test_a_long_context_is_failed_alone_where_the_option_says_so(artifact: Path) -> None:
    failed, fine = score(artifact, [("Who?", " ".join(tiny.TEXTS)), ("Who?", "In Paris.")], truncation="fail")
    assert failed.error is not None and (failed.error.stage, failed.error.code) == ("input", "too_long")
    assert fine.prediction is not None
