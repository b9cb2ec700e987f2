"""llm/v1/chat: a conversation gets the assistant's next message, and the prediction holds OpenAI's chat completion object."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field

from sparkcoil import endpoints, generation
from sparkcoil.errors import RowError
from sparkcoil.generation import Generated, LlmOptions, Request
from sparkcoil.prompts import blank, rendered
from sparkcoil.tasks import Facts, Input, Prediction, Row, Task, decode_text

CHOICE = "STRUCT<index: INT, message: STRUCT<role: STRING, content: STRING>, finish_reason: STRING>"
RESPONSE = f"STRUCT<{generation.ENVELOPE}, choices: ARRAY<{CHOICE}>, usage: {generation.USAGE}>"


class ChatOptions(LlmOptions):
    """How a conversation is continued."""

    chat: ClassVar[bool] = True

    system_prompt: str | None = Field(default=None, description="system message put first where the conversation has none")


def read(row: Row, options: ChatOptions) -> tuple[Request, tuple[str, ...]]:
    """Return the row's conversation, with a warning where its last message is blank."""
    row = endpoints.unpacked(row, endpoints.CHAT)
    own = generation.options_for(row, options)
    messages, warnings = conversation(row, own.prompt_template)
    if own.system_prompt is not None and messages[0]["role"] != "system":
        messages = [{"role": "system", "content": own.system_prompt}, *messages]
    return Request(tuple(messages), own, row.get("model")), warnings


def conversation(row: Row, template: str | None) -> tuple[list[dict[str, str]], tuple[str, ...]]:
    """Return the messages of a row, an array or its JSON text, or else a text in its template, which the user says.

    With them goes a warning where the last of them is blank.
    """
    cell = row.get("messages")
    if generation.is_null(cell):
        text, warnings = rendered(template, row, "text" if "text" in row or "messages" not in row else "messages")
        return [{"role": "user", "content": text}], warnings
    if isinstance(cell, bytes | bytearray | str):
        cell = from_json(decode_text(cell if isinstance(cell, str) else bytes(cell), "messages"))
    listed = generation.plain(cell)
    if not isinstance(listed, Sequence) or isinstance(listed, str) or not listed:
        raise RowError("input", "bad_messages", "messages is not an array with at least one message")
    messages = [message(each, i) for i, each in enumerate(listed)]
    return messages, blank(messages[-1]["content"])


def from_json(text: str) -> Any:
    """Return what a JSON text holds; raises RowError where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise RowError("input", "bad_messages", "messages is not JSON") from None


def message(given: Any, position: int) -> dict[str, str]:
    """Return a message with those of its fields that are filled; raises RowError where role or content is missing."""
    if not isinstance(given, Mapping):
        raise RowError("input", "bad_messages", f"message {position} is not a struct with role and content")
    for name in ("role", "content"):
        if not isinstance(given.get(name), str) or (name == "role" and not given[name]):
            raise RowError("input", "bad_messages", f"message {position} has no {name}, or one that is no text")
    return {name: value for name, value in given.items() if isinstance(value, str)}


def write(results: Sequence[Generated], facts: Facts, options: ChatOptions) -> list[Prediction | RowError]:
    """Return one prediction for each row, with its response."""
    return generation.with_response(results, facts, options, response)


def response(generated: Generated, facts: Facts) -> dict[str, Any]:
    """Return OpenAI's chat completion object."""
    choices = [
        {"index": i, "message": {"role": "assistant", "content": each.text}, "finish_reason": each.finish_reason}
        for i, each in enumerate(generated.completions)
    ]
    return {
        **generation.envelope("chat.completion", "chatcmpl", generated, facts),
        "choices": choices,
        "usage": generation.usage(generated),
    }


TASK = Task(
    name="llm/v1/chat",
    inputs=(
        Input("messages", ("array", "string"), required=False),
        Input("text", ("string",), required=False),
        Input("system_prompt", ("string",), required=False),
        *generation.LLM_ROW_OPTIONS,
        *endpoints.INPUTS,
    ),
    prediction=f"{generation.PREDICTION}, response {RESPONSE}",
    options=ChatOptions,
    engine="causal",
    heads=generation.CAUSAL_HEADS,
    one_of=("messages", "text", "request"),
    read=read,
    write=write,
)
