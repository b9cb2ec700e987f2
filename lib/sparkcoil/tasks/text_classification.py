"""text-classification: a text, or a pair of texts, gets the probability of every label."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from pydantic import Field

from sparkcoil.errors import RowError
from sparkcoil.tasks import Facts, Input, Options, Prediction, Row, Task, decode_text
from sparkcoil.truncation import SHARED_TOKENS, CutOrStride, Kept


class ScoreOptions(Options):
    """How logits become scores, and how many are kept."""

    top_k: int | None = Field(default=None, ge=1, description="keep the best k labels in `scores`; all by default")
    function_to_apply: Literal["softmax", "sigmoid", "none"] | None = Field(
        default=None, description="from logits to scores; by default what the model's configuration implies"
    )
    threshold: float | None = Field(default=None, ge=0, le=1, description="keep in `scores` only labels that reach it")


class TextClassificationOptions(ScoreOptions):
    """How logits become scores, how many are kept, and what happens to a text longer than the model can read."""

    truncation: CutOrStride = "truncate_right"
    stride: int | None = Field(
        default=None,
        ge=0,
        description=f"{SHARED_TOKENS}. A label's score is the mean of its scores in all windows, weighted by their tokens; with "
        "`sigmoid` it is the highest, since a label that holds for a part of a text holds for the text. Of a pair, `text_pair` is "
        "read in windows, each with all of `text`",
    )
    max_length: Kept = None


def read(row: Row, options: TextClassificationOptions) -> tuple[str | tuple[str, str], tuple[str, ...]]:
    """Return the text, or the pair of texts where `text_pair` is given, with a warning where one of them is blank."""
    texts = [decode_text(row[name], name) for name in ("text", "text_pair") if name in row]
    warnings = () if all(text.strip() for text in texts) else ("blank_input",)
    return (texts[0] if len(texts) == 1 else (texts[0], texts[1])), warnings


def write(logits: Sequence[Any], facts: Facts, options: ScoreOptions) -> list[Prediction | RowError]:
    """Return the labels with their scores, best first, also of texts read in windows; a row whose logits are not finite is failed."""
    function = options.function_to_apply or default_function(facts)
    rows = [[(part.values, part.tokens) for part in each] if isinstance(each, list) else [(each, 1)] for each in logits]
    firsts = np.cumsum([0, *map(len, rows[:-1])])
    table = np.asarray([values for row in rows for values, _ in row], dtype=np.float64)
    weights = np.asarray([tokens for row in rows for _, tokens in row])
    scores = put_together(apply_function(function, table), weights, firsts, function)
    order = np.argsort(-scores, axis=1, kind="stable")
    finite = np.logical_and.reduceat(np.all(np.isfinite(table), axis=1), firsts)
    return [
        ranked(scores[i], order[i], facts["labels"], options)
        if finite[i]
        else RowError("output", "non_finite", "the model gave NaN or infinity")
        for i in range(len(rows))
    ]


def default_function(facts: Facts) -> str:
    """Return the function that transformers' own pipeline would apply for this model."""
    problem, count = facts["problem_type"], len(facts["labels"])
    if problem == "regression":
        return "none"
    if problem == "multi_label_classification" or (problem is None and count == 1):
        return "sigmoid"
    return "softmax"


def apply_function(function: str, logits: np.ndarray) -> np.ndarray:
    """Return the scores of logits of shape (rows, labels)."""
    if function == "sigmoid":
        return np.asarray(np.exp(-np.logaddexp(0, -logits)))
    if function == "softmax":
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))
    return logits


def put_together(scores: np.ndarray, weights: np.ndarray, firsts: np.ndarray, function: str) -> np.ndarray:
    """Return the scores of texts from those of their windows, of which each text's begin at one of `firsts`.

    Where labels compete, or a score measures something, every token of the text has the same say. The mean is one of scores, not of
    logits, whose scale differs from window to window: one sure window would outvote all others. Where labels stand by themselves,
    the window counts that is surest of a label.
    """
    if function == "sigmoid":
        return np.asarray(np.maximum.reduceat(scores, firsts, axis=0))
    sums = np.add.reduceat(scores * weights[:, None], firsts, axis=0)
    return np.asarray(sums / np.add.reduceat(weights, firsts)[:, None])


def ranked(scores: np.ndarray, order: np.ndarray, labels: Sequence[str], options: ScoreOptions) -> Prediction:
    """Return one row's prediction from its scores and their order, best first."""
    ranking = [{"label": labels[i], "score": float(scores[i])} for i in order[: options.top_k]]
    kept = ranking if options.threshold is None else [each for each in ranking if each["score"] >= options.threshold]
    return {**ranking[0], "scores": kept}


TASK = Task(
    name="text-classification",
    aliases=("sentiment-analysis",),
    inputs=(Input("text", ("string",)), Input("text_pair", ("string",), required=False)),
    prediction="label STRING, score DOUBLE, scores ARRAY<STRUCT<label: STRING, score: DOUBLE>>",
    options=TextClassificationOptions,
    engine="encoder",
    heads=("ForSequenceClassification",),
    read=read,
    write=write,
)
