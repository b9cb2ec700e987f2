"""automatic-speech-recognition: a recording gets its transcript."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from sparkcoil import recordings
from sparkcoil.errors import RowError
from sparkcoil.tasks import Facts, Prediction, Task


class SpeechRecognitionOptions(recordings.HearingOptions):
    """Whether words get their times, and how long a recording may be."""

    return_timestamps: Literal["none", "word"] = Field(default="none", description="`word` fills `words` with start and end in seconds")
    max_seconds: float = Field(default=600.0, gt=0, description="a longer recording is failed, since it is transcribed in one piece")


def write(transcripts: Sequence[Any], facts: Facts, options: SpeechRecognitionOptions) -> list[Prediction | RowError]:
    """Return the transcripts as predictions; the engine has made them already."""
    return [{"text": each.text, "duration": each.seconds, "words": [word._asdict() for word in each.words]} for each in transcripts]


TASK = Task(
    name="automatic-speech-recognition",
    inputs=recordings.INPUTS,
    prediction="text STRING, duration DOUBLE, words ARRAY<STRUCT<word: STRING, start: DOUBLE, end: DOUBLE>>",
    options=SpeechRecognitionOptions,
    engine="ctc",
    parts=("feature_extractor", "tokenizer"),
    heads=("ForCTC",),
    read=recordings.read,
    write=write,
)
