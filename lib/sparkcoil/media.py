"""Decodes audio cells into mono float32 samples, bounded and in the process; knows nothing of Spark, MLflow or torch.

Reads WAV (RIFF, RIFX, RF64), AIFF, AU, FLAC, Ogg (Vorbis, Opus) and MP3 by their content, never by a name. What cannot be decoded is
RowError("input", code, message):

empty_audio        zero bytes, or a file that declares no samples
undecodable_audio  bytes that are no audio, or a header too damaged to be read
unsupported_audio  a container or encoding not read here (MP4, AAC, WMA, WebM, ...), FLAC, Ogg or MP3 joined and only read in part,
                   or MP3 of variable bit rate without the Xing header that holds its length
audio_rate         a sampling rate outside 4,000..192,000 Hz: lower ones turn a small file into very many samples
audio_channels     no channel, or more than 8
audio_too_long     longer than `max_seconds`, as declared or as decoded
audio_too_large    a cell above 1 GiB, or more than 2 GiB when decoded at its own rate
non_finite_audio   NaN or infinite samples
truncated_audio    breaks off, or is damaged, before half of the declared audio

A recording that breaks off later is decoded up to there, with the warning `truncated_media`. Ogg declares no length, so there the warning
is given however little is left; a cut goes unnoticed in MP3 without a Xing header and in WAV streamed with a placeholder for its size.
"""

import io
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
import numpy.typing as npt
import soundfile as sf  # type: ignore[import-untyped]
import soxr  # type: ignore[import-untyped]

from sparkcoil.errors import RowError

MAX_ENCODED_BYTES = 2**30  # an hour of 48 kHz stereo in 24 bits
MAX_DECODED_BYTES = 2**31  # an hour of 48 kHz stereo in float32 takes 1.3 GiB
RATES = range(4_000, 192_001)
CHANNELS = range(1, 9)
USABLE_SHARE = 0.5

Samples = npt.NDArray[np.float32]
_BLOCK_FRAMES = 65_536
_FRAMES_UNKNOWN = 2**63 - 1
# Writers that cannot go back to the header leave a size like these: ffmpeg 2**32-1, arecord 2**31, sox 0x7ffff000.
_SIZE_PLACEHOLDER = 0x7FFFF000

_CONTAINERS = re.compile(
    rb"""(?P<WAV>RIF[FX] .{4} WAVE | RF64 .{4} WAVE) | (?P<AIFF>FORM .{4} AIF[FC]) | (?P<AU>\.snd) | (?P<FLAC>fLaC) | (?P<Ogg>OggS)
    | (?P<MP3>\xff [\xe2-\xe7\xf2-\xf7\xfa-\xff] [^\xf0-\xff]) | (?P<AAC>\xff [\xf0\xf1\xf8\xf9] | ADIF) | (?P<MP4>.{4} ftyp)
    | (?P<WebM>\x1a\x45\xdf\xa3) | (?P<WMA>\x30\x26\xb2\x75\x8e\x66\xcf\x11) | (?P<AMR>\#!AMR) | (?P<CAF>caff) | (?P<AC3>\x0b\x77)
    | (?P<AVI>RIFF .{4} AVI\x20) | (?P<WavPack>wvpk) | (?P<Wave64>riff\x2e\x91\xcf\x11) | (?P<MIDI>MThd) | (?P<APE>MAC\x20)""",
    re.DOTALL | re.VERBOSE,
)
_NEXT_STREAM = {"FLAC": re.compile(rb"(?P<FLAC>fLaC[\x00\x80]\x00\x00\x22)"), "Ogg": re.compile(rb"(?P<Ogg>OggS\x00[\x02\x03\x06\x07])")}
_READABLE = ("WAV", "AIFF", "AU", "FLAC", "Ogg", "MP3")
_XING_FRAMES = re.compile(rb".{13,40}(Xing|Info)...[\x01\x03\x05\x07\x09\x0b\x0d\x0f]", re.DOTALL)


@dataclass(frozen=True, eq=False)
class Recording:
    """Mono samples at the asked rate, the recording's duration before resampling, and what the reader should know."""

    samples: Samples
    seconds: float
    warnings: tuple[str, ...] = ()


class _Forward(sf.SoundFile):  # type: ignore[misc]
    """A sound file that is only read forwards: soundfile would seek after each block, which costs MP3 its decoder state."""

    def seekable(self) -> bool:
        return False


