"""How recordings arrive in rows, in every form alike: what all tasks that hear have in common. Knows nothing of Spark, MLflow or torch.

A cell is an encoded file (binary), a path or base64 text (string), samples (array, with a sampling rate), or a struct: Hugging Face's
`struct<array, sampling_rate>` and `struct<bytes, path>`. `read` makes a Sound of it, whose file is opened only when it is heard.

What is no such cell is RowError("input", code, message), beside the codes of media.py and roots.py:

audio_too_large    a cell above 256 MiB
null_input         the cell is NULL, or a struct with nothing in it
no_sampling_rate   samples without a rate: neither a `sampling_rate` in the row nor the option
audio_type         an array of something else than floating point numbers, or a struct of other fields
"""

import base64
import numbers
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from pydantic import Field

from sparkcoil import containers, heard, roots
from sparkcoil.containers import fail
from sparkcoil.errors import RowError
from sparkcoil.tasks import Input, Options, Prediction, Row, Warned, Written

if TYPE_CHECKING:  # a task can be looked at where nothing that decodes is installed
    from sparkcoil.media import Recording, Samples

INPUTS = (
    Input("audio", ("binary", "string", "array", "struct")),
    Input("sampling_rate", ("integer", "long", "short", "double", "float"), required=False),
)

MAX_CELL_BYTES = 2**28  # 23 minutes of 48 kHz stereo in 16 bits; a longer recording comes as a path

# What a task that hears a recording in one piece says of its length.
HEARD_WHOLE = Field(default=600.0, gt=0, description="a longer recording is failed")

_DATA_URI = re.compile(rb"(?i:data):[^,]{0,100};base64,")
_BASE64 = re.compile(rb"[A-Za-z0-9+/]+={0,2}")
_PLAIN_DIGITS = bytes.maketrans(b"-_", b"+/")
_HEAD = 120
_BLOCK = 65_536


class HearingOptions(Options):
    """What every task that hears can be told of its recordings."""

    sampling_rate: int | None = Field(default=None, gt=0, description="the rate of samples that come as arrays without one of their own")
    max_seconds: float = Field(default=43_200.0, gt=0, description="a longer recording is failed")


@dataclass(frozen=True)
class LocalFile:
    """A file that a row names, and the roots under which it has to lie."""

    name: bytes | str
    roots: Sequence[str]


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
        with self._file() as file:
            return sandbox.probe(file, max_seconds=self.max_seconds)

    def samples(self, rate: int, start: float = 0.0, seconds: float | None = None) -> "Recording":
        """Return a part of the recording, or all of it, mono at a rate; memory depends on the part alone. Raises RowError."""
        return heard.once((self.source, rate, start, seconds, self.max_seconds), lambda: self._decoded(rate, start, seconds))

    def _decoded(self, rate: int, start: float, seconds: float | None) -> "Recording":
        from sparkcoil import media, sandbox

        if isinstance(self.source, Waveform):
            return media.part(replace(self.source), rate, start=start, seconds=seconds, max_seconds=self.max_seconds)
        with self._file() as file:
            return sandbox.read(file, rate, start=start, seconds=seconds, max_seconds=self.max_seconds)

    @contextmanager
    def _file(self) -> Iterator[BinaryIO]:
        from sparkcoil import sandbox

        source = self.source
        assert not isinstance(source, Waveform)
        with sandbox.in_memory(source) if isinstance(source, bytes) else roots.opened(source.name, source.roots) as file:
            yield file


def read(row: Row, options: HearingOptions) -> tuple[Sound, tuple[str, ...]]:
    """Return a row's recording; raises RowError for a cell that is none."""
    return Sound(source_of(row["audio"], row.get("sampling_rate"), options), options.max_seconds), ()


def warned(written: Prediction | RowError, warnings: tuple[str, ...]) -> Written:
    """Return a prediction with the warnings that came up when its recording was heard."""
    return Warned(written, warnings) if warnings and not isinstance(written, RowError) else written


def source_of(cell: Any, rate: Any, options: HearingOptions) -> bytes | LocalFile | Waveform:
    """Return what a cell holds, in whichever form it arrived."""
    if cell is None:
        raise RowError("input", "null_input", "audio is NULL")
    if isinstance(cell, bytes | bytearray | memoryview):
        return from_base64(bytes(cell)) or encoded(bytes(cell))
    if isinstance(cell, str):
        return named(cell.encode(errors="surrogatepass"), options)
    if isinstance(cell, Mapping):
        return of_struct(cell, rate, options)
    return waveform(cell, rate if is_given(rate) else options.sampling_rate)


def of_struct(cell: Mapping[str, Any], rate: Any, options: HearingOptions) -> bytes | LocalFile | Waveform:
    """Return what a struct holds: encoded bytes, else samples, else a path; `size` is that of a cell too large to be sent."""
    known = {name: each for name, each in cell.items() if name in ("bytes", "array", "path", "size", "sampling_rate")}
    if not {"bytes", "array", "path"} & set(known):
        fail("audio_type", "expected a struct with `array` and `sampling_rate`, or with `bytes` and `path`")
    check_cell(int(known.get("size") or 0))
    own = known.get("sampling_rate")
    for each in (known.get("bytes"), known.get("array")):
        if each is not None:
            return source_of(each, own if is_given(own) else rate, options)
    if known.get("path") is None:
        raise RowError("input", "null_input", "audio is a struct with nothing in it")
    if not isinstance(known["path"], bytes | str):
        fail("audio_type", "expected the path in a struct to be text")
    return named(known["path"], options)


def named(text: bytes | str, options: HearingOptions) -> bytes | LocalFile:
    """Return what a text stands for: the file that it is in base64, else the file that it names."""
    content = text if isinstance(text, bytes) else text.encode(errors="surrogatepass")
    return from_base64(content) or LocalFile(content, options.roots)


def check_cell(size: int) -> None:
    """Pass if a cell of so many bytes may be decoded; raises RowError."""
    if size > MAX_CELL_BYTES:
        fail(
            "audio_too_large",
            f"the cell holds {size:,} bytes; at most {MAX_CELL_BYTES:,} are decoded, and of a file by its path any number",
        )


def encoded(content: bytes) -> bytes:
    """Return the bytes of a file, if they are not too many."""
    check_cell(len(content))
    return content


def from_base64(text: bytes) -> bytes | None:
    """Return the file that a text holds in base64, None for a text that does not begin as one would."""
    uri = _DATA_URI.match(text)
    digits = text[uri.end() :] if uri else text
    head = b"".join(digits[:_HEAD].translate(_PLAIN_DIGITS).split())
    beginning = base64.b64decode(head[: len(head) // 4 * 4]) if _BASE64.fullmatch(head) else b""
    if not uri and not (beginning[:3] == b"ID3" or containers.named(beginning)):
        return None
    whole = b"".join(digits.translate(_PLAIN_DIGITS).split())
    count = len(whole.rstrip(b"="))
    if not _BASE64.fullmatch(whole) or count % 4 == 1:
        fail("undecodable_audio", "the text is not valid base64")
    return encoded(base64.b64decode(whole[:count] + b"=" * (-count % 4)))


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
