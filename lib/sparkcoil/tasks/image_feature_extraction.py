"""image-feature-extraction: an image gets its embedding."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from sparkcoil import images
from sparkcoil.tasks import Facts, Prediction, Task


class ImageEmbeddingOptions(images.SeeingOptions):
    """How what a model makes of an image becomes one vector, and how large an image may be."""

    pooling: Literal["pooler", "cls", "mean"] | None = Field(
        default=None,
        description="how an image becomes one vector: `pooler` is the model's own (of a CLIP or SigLIP, the vector that is compared with "
        "those of texts), `cls` that of the class token, `mean` that of all positions; by default `pooler` where the model has one, "
        "else `mean`",
    )
    normalize: bool = Field(default=False, description="scale vectors to length 1")
    dimensions: int | None = Field(default=None, ge=1, description="keep the first dimensions only, before normalising")


def write(vectors: Sequence[Any], facts: Facts, options: ImageEmbeddingOptions) -> list[Prediction]:
    """Return each image's vector."""
    return [{"embedding": each} for each in vectors]


TASK = Task(
    name="image-feature-extraction",
    inputs=images.INPUTS,
    prediction="embedding ARRAY<FLOAT>",
    options=ImageEmbeddingOptions,
    engine="image_embedder",
    parts=("image_processor",),
    heads=("Model", "CLIPVisionModelWithProjection", "ForImageClassification", "ForImageClassificationWithTeacher"),
    read=images.read,
    write=write,
)
