"""audio-classification: a sound gets the probability of every label."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from sparkcoil import recordings
from sparkcoil.tasks import Facts, Task, Written, text_classification
from sparkcoil.tasks.text_classification import ScoreOptions


class AudioClassificationOptions(recordings.HearingOptions, ScoreOptions):
    """How logits become scores, how many are kept, and how long a recording may be."""

    function_to_apply: Literal["softmax", "sigmoid", "none"] = Field(default="softmax", description="from logits to scores")
    max_seconds: float = recordings.HEARD_WHOLE


def write(labellings: Sequence[Any], facts: Facts, options: AudioClassificationOptions) -> list[Written]:
    """Return the labels with their scores, best first; a row whose logits are not finite is failed."""
    predictions = text_classification.write([each.logits for each in labellings], facts, options)
    return [recordings.warned(each, labelling.warnings) for each, labelling in zip(predictions, labellings, strict=True)]


TASK = Task(
    name="audio-classification",
    inputs=recordings.INPUTS,
    prediction="label STRING, score DOUBLE, scores ARRAY<STRUCT<label: STRING, score: DOUBLE>>",
    options=AudioClassificationOptions,
    engine="acoustic",
    parts=("feature_extractor",),
    heads=("ForSequenceClassification", "ForAudioClassification"),
    read=recordings.read,
    write=write,
)
