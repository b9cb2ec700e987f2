"""fill-mask: a text with a mask gets the likeliest tokens for its place."""

from collections.abc import Sequence
from typing import Any

from pydantic import Field, field_validator

from sparkcoil.errors import RowError
from sparkcoil.prompts import TemplateOptions, rendered
from sparkcoil.tasks import Facts, Input, Prediction, Row, Task
from sparkcoil.truncation import Cut, Kept


class FillMaskOptions(TemplateOptions):
    """How many tokens are kept, which ones count, and what happens to a text longer than the model can read."""

    top_k: int = Field(default=5, ge=1, description="keep the best k tokens in `candidates`")
    targets: tuple[str, ...] = Field(default=(), description="the only tokens that count; any by default")
    truncation: Cut = "truncate_right"
    max_length: Kept = None

    @field_validator("targets", mode="before")
    @classmethod
    def listed(cls, value: Any) -> Any:
        """Return a single target as a list."""
        return (value,) if isinstance(value, str) else value


def read(row: Row, options: FillMaskOptions) -> tuple[str, tuple[str, ...]]:
    """Return the text, in its template where there is one, with a warning for a blank text."""
    return rendered(options.prompt_template, row, "text")


def write(texts: Sequence[Sequence[Any]], facts: Facts, options: FillMaskOptions) -> list[Prediction | RowError]:
    """Return each text's candidates for its first mask, best first; its other masks stay as they are."""
    return [prediction([{"token": each.token, "sequence": each.sequence, "score": each.score} for each in text]) for text in texts]


def prediction(candidates: Sequence[dict[str, Any]]) -> Prediction:
    """Return one row's prediction."""
    return {**candidates[0], "candidates": candidates}


TASK = Task(
    name="fill-mask",
    inputs=(Input("text", ("string",)),),
    prediction="token STRING, sequence STRING, score DOUBLE, candidates ARRAY<STRUCT<token: STRING, sequence: STRING, score: DOUBLE>>",
    options=FillMaskOptions,
    engine="masks",
    heads=("ForMaskedLM", "ForPreTraining", "WithLMHeadModel"),
    read=read,
    write=write,
)
