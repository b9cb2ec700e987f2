"""zero-shot-audio-classification: a sound gets the probability of labels that the model was never trained on."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import Field

from sparkcoil import recordings
from sparkcoil.recordings import Sound
from sparkcoil.tasks import Facts, Input, Row, Task, Written
from sparkcoil.tasks.zero_shot_classification import LabelOptions, asked, best_first, competing


class ZeroShotAudioClassificationOptions(recordings.HearingOptions, LabelOptions):
    """Which labels a sound may get, how they are asked for, and how long a recording may be."""

    hypothesis_template: str = Field(default="This is a sound of {}.", description="the sentence that a label is put into, at `{}`")
    max_seconds: float = recordings.HEARD_WHOLE


def read(row: Row, options: ZeroShotAudioClassificationOptions) -> tuple[tuple[Sound, tuple[str, ...]], tuple[str, ...]]:
    """Return the recording with its labels, the row's own where there are some."""
    sound, warnings = recordings.read(row, options)
    return (sound, asked(row, options)), warnings


def write(likenings: Sequence[Any], facts: Facts, options: ZeroShotAudioClassificationOptions) -> list[Written]:
    """Return each row's labels with their scores, best first."""
    return [recordings.warned(best_first(each.labels, competing(np.asarray(each.logits))), each.warnings) for each in likenings]


TASK = Task(
    name="zero-shot-audio-classification",
    inputs=(*recordings.INPUTS, Input("candidate_labels", ("array", "string"), required=False)),
    prediction="label STRING, score DOUBLE, scores ARRAY<STRUCT<label: STRING, score: DOUBLE>>",
    options=ZeroShotAudioClassificationOptions,
    engine="clap",
    parts=("feature_extractor", "tokenizer"),
    heads=("ClapModel",),
    one_of=("candidate_labels",),
    read=read,
    write=write,
)
