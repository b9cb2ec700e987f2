"""automatic-speech-recognition: a recording gets its transcript."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from sparkcoil import recordings
from sparkcoil.tasks import Facts, Prediction, Row, Task, Warned
from sparkcoil.transcripts import Spoken, Transcript


class SpeechRecognitionOptions(recordings.HearingOptions):
    """Which times are given, how long a recording may be, and how a long one is cut."""

    return_timestamps: Literal["none", "segment", "word"] = Field(
        default="none", description="`segment` fills `segments`, with start and end in seconds; `word` fills `words` too"
    )
    chunk_length_s: float | None = Field(
        default=None, gt=0, description="seconds heard at once; by default a minute, and 30 of a longer recording"
    )
    stride_length_s: float | None = Field(
        default=None, ge=0, description="seconds that a chunk shares with each neighbour; a sixth by default"
    )

    @model_validator(mode="after")
    def leaves_something(self) -> Self:
        """Return the options; raises ValueError where neighbouring windows would share all they have."""
        if self.chunk_length_s and self.stride_length_s and self.chunk_length_s <= 2 * self.stride_length_s:
            raise ValueError("expected a stride_length_s below half of chunk_length_s")
        return self


def read(row: Row, options: SpeechRecognitionOptions) -> tuple[Spoken, tuple[str, ...]]:
    """Return the recording, with the options that hold for the row."""
    sound, warnings = recordings.read(row, options)
    return Spoken(sound, options), warnings


def write(results: Sequence[Any], facts: Facts, options: SpeechRecognitionOptions) -> list[Prediction | Warned]:
    """Return the transcripts as predictions; what was heard in the chunks of one recording is joined first."""
    return [prediction(facts["transcript"](each) if isinstance(each, list) else each) for each in results]


def prediction(transcript: Transcript) -> Prediction | Warned:
    """Return a transcript as a prediction."""
    written = {
        "text": transcript.text,
        "language": transcript.language,
        "duration": transcript.seconds,
        "segments": [each._asdict() for each in transcript.segments],
        "words": [each._asdict() for each in transcript.words],
    }
    return Warned(written, transcript.warnings) if transcript.warnings else written


TASK = Task(
    name="automatic-speech-recognition",
    inputs=recordings.INPUTS,
    prediction="text STRING, language STRING, duration DOUBLE, segments ARRAY<STRUCT<text: STRING, start: DOUBLE, end: DOUBLE>>, "
    "words ARRAY<STRUCT<word: STRING, start: DOUBLE, end: DOUBLE>>",
    options=SpeechRecognitionOptions,
    engine="ctc",
    parts=("feature_extractor", "tokenizer"),
    heads=("ForCTC",),
    read=read,
    write=write,
)
