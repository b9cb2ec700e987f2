"""feature-extraction: a text gets its embedding."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from sparkcoil.errors import RowError
from sparkcoil.generation import Request
from sparkcoil.prompts import TemplateOptions, rendered
from sparkcoil.tasks import Facts, Input, Prediction, Row, Task


class EmbeddingOptions(TemplateOptions):
    """How the vectors of a text's tokens become one, and what happens to a text longer than the model can read."""

    pooling: Literal["mean", "cls", "last", "max"] | None = Field(
        default=None, description="how tokens' vectors become one; by default as the model's sentence-transformers files say, else mean"
    )
    normalize: bool | None = Field(default=None, description="scale vectors to length 1; by default as the model's files say")
    dimensions: int | None = Field(default=None, ge=1, description="keep the first dimensions only, before normalising")
    prompt: str | None = Field(default=None, description="put before every text; by default what the model's files say")
    prompt_name: str | None = Field(default=None, description="a prompt of the model's own files, such as `query`")
    token_embeddings: bool = Field(default=False, description="fill `token_embeddings` with a vector for every token")
    truncation: Literal["truncate_right", "truncate_left", "fail"] = Field(
        default="truncate_right", description="which end of an over-long text is cut, or `fail` to fail the row"
    )
    max_length: int | None = Field(default=None, ge=1, description="tokens kept of a text; by default all that the model can read")


def read(row: Row, options: EmbeddingOptions) -> tuple[Request, tuple[str, ...]]:
    """Return the text, in its template where there is one, with a warning for a blank text."""
    text, warnings = rendered(options.prompt_template, row, "text")
    return Request(text, options), warnings


def write(embeddings: Sequence[Any], facts: Facts, options: EmbeddingOptions) -> list[Prediction | RowError]:
    """Return each text's vector, and those of its tokens or none."""
    return [
        {"embedding": each.vector, "token_embeddings": [] if each.token_vectors is None else list(each.token_vectors)}
        for each in embeddings
    ]


TASK = Task(
    name="feature-extraction",
    inputs=(Input("text", ("string",)),),
    prediction="embedding ARRAY<FLOAT>, token_embeddings ARRAY<ARRAY<FLOAT>>",
    options=EmbeddingOptions,
    engine="embedder",
    heads=("Model", "ForMaskedLM", "ForPreTraining", "LMHeadModel", "ForCausalLM", "EncoderModel"),
    read=read,
    write=write,
)
