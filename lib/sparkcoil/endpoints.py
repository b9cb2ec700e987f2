"""OpenAI's endpoints: what the body of a request asks for, as inputs and options of the task that answers it.

What would change the answer and cannot be had fails the row; what would not is passed over. Knows nothing of Spark or torch.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sparkcoil.errors import RowError
from sparkcoil.tasks import Input, Row, decode_text

Reader = Callable[[str, Any], Mapping[str, Any]]
"""Takes a parameter's name and value, and returns the inputs and options that it sets; raises RowError for what cannot be had."""

INPUTS = tuple(Input(name, ("string",), required=False) for name in ("request", "url", "method"))
# A row may hold its content in a column of its own where it has no request.
CONTENTS = ("messages", "text", "prompt", "input")
# A parameter's name is said only where it looks like one: it comes from the row.
NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


@dataclass(frozen=True)
class Endpoint:
    """An endpoint: the parameter that a request must have, and how each that it may have is read; of two for the same, the later wins."""

    url: str
    content: str
    parameters: Mapping[str, Reader]


def unpacked(row: Row, endpoint: Endpoint) -> Row:
    """Return a row with all that its request asks for as inputs under their own names, over those of columns.

    The name of a model that the request asks for is under `model`. A row without a request comes back as it is.
    """
    for name, expected in (("url", endpoint.url), ("method", "POST")):
        if name in row and (row[name] is None or decode_text(row[name], name) != expected):
            raise RowError("input", "wrong_endpoint", f"{name} is not {expected}")
    if "request" not in row or (row["request"] is None and set(CONTENTS) & set(row)):
        return row
    return {**row, **asked(parsed(decode_text(row["request"], "request")), endpoint)}


def parsed(text: str) -> Mapping[str, Any]:
    """Return the JSON object that a text holds; raises RowError where it holds none."""
    try:
        body = json.loads(text, parse_constant=refuse_constant)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, Mapping):
        raise RowError("input", "bad_request", "request is not a JSON object")
    return body


def refuse_constant(constant: str) -> None:
    """Raise ValueError for NaN and infinities, which Python reads and JSON does not know."""
    raise ValueError(constant)


def asked(body: Mapping[str, Any], endpoint: Endpoint) -> dict[str, Any]:
    """Return what a body asks for; a parameter that is null is not given."""
    given = {name: value for name, value in body.items() if value is not None}
    unknown = sorted(given.keys() - endpoint.parameters.keys())
    if unknown:
        raise unsupported(shown(unknown[0]))
    if endpoint.content not in given:
        raise RowError("input", "null_input", f"request has no {endpoint.content}")
    found: dict[str, Any] = {}
    for name, read in endpoint.parameters.items():
        if name in given:
            found.update(read(name, given[name]))
    return found


def unsupported(what: str, but: str = "") -> RowError:
    """Return the failure of a row whose request has a parameter that cannot be had."""
    return RowError("input", "unsupported_parameter", f"request: {what} is not supported{but}")


def wrong(name: str, expected: str) -> RowError:
    """Return the failure of a row whose request has a parameter of a wrong type."""
    return RowError("input", "bad_option", f"request: {name} is not {expected}")


def shown(name: str) -> str:
    """Return the name of a parameter as a message may hold it."""
    return name if NAME.fullmatch(name) else "a parameter with an odd name"


def ignored(name: str, value: Any) -> Mapping[str, Any]:
    """Return nothing: the parameter does not change the answer."""
    return {}


def only(*neutral: Any) -> Reader:
    """Return a reader of a parameter that is passed over with these values, and with any other would change the answer."""

    def read(name: str, value: Any) -> Mapping[str, Any]:
        # In Python false equals 0, and in completions `logprobs: 0` asks for some.
        if not any(value == each and isinstance(value, bool) == isinstance(each, bool) for each in neutral):
            raise unsupported(name, f", other than as {' or '.join(map(json.dumps, neutral))}")
        return {}

    return read


