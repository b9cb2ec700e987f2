"""mask-generation: everything in an image is cut out, without a word on what it is."""

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from sparkcoil import images
from sparkcoil.tasks import Facts, Prediction, Task


class MaskGenerationOptions(images.SeeingOptions):
    """At how many points an image is asked, how good a mask has to be, and how large an image may be."""

    points_per_crop: int = Field(
        default=32, ge=1, description="points along each side of the grid at which an image is asked: 32 make 1,024"
    )
    pred_iou_thresh: float = Field(default=0.88, description="the score that a mask has to be above; 0 or less keeps all")
    stability_score_thresh: float = Field(
        default=0.95, description="the least share of its area that a mask keeps where it is cut more strictly; 0 or less keeps all"
    )
    stability_score_offset: float = Field(default=1.0, ge=0, description="how much more strictly, in logits")
    mask_threshold: float = Field(default=0.0, description="the logit that a pixel inside a mask is above")
    crops_nms_thresh: float = Field(
        default=0.7, ge=0, le=1, description="of masks whose boxes overlap by more than this share of both, the best stays"
    )


def write(results: Sequence[Any], facts: Facts, options: MaskGenerationOptions) -> list[Prediction]:
    """Return each image's masks as segments without labels: PNG files of the image's size, white inside and black outside."""
    return [{"segments": [{"label": None, **each._asdict()} for each in masks]} for masks in results]


TASK = Task(
    name="mask-generation",
    inputs=images.INPUTS,
    prediction="segments ARRAY<STRUCT<label: STRING, score: DOUBLE, mask: BINARY>>",
    options=MaskGenerationOptions,
    engine="sam",
    parts=("image_processor",),
    heads=("SamModel", "SamHQModel", "Sam2Model"),
    read=images.read,
    write=write,
)
