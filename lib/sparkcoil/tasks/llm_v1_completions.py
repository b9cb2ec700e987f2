"""llm/v1/completions: a prompt is continued, and the prediction holds OpenAI's completion object."""

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from sparkcoil import generation
from sparkcoil.errors import RowError
from sparkcoil.generation import Generated, LlmOptions, Request
from sparkcoil.prompts import PromptTemplate, fill_template
from sparkcoil.tasks import Facts, Input, Prediction, Row, Task, decode_text

CHOICE = "STRUCT<index: INT, text: STRING, finish_reason: STRING>"
RESPONSE = f"STRUCT<{generation.ENVELOPE}, choices: ARRAY<{CHOICE}>, usage: {generation.USAGE}>"


class CompletionsOptions(LlmOptions):
    """How a prompt is continued, and what stands around it."""

    prompt_template: PromptTemplate | None = Field(default=None, description="text with `{prompt}` where the row's prompt goes")


def read(row: Row, options: CompletionsOptions) -> tuple[Request, tuple[str, ...]]:
    """Return the row's prompt in the template, with a warning for a blank prompt."""
    text = decode_text(row["prompt"], "prompt")
    own = generation.options_for(row, options)
    return Request(fill_template(own.prompt_template, text), own), generation.blank(text)


def write(results: Sequence[Generated], facts: Facts, options: CompletionsOptions) -> list[Prediction | RowError]:
    """Return one prediction for each row, with its response."""
    return [{**generation.prediction(each), "response": response(each, facts)} for each in results]


def response(generated: Generated, facts: Facts) -> dict[str, Any]:
    """Return OpenAI's completion object."""
    choices = [{"index": i, "text": each.text, "finish_reason": each.finish_reason} for i, each in enumerate(generated.completions)]
    return {**generation.envelope("text_completion", "cmpl", generated, facts), "choices": choices, "usage": generation.usage(generated)}


TASK = Task(
    name="llm/v1/completions",
    inputs=(Input("prompt", ("string",)), *generation.LLM_ROW_OPTIONS),
    prediction=f"{generation.PREDICTION}, response {RESPONSE}",
    options=CompletionsOptions,
    engine="causal",
    heads=generation.CAUSAL_HEADS,
    read=read,
    write=write,
)