def decode_audio(content: bytes, sampling_rate: int, *, max_seconds: float = 3600.0) -> Recording:
    """Return the recording in an encoded cell, mixed to mono and resampled, or raise its RowError."""
    if not content:
        _fail("empty_audio", "the cell holds zero bytes")
    if len(content) > MAX_ENCODED_BYTES:
        _fail("audio_too_large", f"the cell holds {len(content):,} bytes; at most {MAX_ENCODED_BYTES:,} are decoded")
    content = _without_id3(content)
    kind = _identify(content)
    source = io.BytesIO(content)
    with _open(source, content, kind) as sound:
        _check_layout(sound.samplerate, sound.channels)
        samples, frames, broken = _decode(sound, sampling_rate, max_seconds)
        share = _share_decoded(sound, content, kind, frames=frames, broken=broken)
        seconds = frames / sound.samplerate
    _check_all_was_read(content, kind, source.tell())
    return Recording(samples, seconds, _judge_length(samples.size, share, broken=broken))


def _fail(code: str, message: str) -> NoReturn:
    raise RowError("input", code, message) from None


def _without_id3(content: bytes) -> bytes:
    """Drop a leading ID3v2 tag: it hides what follows, and libsndfile loses the end of a WAV that has one."""
    if content[:3] != b"ID3" or len(content) < 10:
        return content
    size = sum((byte & 0x7F) << shift for byte, shift in zip(content[6:10], (21, 14, 7, 0), strict=True))
    return content[10 + size + (10 if content[5] & 0x10 else 0) :]


def _identify(content: bytes) -> str:
    """Name the container by its first bytes; the many loosely marked formats that libsndfile knows are never tried."""
    match = _CONTAINERS.match(content)
    if not match or not match.lastgroup:
        _fail("undecodable_audio", "the bytes are not audio of any known format")
    if match.lastgroup not in _READABLE:
        _fail("unsupported_audio", f"the bytes are {match.lastgroup}, which is not read here; convert it to WAV, FLAC, Ogg or MP3")
    return match.lastgroup


def _open(source: io.BytesIO, content: bytes, kind: str) -> sf.SoundFile:
    tag, channels, rate = _fields(content, "HHI", _chunks(content).get(b"fmt ", (len(content), 0))[0]) or (1, 1, RATES[0])
    if kind == "WAV":  # libsndfile refuses the worst rates and channel counts without saying why
        _check_layout(rate, channels)
    try:
        return _Forward(source)
    except sf.SoundFileError:
        if kind == "WAV" and tag not in (1, 3, 0xFFFE):
            _fail("unsupported_audio", f"the WAV's encoding, format tag 0x{tag:04x}, is not read here")
        if kind == "Ogg" and not re.search(rb"\x01vorbis|OpusHead", content[:64]):
            _fail("unsupported_audio", "the Ogg file holds neither Vorbis nor Opus, which are what is read here")
        _fail("undecodable_audio", f"the bytes begin like {kind} but cannot be opened as such")


def _fields(content: bytes, layout: str, at: int) -> tuple[int, ...] | None:
    """Read numbers in the byte order of the file, or nothing where it ends before them."""
    order = "<" if content[:4] in (b"RIFF", b"RF64") else ">"
    return struct.unpack_from(order + layout, content, at) if at + struct.calcsize(order + layout) <= len(content) else None


def _chunks(content: bytes) -> dict[bytes, tuple[int, int]]:
    """Return where each RIFF or FORM chunk starts and the size it declares, up to the samples, in a bounded number of steps."""
    found: dict[bytes, tuple[int, int]] = {}
    at = 12
    for _ in range(256):
        size = _fields(content, "I", at + 4)
        if size is None or b"data" in found or b"SSND" in found:
            break
        found.setdefault(content[at : at + 4], (at + 8, size[0]))
        at += 8 + size[0] + size[0] % 2
    return found


def _check_layout(rate: int, channels: int) -> None:
    if rate not in RATES:
        _fail("audio_rate", f"the header declares {rate:,} Hz; {RATES[0]:,} to {RATES[-1]:,} Hz are decoded")
    if channels not in CHANNELS:
        _fail("audio_channels", f"the header declares {channels:,} channels; {CHANNELS[0]} to {CHANNELS[-1]} are decoded")


def _check_length(frames: int, sound: sf.SoundFile, max_seconds: float) -> None:
    if frames > max_seconds * sound.samplerate:
        _fail("audio_too_long", f"the recording lasts {frames / sound.samplerate:,.0f} s or more; at most {max_seconds:,.0f} s are decoded")
    if frames * sound.channels * 4 > MAX_DECODED_BYTES:
        _fail("audio_too_large", f"the recording decodes to more than {MAX_DECODED_BYTES:,} bytes")


