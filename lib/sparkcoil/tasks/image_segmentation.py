"""image-segmentation: an image is cut into segments, each with a label and a mask of its pixels."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from sparkcoil import images
from sparkcoil.tasks import Facts, Prediction, Task


class ImageSegmentationOptions(images.SeeingOptions):
    """What an image is cut into, how sure a segment has to be, and how large an image may be."""

    subtask: Literal["panoptic", "instance", "semantic"] | None = Field(
        default=None,
        description="`panoptic`: things and what is around them; `instance`: each thing by itself; `semantic`: all of a label together, "
        "without a score; by default the first of these that the model is for",
    )
    threshold: float = Field(default=0.9, ge=0, le=1, description="the least score of a segment, but for `semantic`")
    mask_threshold: float = Field(default=0.5, ge=0, le=1, description="the least probability of a pixel that counts to a segment's area")
    overlap_mask_area_threshold: float = Field(
        default=0.5, ge=0, le=1, description="the share of its area that a segment must keep where others cover it, or it is left out"
    )


def write(results: Sequence[Any], facts: Facts, options: ImageSegmentationOptions) -> list[Prediction]:
    """Return each image's segments; a mask is a PNG file of the image's size, white where the segment is and black elsewhere."""
    labels = facts["id2label"]
    return [{"segments": [{"label": labels[each.label_id], "score": each.score, "mask": each.mask} for each in some]} for some in results]


TASK = Task(
    name="image-segmentation",
    inputs=images.INPUTS,
    prediction="segments ARRAY<STRUCT<label: STRING, score: DOUBLE, mask: BINARY>>",
    options=ImageSegmentationOptions,
    engine="segmentation",
    parts=("image_processor",),
    heads=("ForSemanticSegmentation", "MaskFormerForInstanceSegmentation", "Mask2FormerForUniversalSegmentation", "DetrForSegmentation"),
    read=images.read,
    write=write,
)