def number(name: str, value: Any) -> Mapping[str, Any]:
    """Return the option of the same name; what numbers it takes is its own to say."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong(name, "a number")
    return {name: value}


def most_tokens(name: str, value: Any) -> Mapping[str, Any]:
    """Return `max_tokens`, whatever the parameter is called."""
    return {"max_tokens": number(name, value)[name]}


def stops(name: str, value: Any) -> Mapping[str, Any]:
    """Return the strings at which a text ends."""
    if not isinstance(value, str | list):
        raise wrong(name, "a text or an array of texts")
    return {name: value}


def model_name(name: str, value: Any) -> Mapping[str, Any]:
    """Return the name of the model, which the response repeats; it does not choose one."""
    if not isinstance(value, str):
        raise wrong(name, "a text")
    return {name: value}


def one_text(name: str, value: Any) -> Mapping[str, Any]:
    """Return the text of a request, which may stand in an array by itself."""
    text = value[0] if isinstance(value, list) and len(value) == 1 else value
    if not isinstance(text, str):
        raise unsupported(name, ", other than as one text")
    return {name: text}


def form(name: str, value: Any) -> Mapping[str, Any]:
    """Return the response schema of a format: any object, or what a JSON Schema says; nothing for plain text."""
    kind = value.get("type") if isinstance(value, Mapping) else None
    described = value.get("json_schema") if kind == "json_schema" else None
    if kind == "json_object":
        return {"response_schema": {"type": "object"}}
    if isinstance(described, Mapping) and isinstance(described.get("schema"), Mapping):
        return {"response_schema": described["schema"]}
    if kind != "text":
        raise unsupported(name, ", other than as text, json_object, or json_schema with a schema")
    return {}


def messages(name: str, value: Any) -> Mapping[str, Any]:
    """Return a conversation in which every content is a text; what else is wrong with it the task says."""
    if not isinstance(value, list):
        raise RowError("input", "bad_messages", "request: messages is not an array")
    return {name: [message(each, i) if isinstance(each, Mapping) else each for i, each in enumerate(value)]}


def message(given: Mapping[str, Any], position: int) -> Mapping[str, Any]:
    """Return a message with the parts of its content joined line by line, as vLLM joins them."""
    for field in sorted(given.keys() - {"role", "content"}):
        if given[field] and not isinstance(given[field], str):
            raise unsupported(f"{shown(field)} of message {position}")
    content = given.get("content")
    return {**given, "content": "\n".join(part(each, position) for each in content)} if isinstance(content, list) else given


def part(given: Any, position: int) -> str:
    """Return the text of a part of a message's content."""
    if not isinstance(given, Mapping) or given.get("type") != "text" or not isinstance(given.get("text"), str):
        raise unsupported(f"a part of message {position} that is no text")
    return str(given["text"])


# All that may be set of any endpoint, and of those that generate text. `top_k` and `repetition_penalty` are vLLM's.
SHARED: Mapping[str, Reader] = {
    "model": model_name,
    **dict.fromkeys(("user", "metadata", "store", "service_tier"), ignored),
    **dict.fromkeys(("safety_identifier", "prompt_cache_key", "prompt_cache_retention"), ignored),
}
GENERATION: Mapping[str, Reader] = {
    **SHARED,
    "max_tokens": most_tokens,
    **dict.fromkeys(("temperature", "top_p", "top_k", "n", "seed", "repetition_penalty"), number),
    "stop": stops,
    "stream": only(False),
    "stream_options": ignored,
    "frequency_penalty": only(0),
    "presence_penalty": only(0),
    "logit_bias": only({}),
    "logprobs": only(False),
}
CHAT = Endpoint(
    url="/v1/chat/completions",
    content="messages",
    parameters={
        **GENERATION,
        "messages": messages,
        "max_completion_tokens": most_tokens,
        "response_format": form,
        "top_logprobs": only(0),
        "modalities": only(["text"]),
        **dict.fromkeys(("tools", "functions"), only([])),
        **dict.fromkeys(("tool_choice", "function_call"), only("none")),
        "parallel_tool_calls": ignored,
    },
)
COMPLETIONS = Endpoint(
    url="/v1/completions",
    content="prompt",
    parameters={**GENERATION, "prompt": one_text, "best_of": only(1), "echo": only(False), "suffix": only("")},
)
EMBEDDINGS = Endpoint(
    url="/v1/embeddings",
    content="input",
    parameters={**SHARED, "input": one_text, "dimensions": number, "encoding_format": only("float")},
)
