"""llm/v1/embeddings: a text gets its embedding, also as the OpenAI response to a request for it."""

from collections.abc import Sequence
from typing import Any

from sparkcoil import endpoints, generation
from sparkcoil.errors import RowError
from sparkcoil.generation import Request
from sparkcoil.prompts import rendered
from sparkcoil.tasks import Facts, Input, Prediction, Row, Task
from sparkcoil.tasks.feature_extraction import TASK as FEATURE_EXTRACTION
from sparkcoil.tasks.feature_extraction import EmbeddingOptions

DATA = "ARRAY<STRUCT<object: STRING, index: INT, embedding: ARRAY<FLOAT>>>"
USAGE = "STRUCT<prompt_tokens: INT, total_tokens: INT>"


def read(row: Row, options: EmbeddingOptions) -> tuple[Request, tuple[str, ...]]:
    """Return the text, which is the input `input` or `text`, in its template where there is one, with a warning for a blank text."""
    row = endpoints.unpacked(row, endpoints.EMBEDDINGS)
    own = generation.options_for(row, options)
    text, warnings = rendered(own.prompt_template, row, "input" if "input" in row else "text")
    return Request(text, own, row.get("model")), warnings


def write(embeddings: Sequence[Any], facts: Facts, options: EmbeddingOptions) -> list[Prediction | RowError]:
    """Return each text's vector, the number of its tokens, and both in OpenAI's shape."""
    return [
        each
        if isinstance(each, RowError)
        else {
            "embedding": each.vector,
            "prompt_tokens": each.tokens,
            "response": response(each.vector, each.tokens, each.request.model or facts["model"]),
        }
        for each in facts["finished"](embeddings)
    ]


def response(vector: Any, tokens: int, model: str) -> dict[str, Any]:
    """Return what OpenAI's API answers to a request with one text."""
    return {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": vector}],
        "model": model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


TASK = Task(
    name="llm/v1/embeddings",
    inputs=(Input("input", ("string",), required=False), Input("text", ("string",), required=False), *endpoints.INPUTS),
    prediction=f"embedding ARRAY<FLOAT>, prompt_tokens INT, response STRUCT<object: STRING, data: {DATA}, model: STRING, usage: {USAGE}>",
    options=EmbeddingOptions,
    engine=FEATURE_EXTRACTION.engine,
    heads=FEATURE_EXTRACTION.heads,
    one_of=("input", "text", "request"),
    read=read,
    write=write,
)