def _decode(sound: sf.SoundFile, sampling_rate: int, max_seconds: float) -> tuple[Samples, int, bool]:
    """Return the samples at the asked rate, how many frames they came from, and whether the decoder then met an error."""
    if sound.frames != _FRAMES_UNKNOWN:
        _check_length(sound.frames, sound, max_seconds)
    resample = _resampler(sound.samplerate, sampling_rate)
    block = np.empty((_BLOCK_FRAMES, sound.channels), np.float32)
    # A bytearray grows in place; joining a list of blocks would hold the samples twice.
    samples, frames, broken, count = bytearray(), 0, False, -1
    while count and not broken:
        count, broken = _read_block(sound, block, done=frames)
        frames += count
        _check_length(frames, sound, max_seconds)
        samples += _finite(resample(_mono(block[:count]), broken or not count)).tobytes()
    return np.frombuffer(samples, np.float32), frames, broken


def _read_block(sound: sf.SoundFile, block: Samples, *, done: int) -> tuple[int, bool]:
    """Fill the block; return how many frames were decoded and whether the decoder then met an error."""
    try:
        return len(sound.read(out=block)), False
    except sf.SoundFileError:
        # libsndfile cannot tell where it is in the ADPCM of telephone exchanges.
        return (sound.tell() - done if sf.SoundFile.seekable(sound) else 0), True


def _mono(block: Samples) -> Samples:
    _finite(block)
    return block[:, 0] if block.shape[1] == 1 else block.mean(axis=1, dtype=np.float64).astype(np.float32)


def _finite(samples: Samples) -> Samples:
    if not np.isfinite(samples).all():
        _fail("non_finite_audio", "the recording holds samples that are NaN or infinite")
    return samples


def _resampler(rate: int, wanted: int) -> Callable[[Samples, bool], Samples]:
    if rate == wanted:
        return lambda samples, last: samples
    stream = soxr.ResampleStream(rate, wanted, 1, dtype="float32", quality="HQ")
    return lambda samples, last: stream.resample_chunk(samples, last=last)


def _check_all_was_read(content: bytes, kind: str, position: int) -> None:
    """Refuse joined files, of which libsndfile returns the first part; in FLAC and Ogg it reads ahead, beyond where the next one starts."""
    rest = _NEXT_STREAM[kind].search(content, 4) if kind in _NEXT_STREAM else _CONTAINERS.match(content, position)
    if rest and rest.lastgroup == kind:
        _fail("unsupported_audio", f"the {kind} goes on after its declared or estimated end, as joined files do; convert it to FLAC")


def _share_decoded(sound: sf.SoundFile, content: bytes, kind: str, *, frames: int, broken: bool) -> float | None:
    """Return the share of its declared length that a recording has, or None if it breaks off without having declared one."""
    if (kind == "FLAC" or (kind == "MP3" and _XING_FRAMES.match(content))) and sound.frames not in (0, _FRAMES_UNKNOWN):
        return frames / int(sound.frames)
    if broken or (kind == "Ogg" and not _ends_ogg_stream(content)):
        return None
    return _share_present(content, kind)


def _share_present(content: bytes, kind: str) -> float:
    """Compare the bytes that are there with the declared size, from which libsndfile silently departs in WAV, AIFF and AU."""
    chunks = _chunks(content) if kind in ("WAV", "AIFF") else {}
    start, size = chunks.get(b"data") or chunks.get(b"SSND") or (0, 0)
    if kind == "AU":
        start, size = _fields(content, "II", 4) or (0, 0)
    elif content[:4] == b"RF64":
        (size,) = _fields(content, "Q", chunks.get(b"ds64", (0, 0))[0] + 8) or (0,)
    return 1.0 if size == 0 or size >= _SIZE_PLACEHOLDER else min(1.0, max(0, len(content) - start) / size)


def _ends_ogg_stream(content: bytes) -> bool:
    """Whether the last page is whole and carries the flag for the end of its stream."""
    page = content.rfind(b"OggS")
    header = content[page : page + 27]
    if len(header) < 27 or not header[5] & 0x04:
        return False
    body = page + 27 + header[26]
    return body + sum(content[page + 27 : body]) <= len(content)


def _judge_length(count: int, share: float | None, *, broken: bool) -> tuple[str, ...]:
    """Return the warning for a recording that breaks off; raise if nothing, or too little of what it declares, was decoded."""
    if share is not None and share < USABLE_SHARE:
        _fail("truncated_audio", f"the recording breaks off after {share:.0%} of what it declares")
    if not count and broken:
        _fail("undecodable_audio", "the recording's first samples cannot be decoded")
    if not count:
        _fail("empty_audio", "the recording holds no samples")
    return () if share == 1 else ("truncated_media",)
