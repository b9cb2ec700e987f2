"""text-to-audio: a text is spoken, and the prediction holds the recording as a WAV file."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from sparkcoil.errors import RowError
from sparkcoil.generation import INTEGER, NUMBER, Request, options_for
from sparkcoil.prompts import blank
from sparkcoil.tasks import Facts, Input, Options, Prediction, Row, Task, Warned, decode_text

# Options that a column may set for each row.
ROW_OPTIONS = (
    Input("speaker_id", INTEGER, required=False),
    Input("speaking_rate", NUMBER, required=False),
    Input("seed", INTEGER, required=False),
)


class SpeechOptions(Options):
    """Who speaks, how fast and how evenly, and how long a recording may become."""

    speaker_id: int | None = Field(default=None, ge=0, description="which of a model's speakers, from 0; by default no particular one")
    speaking_rate: float | None = Field(
        default=None, gt=0, allow_inf_nan=False, description="above 1 is faster; by default as the model says"
    )
    noise_scale: float | None = Field(
        default=None, ge=0, allow_inf_nan=False, description="how much the sound varies; 0 is not at all; by default as the model says"
    )
    noise_scale_duration: float | None = Field(
        default=None, ge=0, allow_inf_nan=False, description="how much the lengths of sounds vary; by default as the model says"
    )
    seed: int = Field(default=0, description="of the noise, together with the row's text: the same text is spoken the same way each time")
    max_seconds: float = Field(default=60.0, gt=0, allow_inf_nan=False, description="longest recording")
    truncation: Literal["truncate_right", "fail"] = Field(
        default="truncate_right", description="what becomes of a longer one: it is cut, with the warning `truncated`, or its row fails"
    )


def read(row: Row, options: SpeechOptions) -> tuple[Request, tuple[str, ...]]:
    """Return the row's text with the options that hold for it, and a warning for a blank text."""
    text = decode_text(row.get("text"), "text")
    own = {each.name: row[each.name] for each in ROW_OPTIONS if each.name in row}
    return Request(text, options_for(own, options)), blank(text)


def write(results: Sequence[Any], facts: Facts, options: SpeechOptions) -> list[Prediction | RowError | Warned]:
    """Return each recording as a file; a row whose sound is not finite is failed."""
    return [each if isinstance(each, RowError) else prediction(each) for each in results]


def prediction(speech: Any) -> Prediction | Warned:
    """Return a recording as a prediction."""
    from sparkcoil import sndfile

    seconds = len(speech.samples) / speech.rate
    written = {"audio": sndfile.wav(speech.samples, speech.rate), "sampling_rate": speech.rate, "duration": seconds}
    return Warned(written, speech.warnings) if speech.warnings else written


TASK = Task(
    name="text-to-audio",
    inputs=(Input("text", ("string",)), *ROW_OPTIONS),
    prediction="audio BINARY, sampling_rate INT, duration DOUBLE",
    options=SpeechOptions,
    engine="vits",
    heads=("VitsModel",),
    read=read,
    write=write,
    aliases=("text-to-speech",),
)
