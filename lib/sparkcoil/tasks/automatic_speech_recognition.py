"""automatic-speech-recognition: a recording gets its transcript."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from sparkcoil import recordings
from sparkcoil.generation import options_for
from sparkcoil.tasks import Facts, Input, Prediction, Row, Task, Warned
from sparkcoil.transcripts import Spoken, Transcript

# Options that a column may set for each row.
ROW_OPTIONS = tuple(Input(name, ("string",), required=False) for name in ("language", "task", "prompt"))
# Options that a model has no use for unless it writes one token after another.
WHISPER_OPTIONS = (
    *(each.name for each in ROW_OPTIONS),
    *("max_new_tokens", "num_beams", "temperature", "repetition_penalty", "no_repeat_ngram_size", "length_penalty", "seed"),
)


Seconds = Annotated[float, Field(ge=0)]


class SpeechRecognitionOptions(recordings.HearingOptions):
    """Which times are given, how long a recording may be and how a long one is cut, and how a Whisper listens and writes."""

    return_timestamps: Literal["none", "segment", "word"] = Field(
        default="none", description="`segment` fills `segments`, with start and end in seconds; `word` fills `words` too"
    )
    chunk_length_s: float | None = Field(
        default=None,
        gt=0,
        description="seconds heard at once; by default all that a Whisper can hear; with CTC a minute, and 30 of a longer recording",
    )
    stride_length_s: Seconds | tuple[Seconds, Seconds] | None = Field(
        default=None,
        description="seconds that a chunk shares with each neighbour, or with the one before and the one after; a sixth by default",
    )
    language: str | None = Field(default=None, description="what is spoken, as a code or an English name; by default it is found out")
    task: Literal["transcribe", "translate"] | None = Field(default=None, description="`translate` writes English whatever is spoken")
    prompt: str | None = Field(default=None, description="text that goes before, for its spelling and style")
    max_new_tokens: int | None = Field(default=None, ge=1, description="most tokens written for a window; by default what the model says")
    num_beams: int | None = Field(default=None, ge=1, description="beams searched; 1 is greedy")
    temperature: float | None = Field(default=None, ge=0, allow_inf_nan=False, description="above 0, sample")
    repetition_penalty: float | None = Field(default=None, gt=0, allow_inf_nan=False, description="above 1, tokens seen become less likely")
    no_repeat_ngram_size: int | None = Field(default=None, ge=0, description="no sequence of so many tokens comes twice in a window")
    length_penalty: float | None = Field(default=None, allow_inf_nan=False, description="above 0, beam search prefers longer texts")
    seed: int = Field(default=0, description="of sampling, together with the recording")

    @model_validator(mode="after")
    def leaves_something(self) -> Self:
        """Return the options; raises ValueError where neighbouring windows would share all they have."""
        if self.chunk_length_s and self.chunk_length_s <= sum(self.strides(self.chunk_length_s)):
            raise ValueError("expected a stride_length_s below half of chunk_length_s")
        return self

    def strides(self, length: float) -> tuple[float, float]:
        """Return the seconds that chunks of a length share with the one before and with the one after."""
        given = length / 6 if self.stride_length_s is None else self.stride_length_s
        return given if isinstance(given, tuple) else (given, given)


def read(row: Row, options: SpeechRecognitionOptions) -> tuple[Spoken, tuple[str, ...]]:
    """Return the recording, with the options that hold for the row."""
    sound, warnings = recordings.read(row, options)
    own = {each.name: row[each.name] for each in ROW_OPTIONS if each.name in row}
    return Spoken(sound, options_for(own, options)), warnings


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
    inputs=(*recordings.INPUTS, *ROW_OPTIONS),
    prediction="text STRING, language STRING, duration DOUBLE, segments ARRAY<STRUCT<text: STRING, start: DOUBLE, end: DOUBLE>>, "
    "words ARRAY<STRUCT<word: STRING, start: DOUBLE, end: DOUBLE>>",
    options=SpeechRecognitionOptions,
    engine="ctc",
    engines=(("WhisperForConditionalGeneration", "whisper"),),
    parts=("feature_extractor", "tokenizer"),
    heads=("ForCTC", "WhisperForConditionalGeneration"),
    read=read,
    write=write,
)
