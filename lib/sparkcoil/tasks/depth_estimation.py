"""depth-estimation: an image gets a picture of how far away each of its pixels is."""

from collections.abc import Sequence
from typing import Any

from sparkcoil import images
from sparkcoil.tasks import Facts, Prediction, Task


class DepthEstimationOptions(images.SeeingOptions):
    """How large an image may be."""


def write(results: Sequence[Any], facts: Facts, options: DepthEstimationOptions) -> list[Prediction]:
    """Return each image's depths as a PNG file of its size in 16 bits: a pixel of grey g is at min + g / 65535 * (max - min)."""
    return [each._asdict() for each in results]


TASK = Task(
    name="depth-estimation",
    inputs=images.INPUTS,
    prediction="depth BINARY, min DOUBLE, max DOUBLE",
    options=DepthEstimationOptions,
    engine="depth",
    parts=("image_processor",),
    heads=("ForDepthEstimation",),
    read=images.read,
    write=write,
)
