"""question-answering: a question about a context gets the part of the context that answers it."""

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from sparkcoil.errors import RowError
from sparkcoil.tasks import Facts, Input, Options, Prediction, Row, Task, decode_text
from sparkcoil.truncation import Stride


class QuestionAnsweringOptions(Options):
    """How a long context is read in windows, and which answers count."""

    max_seq_len: int | None = Field(default=None, ge=1, description="tokens of question and context in one window; by default at most 384")
    truncation: Stride = "stride"
    doc_stride: int | None = Field(default=None, ge=0, description="tokens that neighbouring windows share; by default at most 128")
    max_answer_len: int = Field(default=15, ge=1, description="tokens of the longest answer")
    handle_impossible_answer: bool = Field(default=False, description="give an empty answer where the model finds none likelier")


def read(row: Row, options: QuestionAnsweringOptions) -> tuple[tuple[str, str], tuple[str, ...]]:
    """Return the question with its context, with a warning where one of them is blank."""
    question, context = decode_text(row["question"], "question"), decode_text(row["context"], "context")
    return (question, context), () if question.strip() and context.strip() else ("blank_input",)


def write(windows: Sequence[Sequence[Any]], facts: Facts, options: QuestionAnsweringOptions) -> list[Prediction | RowError]:
    """Return the likeliest answer of each row's windows; `start` and `end` count the context's characters."""
    return [answer(spans, options) for spans in windows]


def answer(spans: Sequence[Any], options: QuestionAnsweringOptions) -> Prediction:
    """Return the likeliest span, or an empty answer where none is likelier than that there is no answer."""
    best = max(spans, key=lambda span: span.score)
    null_score = min(span.null_score for span in spans)
    if options.handle_impossible_answer and null_score > best.score:
        return {"answer": "", "score": null_score, "start": 0, "end": 0}
    return {"answer": best.answer, "score": best.score, "start": best.start, "end": best.end}


TASK = Task(
    name="question-answering",
    inputs=(Input("question", ("string",)), Input("context", ("string",))),
    prediction="answer STRING, score DOUBLE, start INT, end INT",
    options=QuestionAnsweringOptions,
    engine="spans",
    heads=("ForQuestionAnswering", "ForQuestionAnsweringSimple"),
    read=read,
    write=write,
)
