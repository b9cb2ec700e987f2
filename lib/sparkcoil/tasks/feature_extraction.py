"""feature-extraction: a text gets its embedding."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from sparkcoil.errors import RowError
from sparkcoil.generation import Request
from sparkcoil.prompts import TemplateOptions, rendered
from sparkcoil.tasks import Facts, Input, Prediction, Row, Task
from sparkcoil.truncation import SHARED_TOKENS, CutOrStride, Kept


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
    truncation: CutOrStride = "truncate_right"
    stride: int | None = Field(
        default=None,
        ge=0,
        description=f"{SHARED_TOKENS}. Before layers and normalising, `mean` and `max` are taken over all tokens of the text, each "
        "counted once, and `cls` and `last` are the mean of the windows' vectors, weighted by their tokens; a prompt is read once, "
        "in the first window",
    )
    max_length: Kept = None


def read(row: Row, options: EmbeddingOptions) -> tuple[Request, tuple[str, ...]]:
    """Return the text, in its template where there is one, with a warning for a blank text."""
    text, warnings = rendered(options.prompt_template, row, "text")
    return Request(text, options), warnings


def write(embeddings: Sequence[Any], facts: Facts, options: EmbeddingOptions) -> list[Prediction | RowError]:
    """Return each text's vector, and those of its tokens or none."""
    return [
        each
        if isinstance(each, RowError)
        else {"embedding": each.vector, "token_embeddings": [] if each.token_vectors is None else list(each.token_vectors)}
        for each in facts["finished"](embeddings)
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
