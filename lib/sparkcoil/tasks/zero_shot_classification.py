"""zero-shot-classification: a text gets the probability of labels that the model was never trained on."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import Field, field_validator

from sparkcoil.errors import RowError
from sparkcoil.tasks import Facts, Input, Options, Prediction, Row, Task, decode_text
from sparkcoil.truncation import SHARED_TOKENS, CutOrStride


class CandidateOptions(Options):
    """Which labels there are."""

    candidate_labels: tuple[str, ...] = Field(
        default=(), description="the labels, as a list or separated by commas; or give them as a column"
    )

    @field_validator("candidate_labels", mode="before")
    @classmethod
    def split_labels(cls, value: Any) -> Any:
        """Return labels that were given as one text as a list."""
        return split(value) if isinstance(value, str) else value


class LabelOptions(CandidateOptions):
    """Which labels there are, and how they are asked for."""

    hypothesis_template: str = Field(default="This example is {}.", description="the sentence that a label is put into, at `{}`")

    @field_validator("hypothesis_template")
    @classmethod
    def holds_a_place(cls, value: str) -> str:
        """Return the template; raises ValueError for one without a place for the label."""
        if "{}" not in value:
            raise ValueError("expected a place for the label, written {}")
        return value


class ZeroShotClassificationOptions(LabelOptions):
    """Which labels a text may get, how they are asked for, and what happens to a text longer than the model can read."""

    multi_label: bool = Field(default=False, description="score every label by itself, so that several may hold")
    truncation: CutOrStride = "truncate_right"
    stride: int | None = Field(
        default=None,
        ge=0,
        description=f"{SHARED_TOKENS}. A label's score is the mean of its scores in all windows, weighted by their tokens; with "
        "`multi_label`, or a single label, it is the highest, since a label that holds for a part of a text holds for the text",
    )
    max_length: int | None = Field(default=None, ge=1, description="tokens of text and label; by default all that the model can read")


def split(labels: str) -> list[str]:
    """Return the labels of a text that separates them by commas."""
    return [label.strip() for label in labels.split(",") if label.strip()]


def read(row: Row, options: ZeroShotClassificationOptions) -> tuple[tuple[str, tuple[str, ...]], tuple[str, ...]]:
    """Return the text with its labels, the row's own where there are some, with a warning for a blank text."""
    text = decode_text(row["text"], "text")
    return (text, asked(row, options)), () if text.strip() else ("blank_input",)


def asked(row: Row, options: CandidateOptions) -> tuple[str, ...]:
    """Return the labels that a row may get, its own where there are some; raises RowError where there are none."""
    labels = labels_of(row["candidate_labels"]) if "candidate_labels" in row else options.candidate_labels
    if not labels:
        raise RowError("input", "no_labels", "there is no candidate label, neither in the row nor as an option")
    return labels


def labels_of(cell: Any) -> tuple[str, ...]:
    """Return the labels in a cell, an array or a text; raises RowError for NULL, also for one among the labels."""
    if cell is None or isinstance(cell, bytes):
        return tuple(split(decode_text(cell, "candidate_labels")))
    if isinstance(cell, str):
        return tuple(split(cell))
    if any(label is None for label in cell):
        raise RowError("input", "null_input", "one of candidate_labels is NULL")
    return tuple(decode_text(each, "candidate_labels") if isinstance(each, bytes) else str(each) for each in cell)


def write(verdicts: Sequence[Sequence[Any]], facts: Facts, options: ZeroShotClassificationOptions) -> list[Prediction | RowError]:
    """Return each row's labels with their scores, best first."""
    return [ranked(each, options.multi_label) for each in verdicts]


def ranked(verdicts: Sequence[Any], multi_label: bool) -> Prediction:
    """Return one row's prediction: labels compete with each other, or each with its own contradiction where several may hold.

    Where the text was read in windows, labels compete in each of them, and every token of the text has the same say.
    """
    windows = verdicts[0].pair.windows
    labels = [each.pair.label for each in verdicts[::windows]]
    entailment = np.array([each.entailment for each in verdicts]).reshape(-1, windows)
    if multi_label or len(labels) == 1:
        contradiction = np.array([each.contradiction for each in verdicts]).reshape(-1, windows)
        scores = np.exp(-np.logaddexp(0, contradiction - entailment)).max(axis=1)
    else:
        weights = [each.pair.tokens for each in verdicts[:windows]]
        scores = np.average(competing(entailment), axis=1, weights=weights)
    return best_first(labels, scores)


def competing(logits: np.ndarray) -> np.ndarray:
    """Return the probabilities of labels of which one holds, along the first axis."""
    exponentials = np.exp(logits - logits.max(axis=0))
    return np.asarray(exponentials / exponentials.sum(axis=0))


def best_first(labels: Sequence[str], scores: np.ndarray) -> Prediction:
    """Return a prediction of the labels with their scores, best first."""
    ranking = [{"label": labels[i], "score": float(scores[i])} for i in np.argsort(-scores, kind="stable")]
    return {**ranking[0], "scores": ranking}


TASK = Task(
    name="zero-shot-classification",
    inputs=(Input("text", ("string",)), Input("candidate_labels", ("array", "string"), required=False)),
    prediction="label STRING, score DOUBLE, scores ARRAY<STRUCT<label: STRING, score: DOUBLE>>",
    options=ZeroShotClassificationOptions,
    engine="entailment",
    heads=("ForSequenceClassification",),
    one_of=("candidate_labels",),
    read=read,
    write=write,
)
