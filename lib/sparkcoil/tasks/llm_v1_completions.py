"""llm/v1/completions: a prompt is continued, and the prediction holds OpenAI's completion object."""

from collections.abc import Sequence
from typing import Any

from sparkcoil import endpoints, generation
from sparkcoil.errors import RowError
from sparkcoil.generation import Generated, LlmOptions, Request
from sparkcoil.prompts import rendered
from sparkcoil.tasks import Facts, Input, Prediction, Row, Task

CHOICE = "STRUCT<index: INT, text: STRING, finish_reason: STRING>"
RESPONSE = f"STRUCT<{generation.ENVELOPE}, choices: ARRAY<{CHOICE}>, usage: {generation.USAGE}>"


def read(row: Row, options: LlmOptions) -> tuple[Request, tuple[str, ...]]:
    """Return the row's prompt in the template, with a warning for a blank prompt."""
    row = endpoints.unpacked(row, endpoints.COMPLETIONS)
    own = generation.options_for(row, options)
    text, warnings = rendered(own.prompt_template, row, "prompt")
    return Request(text, own, row.get("model")), warnings


def write(results: Sequence[Generated], facts: Facts, options: LlmOptions) -> list[Prediction | RowError]:
    """Return one prediction for each row, with its response."""
    return generation.with_response(results, facts, options, response)


def response(generated: Generated, facts: Facts) -> dict[str, Any]:
    """Return OpenAI's completion object."""
    choices = [{"index": i, "text": each.text, "finish_reason": each.finish_reason} for i, each in enumerate(generated.completions)]
    return {**generation.envelope("text_completion", "cmpl", generated, facts), "choices": choices, "usage": generation.usage(generated)}


TASK = Task(
    name="llm/v1/completions",
    inputs=(Input("prompt", ("string",), required=False), *generation.LLM_ROW_OPTIONS, *endpoints.INPUTS),
    prediction=f"{generation.PREDICTION}, response {RESPONSE}",
    options=LlmOptions,
    engine="causal",
    heads=generation.CAUSAL_HEADS,
    one_of=("prompt", "request"),
    read=read,
    write=write,
)
