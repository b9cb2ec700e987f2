"""document-question-answering: a question about the image of a document gets the answer that is read in it."""

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from sparkcoil import images
from sparkcoil.errors import RowError
from sparkcoil.generation import GenerationOptions, Request
from sparkcoil.images import Picture
from sparkcoil.prompts import blank
from sparkcoil.tasks import Facts, Input, Prediction, Row, Task, Warned, decode_text

# What a Donut is told: a task, and a question whose answer comes next.
PROMPT = "<s_docvqa><s_question>{}</s_question><s_answer>"
UNANSWERED = "unanswered"


class DocumentQuestionAnsweringOptions(images.SeeingOptions):
    """How long an answer may be."""

    max_new_tokens: int | None = Field(default=None, ge=1, description="most tokens of an answer; 256 unless the model says")


def read(row: Row, options: DocumentQuestionAnsweringOptions) -> tuple[tuple[Picture, Request], tuple[str, ...]]:
    """Return the row's image with its question as the model is asked it, and a warning for a blank one."""
    picture, _ = images.read(row, options)
    question = decode_text(row["question"], "question")
    if "<s_" in question or "</s_" in question:
        raise RowError("input", "bad_prompt", "the question holds what looks like one of the model's own tokens")
    # Not cut: the end of the prompt is what makes the model answer.
    asked = GenerationOptions(max_new_tokens=options.max_new_tokens, truncation="fail")
    return (picture, Request(PROMPT.format(question), asked)), blank(question)


def write(results: Sequence[Any], facts: Facts, options: Any) -> list[Prediction | Warned]:
    """Return each answer with the probability of its tokens; a warning where the model wrote something else."""
    predictions = [{"answer": each.text, "score": each.score} for each in results]
    return [each if each["answer"] is not None else Warned(each, (UNANSWERED,)) for each in predictions]


TASK = Task(
    name="document-question-answering",
    inputs=(*images.INPUTS, Input("question", ("string",))),
    prediction="answer STRING, score DOUBLE",
    options=DocumentQuestionAnsweringOptions,
    engine="documents",
    heads=("VisionEncoderDecoderModel",),
    parts=("image_processor", "tokenizer"),
    read=read,
    write=write,
)
