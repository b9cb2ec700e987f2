"""zero-shot-object-detection: an image gets the objects that its labels ask for, which the model was never trained on."""

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from sparkcoil import images
from sparkcoil.images import Picture
from sparkcoil.tasks import Facts, Input, Prediction, Row, Task
from sparkcoil.tasks.object_detection import OBJECTS, DetectionOptions, objects
from sparkcoil.tasks.zero_shot_classification import CandidateOptions, asked


class ZeroShotObjectDetectionOptions(DetectionOptions, CandidateOptions):
    """Which labels objects may get, how sure a model has to be of them, and how large an image may be."""

    threshold: float = Field(default=0.1, ge=0, le=1, description="keep only objects whose score is above it")


def read(row: Row, options: ZeroShotObjectDetectionOptions) -> tuple[tuple[Picture, tuple[str, ...]], tuple[str, ...]]:
    """Return the image with its labels, the row's own where there are some."""
    picture, warnings = images.read(row, options)
    return (picture, asked(row, options)), warnings


def write(sought: Sequence[Any], facts: Facts, options: ZeroShotObjectDetectionOptions) -> list[Prediction]:
    """Return the objects of each image, best first."""
    return [objects(each.found, each.labels, options.top_k) for each in sought]


TASK = Task(
    name="zero-shot-object-detection",
    inputs=(*images.INPUTS, Input("candidate_labels", ("array", "string"), required=False)),
    prediction=OBJECTS,
    options=ZeroShotObjectDetectionOptions,
    engine="owl",
    parts=("image_processor", "tokenizer"),
    heads=("OwlViTForObjectDetection", "Owlv2ForObjectDetection"),
    one_of=("candidate_labels",),
    read=read,
    write=write,
)
