"""What a speech task and its engines hand each other: a recording with its row's options, and the transcript of it.

Knows nothing of torch, Spark or MLflow.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sparkcoil.recordings import Sound


@dataclass(frozen=True)
class Spoken:
    """A recording with the options that hold for its row."""

    audio: Sound
    options: Any


class Word(NamedTuple):
    """A word with its start and end in seconds."""

    word: str
    start: float
    end: float


class Segment(NamedTuple):
    """A stretch of speech, such as a sentence, with its start and end in seconds."""

    text: str
    start: float
    end: float


@dataclass(frozen=True)
class Transcript:
    """What was said in one recording of `seconds`; `segments` and `words` only where times were asked for.

    `language` is a code such as `en`, None where the model knows no languages.
    """

    text: str
    seconds: float
    language: str | None = None
    segments: tuple[Segment, ...] = ()
    words: tuple[Word, ...] = ()
    warnings: tuple[str, ...] = ()


def timed(chunks: Sequence[Mapping[str, Any]], seconds: float) -> list[Segment]:
    """Return segments with the times that the model left out: a segment begins where the last one ended, and ends with the recording."""
    found: list[Segment] = []
    for chunk in chunks:
        start, end = chunk["timestamp"]
        start = (found[-1].end if found else 0.0) if start is None else start
        found.append(Segment(chunk["text"], start, max(start, seconds) if end is None else end))
    return found
