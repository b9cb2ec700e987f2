"""Decodes recordings into mono float32 samples at the asked rate, whole or in part, bounded; knows nothing of Spark, MLflow or torch.

Reads WAV (RIFF, RIFX, RF64), AIFF, AU, FLAC, Ogg (Vorbis, Opus) and MP3 by libsndfile, and what libav.py lists (MP4, AAC, WebM, WMA, ...)
where PyAV is installed; by their content, never by a name. What cannot be decoded is RowError("input", code, message):

empty_audio        zero bytes, or a file that declares no samples
undecodable_audio  bytes that are no audio, or a header too damaged to be read
unsupported_audio  a container or encoding not read here, or not without PyAV; FLAC, Ogg or MP3 joined and only read in part,
                   or MP3 of variable bit rate without the Xing header that holds its length
audio_rate         a sampling rate outside 4,000..192,000 Hz: lower ones turn a small file into very many samples
audio_channels     no channel, or more than 8
audio_too_long     longer than `max_seconds`, as declared or as decoded
audio_too_large    more than 16 GiB when decoded at its own rate
non_finite_audio   NaN or infinite samples
truncated_audio    breaks off, or is damaged, before half of the declared audio

A recording that breaks off later is decoded up to there, with the warning `truncated_media`. Ogg declares no length, so there the warning
is given however little is left; a cut goes unnoticed in MP3 without a Xing header, in WAV streamed with a placeholder for its size, and in
AC3, AVI, CAF and Wave64.
"""

import io
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Protocol

import numpy as np
import numpy.typing as npt
import soxr  # type: ignore[import-untyped]

from sparkcoil import containers, libav
from sparkcoil.containers import fail
from sparkcoil.sndfile import READABLE, SndFile

MAX_DECODED_BYTES = 2**34  # 12 hours of 48 kHz stereo in float32: a bound on work, since they are never in memory at once
RATES = range(4_000, 192_001)
CHANNELS = range(1, 9)
USABLE_SHARE = 0.5
# A part is resampled with so much of its neighbourhood that the resampler's filter has rung out where the part begins.
MARGIN_SECONDS = 0.25

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Recording:
    """Mono samples at the asked rate, where in the recording they end, in seconds, and what the reader should know.

    Of a whole recording, `seconds` is its duration. A part that begins after the recording's end has no samples.
    """

    samples: Samples
    seconds: float
    warnings: tuple[str, ...] = ()

    @property
    def nbytes(self) -> int:
        """Return the bytes of memory that the samples take."""
        return self.samples.nbytes


class Stream(Protocol):
    """An open recording: SndFile says what each of these is."""

    rate: int
    channels: int
    position: int
    broken: bool

    @property
    def frames(self) -> int | None: ...

    def close(self) -> None: ...

    def blocks(self, first: int) -> Iterator[Samples]: ...

    def share(self, *, ended: bool) -> float | None: ...

    def check_all_was_read(self) -> None: ...


def decode_audio(content: bytes, sampling_rate: int, *, max_seconds: float = 3600.0) -> Recording:
    """Return the recording in an encoded cell, mixed to mono and resampled, or raise its RowError."""
    return read(io.BytesIO(content), sampling_rate, max_seconds=max_seconds)


def read(file: BinaryIO, sampling_rate: int, *, start: float = 0.0, seconds: float | None = None, max_seconds: float) -> Recording:
    """Return a part of the recording in a file, mixed to mono and resampled, or raise its RowError."""
    with opened(file) as stream:
        return part(stream, sampling_rate, start=start, seconds=seconds, max_seconds=max_seconds)


def probe(file: BinaryIO, *, max_seconds: float) -> float:
    """Return the duration in seconds of the recording in a file, or raise its RowError."""
    with opened(file) as stream:
        return duration(stream, max_seconds=max_seconds)


@contextmanager
def opened(file: BinaryIO) -> Iterator[Stream]:
    """Open a recording by its content for the block."""
    if not containers.size_of(file):
        fail("empty_audio", "the cell holds zero bytes")
    file = containers.without_id3(file)
    kind = containers.named(containers.at(file, 0, containers.HEAD_BYTES))
    stream = _stream(file, kind)
    try:
        yield stream
    finally:
        stream.close()


def _stream(file: BinaryIO, kind: str | None) -> Stream:
    """Return the decoder of a container; the many loosely marked formats that libsndfile knows are never tried."""
    if kind is None:
        fail("undecodable_audio", "the bytes are not audio of any known format")
    if kind in libav.FORMATS:
        return libav.AvFile(file, kind)
    if kind not in READABLE:
        fail("unsupported_audio", f"the bytes are {kind}, which is not read here; convert it to WAV, FLAC, Ogg or MP3")
    if kind == "WAV" and (declared := containers.wav_format(file)):
        _check_layout(declared[2], declared[1])  # libsndfile refuses the worst of them without saying why
    return SndFile(file, kind)


