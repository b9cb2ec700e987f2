"""Answers held against a program that reads one row at a time, as transformers 4's pipeline did, without Spark."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_encoders as tiny
import torch
import transformers

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


class Oracle:
    """What transformers 4's pipeline did with one question, window by window, without batches."""

    def __init__(self, artifact: Path) -> None:
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(artifact / "model")
        self.model = transformers.AutoModelForQuestionAnswering.from_pretrained(artifact / "model").eval()

    def __call__(self, question: str, context: str, impossible: bool = False, max_answer_len: int = 15) -> dict[str, Any]:
        length = min(self.tokenizer.model_max_length, 384)
        encoded = self.tokenizer(
            question,
            context,
            truncation="only_second",
            max_length=length,
            stride=min(length // 2, 128),
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        answers = []
        null_score = 1e6
        for i in range(len(encoded["input_ids"])):
            inputs = {name: torch.tensor([encoded[name][i]]) for name in self.tokenizer.model_input_names}
            with torch.no_grad():
                start, end = self.model(**inputs)[:2]
            wanted = np.array([each == 1 for each in encoded.sequence_ids(i)]) | (
                inputs["input_ids"][0].numpy() == self.tokenizer.cls_token_id
            )
            start, end = (self.softmax(np.where(wanted, each[0].numpy(), -10000.0)) for each in (start, end))
            null_score = min(null_score, start[0] * end[0])
            start[0] = end[0] = 0.0
            table = np.tril(np.triu(np.outer(start, end)), max_answer_len - 1)
            first, last = np.unravel_index(table.argmax(), table.shape)
            answers.append({"score": table[first, last], **self.words(encoded[i], int(first), int(last), context)})
        if impossible:
            answers.append({"score": null_score, "start": 0, "end": 0, "answer": ""})
        return sorted(answers, key=lambda each: each["score"], reverse=True)[0]

    @staticmethod
    def softmax(logits: np.ndarray) -> np.ndarray:
        return np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()

    @staticmethod
    def words(encoding: Any, first: int, last: int, context: str) -> dict[str, Any]:
        start = encoding.word_to_chars(encoding.token_to_word(first), 1)[0]
        end = encoding.word_to_chars(encoding.token_to_word(last), 1)[1]
        return {"start": start, "end": end, "answer": context[start:end]}


def assert_equal(records: Sequence[Record], expected: Sequence[Mapping[str, Any]]) -> None:
    for record, native in zip(records, expected, strict=True):
        assert record.prediction is not None, record.error
        assert {**record.prediction, "score": 0} == {**native, "score": 0}
        assert record.prediction["score"] == pytest.approx(native["score"], abs=1e-4)


@pytest.fixture(scope="module")
def expected(artifact: Path) -> list[dict[str, Any]]:
    oracle = Oracle(artifact)
    return [oracle(*pair) for pair in PAIRS]


@pytest.mark.parametrize("batch", [1, 2, 7, 32])
def test_equals_a_program_that_reads_one_row_at_a_time(artifact: Path, expected: list, batch: int) -> None:
    assert_equal(score(artifact, PAIRS, batch=batch), expected)


@pytest.mark.parametrize("count", range(1, 8))
def test_equals_it_for_every_remainder(artifact: Path, expected: list, count: int) -> None:
    assert_equal(score(artifact, PAIRS[-count:], batch=7), expected[-count:])


def test_answers_vary_and_are_parts_of_the_context(artifact: Path) -> None:
    predictions = [each.prediction or {} for each in score(artifact, PAIRS)]
    assert len({each["answer"] for each in predictions}) > 5
    assert all(each["answer"] == context[each["start"] : each["end"]] for each, (_, context) in zip(predictions, PAIRS, strict=True))


def test_equals_it_where_answers_may_be_impossible(artifact: Path) -> None:
    oracle = Oracle(artifact)
    found = [oracle(*pair, impossible=True) for pair in PAIRS]
    assert_equal(score(artifact, PAIRS, handle_impossible_answer=True), found)


@pytest.mark.parametrize(("null_score", "answer"), [(0.4, "b"), (0.6, "")])
def test_an_answer_is_empty_where_every_window_finds_none_likelier(null_score: float, answer: str) -> None:
    windows = [Span("a", 0.2, 0, 1, 0.9), Span("b", 0.5, 1, 2, null_score)]
    written = write([windows], {}, QuestionAnsweringOptions(handle_impossible_answer=True))[0]
    assert written["answer"] == answer
    assert written["score"] == max(null_score, 0.5)


def test_answers_have_at_most_so_many_tokens(artifact: Path) -> None:
    oracle = Oracle(artifact)
    assert_equal(score(artifact, PAIRS, max_answer_len=2), [oracle(*pair, max_answer_len=2) for pair in PAIRS])


def test_an_answer_far_into_a_context_of_a_megabyte_is_found(artifact: Path) -> None:
    short = "Antoine de Saint-Exupéry flew over the Sahara; 384,400 km from Houston!"
    record = score(artifact, [("Who flew?", tiny.MEGABYTE + short)], batch=256)[0]
    assert record.error is None and record.prediction is not None
    assert record.prediction["score"] >= 0


def test_a_question_that_leaves_no_room_is_failed_alone(artifact: Path) -> None:
    long, fine = ("Who was it? " * 40, "In Paris."), ("Who?", "In Paris.")
    failed, scored = score(artifact, [long, fine])
    assert failed.error is not None and (failed.error.stage, failed.error.code) == ("input", "too_long")
    assert scored.prediction is not None


def test_a_long_question_with_a_context_short_enough_is_answered(artifact: Path) -> None:
    pair = ("cat sat on the mat " * 2, "the dog")
    assert_equal(score(artifact, [pair]), [Oracle(artifact)(*pair)])


def test_a_blank_context_is_answered_with_nothing_and_a_warning(artifact: Path) -> None:
    for record in score(artifact, [("Who?", ""), ("", "")]):
        assert record.prediction == {"answer": "", "score": 0.0, "start": 0, "end": 0}
        assert record.warnings == ("blank_input",)


def test_windows_that_would_not_move_on_are_refused(artifact: Path) -> None:
    with pytest.raises(ModelError, match="doc_stride: expected less than"):
        score(artifact, PAIRS, doc_stride=62)


def test_duplicates_are_answered_alike(artifact: Path) -> None:
    first, second, third = score(artifact, [PAIRS[0], PAIRS[1], PAIRS[0]])
    assert first.prediction == third.prediction != second.prediction


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
