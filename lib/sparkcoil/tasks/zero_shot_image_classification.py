"""zero-shot-image-classification: an image gets the probability of labels that the model was never trained on."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import Field

from sparkcoil import images
from sparkcoil.images import Picture
from sparkcoil.tasks import Facts, Input, Row, Task, Written
from sparkcoil.tasks.text_classification import apply_function
from sparkcoil.tasks.zero_shot_classification import LabelOptions, asked, best_first


class ZeroShotImageClassificationOptions(images.SeeingOptions, LabelOptions):
    """Which labels an image may get, how they are asked for, and how large an image may be."""

    hypothesis_template: str = Field(default="This is a photo of {}.", description="the sentence that a label is put into, at `{}`")


def read(row: Row, options: ZeroShotImageClassificationOptions) -> tuple[tuple[Picture, tuple[str, ...]], tuple[str, ...]]:
    """Return the image with its labels, the row's own where there are some."""
    picture, warnings = images.read(row, options)
    return (picture, asked(row, options)), warnings


def write(likenings: Sequence[Any], facts: Facts, options: ZeroShotImageClassificationOptions) -> list[Written]:
    """Return each row's labels with their scores, best first: those of a SigLIP stand each by itself, those of a CLIP compete."""
    return [best_first(each.labels, apply_function(facts["function"], np.asarray(each.logits)[None])[0]) for each in likenings]


TASK = Task(
    name="zero-shot-image-classification",
    inputs=(*images.INPUTS, Input("candidate_labels", ("array", "string"), required=False)),
    prediction="label STRING, score DOUBLE, scores ARRAY<STRUCT<label: STRING, score: DOUBLE>>",
    options=ZeroShotImageClassificationOptions,
    engine="clip",
    parts=("image_processor", "tokenizer"),
    heads=("CLIPModel", "MetaClip2Model", "SiglipModel", "Siglip2Model"),
    one_of=("candidate_labels",),
    read=read,
    write=write,
)
