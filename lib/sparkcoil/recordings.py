"""How recordings arrive in rows, in every form alike: what all tasks that hear have in common. Knows nothing of Spark, MLflow or torch.

A cell is a file in one of the forms of cells.py, or samples: an array with a sampling rate, or Hugging Face's
`struct<array, sampling_rate>`. `read` makes a Sound of it, whose file is opened only when it is heard.

What is no such cell is RowError("input", code, message), beside the codes of cells.py, media.py and roots.py:

no_sampling_rate   samples without a rate: neither a `sampling_rate` in the row nor the option
audio_type         an array of something else than floating point numbers
"""

import numbers
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from sparkcoil import cells, containers, heard
from sparkcoil.cells import LocalFile, Medium
from sparkcoil.containers import fail
from sparkcoil.errors import RowError
from sparkcoil.tasks import Input, Options, Prediction, Row, Warned, Written

if TYPE_CHECKING:  # a task can be looked at where nothing that decodes is installed
    from sparkcoil.media import Recording, Samples

# A struct has one of these: encoded bytes, samples, or a path.
FIELDS = ("bytes", "array", "path")
INPUTS = (
    Input("audio", ("binary", "string", "array", "struct"), fields=FIELDS),
    Input("sampling_rate", ("integer", "long", "short", "double", "float"), required=False),
)

AUDIO = Medium("audio", lambda head: head[:3] == b"ID3" or containers.named(head))

# What a task that hears a recording in one piece says of its length.
HEARD_WHOLE = Field(default=600.0, gt=0, description="a longer recording is failed")

_BLOCK = 65_536


class HearingOptions(Options):
    """What every task that hears can be told of its recordings."""

    sampling_rate: int | None = Field(default=None, gt=0, description="the rate of samples that come as arrays without one of their own")
    max_seconds: float = Field(default=43_200.0, gt=0, description="a longer recording is failed")


@dataclass(eq=False)
class Waveform:
    """Samples that came as such; as a media.Stream they are one channel that breaks off nowhere."""

    samples: "Samples"
    rate: int
    channels: int = 1
    position: int = 0
    broken: bool = False

    @property
    def frames(self) -> int:
        """All of them are there."""
        return len(self.samples)

    def close(self) -> None:
        """Nothing is open."""

    def blocks(self, first: int) -> "Iterator[Samples]":
        """Yield them in blocks from a frame on."""
        for at in range(first, len(self.samples), _BLOCK):
            block = self.samples[at : at + _BLOCK, None]
            self.position = at + len(block)
            yield block

    def share(self, *, ended: bool) -> float | None:
        """All is there."""
        return 1.0

    def check_all_was_read(self) -> None:
        """Nothing follows."""


@dataclass(frozen=True, eq=False)
class Sound:
    """A recording as it arrived, which can be heard in part and as often as asked; nothing is open in between."""

    source: bytes | LocalFile | Waveform
    max_seconds: float

    def probe(self) -> float:
        """Return the duration in seconds as the header says, with all that can be checked before decoding; raises RowError."""
        from sparkcoil import media, sandbox

        if isinstance(self.source, Waveform):
            return media.duration(replace(self.source), max_seconds=self.max_seconds)
        with cells.opened(self.source) as file:
            return sandbox.probe(file, max_seconds=self.max_seconds)

    def samples(self, rate: int, start: float = 0.0, seconds: float | None = None) -> "Recording":
        """Return a part of the recording, or all of it, mono at a rate; memory depends on the part alone. Raises RowError."""
        return heard.once((self.source, rate, start, seconds, self.max_seconds), lambda: self._decoded(rate, start, seconds))

    def _decoded(self, rate: int, start: float, seconds: float | None) -> "Recording":
        from sparkcoil import media, sandbox

        if isinstance(self.source, Waveform):
            return media.part(replace(self.source), rate, start=start, seconds=seconds, max_seconds=self.max_seconds)
        with cells.opened(self.source) as file:
            return sandbox.read(file, rate, start=start, seconds=seconds, max_seconds=self.max_seconds)


def read(row: Row, options: HearingOptions) -> tuple[Sound, tuple[str, ...]]:
    """Return a row's recording; raises RowError for a cell that is none."""
    return Sound(source_of(row["audio"], row.get("sampling_rate"), options), options.max_seconds), ()


def warned(written: Prediction | RowError, warnings: tuple[str, ...]) -> Written:
    """Return a prediction with the warnings that came up when its recording was heard."""
    return Warned(written, warnings) if warnings and not isinstance(written, RowError) else written


def source_of(cell: Any, rate: Any, options: HearingOptions) -> bytes | LocalFile | Waveform:
    """Return what a cell holds, in whichever form it arrived."""
    if isinstance(cell, Mapping):
        return of_struct(cell, rate, options)
    if cell is None or isinstance(cell, bytes | bytearray | memoryview | str):
        return cells.source_of(cell, options.roots, AUDIO)
    return waveform(cell, rate if is_given(rate) else options.sampling_rate)


def of_struct(cell: Mapping[str, Any], rate: Any, options: HearingOptions) -> bytes | LocalFile | Waveform:
    """Return what a struct holds: encoded bytes, else samples, else a path."""
    if not set(FIELDS) & set(cell):
        fail("audio_type", "expected a struct with `array` and `sampling_rate`, or with `bytes` and `path`")
    if cell.get("bytes") is None and cell.get("array") is not None:
        own = cell.get("sampling_rate")
        return source_of(cell["array"], own if is_given(own) else rate, options)
    return cells.of_struct({"path": None, **cell}, options.roots, AUDIO)


def waveform(cell: Any, rate: Any) -> Waveform:
    """Return samples with their rate; raises RowError where one of both is not as it should be."""
    try:
        samples = np.asarray(cell if hasattr(cell, "dtype") else [np.nan if each is None else each for each in cell])
    except (TypeError, ValueError):
        samples = np.empty((1, 1))
    if samples.size and (samples.ndim != 1 or samples.dtype.kind != "f"):
        fail("audio_type", "expected an array of floating point numbers in one dimension")
    if not is_given(rate):
        fail("no_sampling_rate", "samples need their rate: a `sampling_rate` beside them, or the option of that name")
    if not isinstance(rate, numbers.Real) or not float(rate).is_integer():
        fail("audio_rate", "the sampling rate is no whole number")
    with np.errstate(over="ignore"):
        return Waveform(samples.astype(np.float32), int(float(rate)))


def is_given(number: Any) -> bool:
    """Whether there is a number: a missing one arrives as None or NaN."""
    return number is not None and number == number