def check(stream: Stream, max_seconds: float) -> None:
    """Pass if what the header declares is within the limits; raises RowError."""
    _check_layout(stream.rate, stream.channels)
    if stream.frames is not None:
        _check_length(stream.frames, stream, max_seconds)


def _check_layout(rate: int, channels: int) -> None:
    if rate not in RATES:
        fail("audio_rate", f"the recording is said to have {rate:,} Hz; {RATES[0]:,} to {RATES[-1]:,} Hz are decoded")
    if channels not in CHANNELS:
        fail("audio_channels", f"the recording is said to have {channels:,} channels; {CHANNELS[0]} to {CHANNELS[-1]} are decoded")


def _check_length(frames: int, stream: Stream, max_seconds: float) -> None:
    if frames > max_seconds * stream.rate:
        fail("audio_too_long", f"the recording lasts {frames / stream.rate:,.0f} s or more; at most {max_seconds:,.0f} s are decoded")
    if frames * stream.channels * 4 > MAX_DECODED_BYTES:
        fail("audio_too_large", f"the recording decodes to more than {MAX_DECODED_BYTES:,} bytes")


@dataclass(frozen=True)
class _Span:
    """What has to be decoded for a part: from frame `first`, `frames` of them; of what comes of it, `count` samples after `skip`."""

    first: int
    frames: int | None
    skip: int
    count: int | None


def _span(rate: int, wanted: int, start: float, seconds: float | None) -> _Span:
    """Return what a part is made of. The resampler starts where a frame and a sample fall on one moment, as they do in the whole."""
    from_sample, count = round(start * wanted), None if seconds is None else round(seconds * wanted)
    shared = math.gcd(rate, wanted)
    unit_in, unit_out = rate // shared, wanted // shared
    margin = 0 if rate == wanted else math.ceil(MARGIN_SECONDS * shared)
    units = max(0, from_sample // unit_out - margin)
    frames = None if count is None else math.ceil((from_sample + count) / unit_out + margin) * unit_in - units * unit_in
    return _Span(units * unit_in, frames, from_sample - units * unit_out, count)


def duration(stream: Stream, *, max_seconds: float) -> float:
    """Return an open recording's duration in seconds: by its header, or read through where that holds none."""
    check(stream, max_seconds)
    unknown = stream.frames is None
    for _ in stream.blocks(0) if unknown else ():
        _check_length(stream.position, stream, max_seconds)
    frames = stream.position if stream.frames is None else stream.frames
    _judge_length(stream, ended=unknown, empty=not frames)
    return frames / stream.rate


def part(stream: Stream, sampling_rate: int, *, start: float, seconds: float | None, max_seconds: float) -> Recording:
    """Return a part of an open recording, mixed to mono and resampled."""
    check(stream, max_seconds)
    span = _span(stream.rate, sampling_rate, start, seconds)
    # A bytearray grows in place; joining a list of blocks would hold the samples twice.
    samples, resample, ended = bytearray(), _resampler(stream.rate, sampling_rate), True
    for block in stream.blocks(span.first):
        _check_length(stream.position, stream, max_seconds)
        over = -1 if span.frames is None else stream.position - span.first - span.frames
        ended = over < 0 or stream.position == stream.frames
        samples += _finite(resample(_mono(block[: len(block) - max(0, over)]), False)).tobytes()
        if not ended:
            break
    samples += _finite(resample(np.empty(0, np.float32), True)).tobytes()
    if ended:
        stream.check_all_was_read()
    whole = np.frombuffer(samples, np.float32)
    asked = whole[span.skip :] if span.count is None else whole[span.skip : span.skip + span.count]
    warnings = _judge_length(stream, ended=ended, empty=not stream.position)
    end = min(stream.position / stream.rate, start + seconds if seconds is not None else math.inf)
    return Recording(asked, end, warnings)


def _mono(block: Samples) -> Samples:
    _finite(block)
    return block[:, 0] if block.shape[1] == 1 else block.mean(axis=1, dtype=np.float64).astype(np.float32)


def _finite(samples: Samples) -> Samples:
    if not np.isfinite(samples).all():
        fail("non_finite_audio", "the recording holds samples that are NaN or infinite")
    return samples


def _resampler(rate: int, wanted: int) -> Callable[[Samples, bool], Samples]:
    if rate == wanted:
        return lambda samples, last: samples
    stream = soxr.ResampleStream(rate, wanted, 1, dtype="float32", quality="HQ")
    return lambda samples, last: stream.resample_chunk(samples, last=last)


def _judge_length(stream: Stream, *, ended: bool, empty: bool) -> tuple[str, ...]:
    """Return the warning for a recording that breaks off; raise if nothing, or too little of what it declares, was decoded."""
    share = stream.share(ended=ended)
    if share is not None and share < USABLE_SHARE:
        fail("truncated_audio", f"the recording breaks off after {share:.0%} of what it declares")
    if empty and stream.broken:
        fail("undecodable_audio", "the recording's first samples cannot be decoded")
    if empty:
        fail("empty_audio", "the recording holds no samples")
    return () if share == 1 else ("truncated_media",)
