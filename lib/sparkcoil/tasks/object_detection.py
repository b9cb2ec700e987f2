"""object-detection: an image gets the objects that are seen in it, each with its label, its score and its box."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import Field

from sparkcoil import images
from sparkcoil.tasks import Facts, Prediction, Task

# A box is in pixels of the upright image as it arrived; it may reach beyond its edges, where the model says so.
OBJECTS = "objects ARRAY<STRUCT<label: STRING, score: DOUBLE, box: STRUCT<xmin: INT, ymin: INT, xmax: INT, ymax: INT>>>"
SIDES = ("xmin", "ymin", "xmax", "ymax")


class DetectionOptions(images.SeeingOptions):
    """How sure a model has to be of an object, and how many are kept."""

    threshold: float = Field(default=0.5, ge=0, le=1, description="keep only objects whose score is above it")
    top_k: int | None = Field(default=None, ge=1, description="keep only the k objects with the highest scores; all by default")


def write(found: Sequence[Any], facts: Facts, options: DetectionOptions) -> list[Prediction]:
    """Return the objects of each image in the model's order, also where only the best of them are kept."""
    return [objects(each, facts["labels"], options.top_k) for each in found]


def objects(found: Any, labels: Any, top_k: int | None) -> Prediction:
    """Return one image's prediction of the objects that were found, whose labels are named by their numbers."""
    kept = np.sort(np.argsort(-found.scores, kind="stable")[:top_k])
    return {
        "objects": [
            {
                "label": labels[int(found.labels[i])],
                "score": float(found.scores[i]),
                "box": dict(zip(SIDES, map(int, found.boxes[i]), strict=True)),
            }
            for i in kept
        ]
    }


TASK = Task(
    name="object-detection",
    inputs=images.INPUTS,
    prediction=OBJECTS,
    options=DetectionOptions,
    engine="detection",
    parts=("image_processor",),
    heads=(
        "DetrForObjectDetection",
        "RTDetrV2ForObjectDetection",
        "DFineForObjectDetection",
        "TableTransformerForObjectDetection",
        "YolosForObjectDetection",
    ),
    read=images.read,
    write=write,
)
