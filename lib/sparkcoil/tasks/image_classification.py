"""image-classification: an image gets the probability of every label."""

from sparkcoil import images
from sparkcoil.tasks import Task, text_classification
from sparkcoil.tasks.text_classification import ScoreOptions


class ImageClassificationOptions(images.SeeingOptions, ScoreOptions):
    """How logits become scores, how many are kept, and how large an image may be."""


TASK = Task(
    name="image-classification",
    inputs=images.INPUTS,
    prediction="label STRING, score DOUBLE, scores ARRAY<STRUCT<label: STRING, score: DOUBLE>>",
    options=ImageClassificationOptions,
    engine="vision",
    parts=("image_processor",),
    heads=("ForImageClassification", "ForImageClassificationWithTeacher"),
    read=images.read,
    write=text_classification.write,
)
