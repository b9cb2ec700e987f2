"""Builds audio cells for tests: good ones in any encoding, and one of every kind that must become a row error.

Knows nothing of sparkcoil. All of it is made from fixed seeds; no file is read.
"""

import base64
import gzip
import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile as sf  # type: ignore[import-untyped]

# Where libsndfile's PCM WAV holds what the bad ones get wrong.
WAV_TAG, WAV_CHANNELS, WAV_RATE, WAV_DATA_SIZE, WAV_HEADER = 20, 22, 24, 40, 44
# The last 36 bits of these five bytes count a FLAC's samples; the first four hold the end of its sample width.
FLAC_COUNT, FLAC_HEADER = 21, 42

SECRET = "Der Patient Ottokar Quirlewitz klagt seit Montag ueber Ohrensausen. "


def tone(seconds: float, rate: int = 16000, *, frequency: float = 440.0) -> npt.NDArray[np.float64]:
    """Return a sine of half the full scale."""
    return 0.5 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)


def encode(samples: npt.ArrayLike, rate: int = 16000, *, format: str = "WAV", subtype: str | None = None) -> bytes:
    """Return the samples, one column a channel, as a file of the format."""
    target = io.BytesIO()
    sf.write(target, np.asarray(samples), rate, format=format, subtype=subtype)
    return target.getvalue()


def good_audio(
    seconds: float,
    rate: int = 16000,
    channels: int = 1,
    format: str = "WAV",
    subtype: str | None = None,
    frequency: float = 440.0,
) -> bytes:
    """Return a file holding a sine, the same in every channel."""
    samples = np.repeat(tone(seconds, rate, frequency=frequency)[:, None], channels, axis=1)
    return encode(samples, rate, format=format, subtype=subtype)


def in_every_form(content: bytes, rate: int, file: Path) -> list[dict[str, Any]]:
    """Return a recording as rows, one for each form in which it may arrive from Spark."""
    file.write_bytes(content)
    samples = sf.read(file, dtype="float32", always_2d=True)[0].mean(axis=1)
    return [
        {"audio": {"bytes": content, "size": len(content)}},
        {"audio": {"path": str(file).encode(), "size": 9}},
        {"audio": {"path": f"file:{file}".encode(), "size": 9}},
        {"audio": {"path": base64.b64encode(content), "size": 9}},
        {"audio": {"bytes": content, "path": b"clip.wav", "size": len(content)}},
        {"audio": samples, "sampling_rate": rate},
        {"audio": samples.astype(np.float64), "sampling_rate": float(rate)},
        {"audio": {"array": samples, "sampling_rate": rate}},
    ]


def patched(content: bytes, at: int, layout: str, *values: int) -> bytes:
    """Return the content with packed numbers written over it."""
    new = struct.pack(layout, *values)
    return content[:at] + new + content[at + len(new) :]


def cut(content: bytes, share: float) -> bytes:
    """Return the first part of the content, as a broken download leaves it."""
    return content[: round(len(content) * share)]


def flac_claiming(count: int, content: bytes) -> bytes:
    """Return the FLAC with another number of samples declared; 0 stands for unknown."""
    return patched(content, FLAC_COUNT, ">BI", content[FLAC_COUNT] & 0xF0 | count >> 32, count & 0xFFFFFFFF)


def wav_layout(*, rate: int = 16000, channels: int = 1) -> bytes:
    """Return a WAV of 100 silent frames whose header is true to itself, whatever it declares."""
    width, size = 2 * channels, 200 * channels
    layout = struct.pack("<IHHIIHH", 16, 1, channels, rate, rate * width & 0xFFFFFFFF, width & 0xFFFF, 16)
    return b"RIFF" + struct.pack("<I", 36 + size) + b"WAVEfmt " + layout + b"data" + struct.pack("<I", size) + bytes(size)


def noise(count: int) -> bytes:
    return np.random.default_rng(7).bytes(count)


def zipped() -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr(zipfile.ZipInfo("clip.wav"), good_audio(0.5))
    return target.getvalue()


def spoilt(value: float, *, subtype: str = "FLOAT") -> bytes:
    """Return a WAV with one sample in the middle replaced."""
    samples = tone(0.5)
    samples[4000] = value
    return encode(samples, subtype=subtype)


def ogg_of(codec: bytes) -> bytes:
    """Return the first page of an Ogg stream of another codec."""
    return b"OggS" + struct.pack("<BBqIIIBB", 0, 2, 0, 1, 0, 0, 1, 80) + codec.ljust(80, b"\0")


def empty_chunks() -> bytes:
    return b"RIFF" + struct.pack("<I", 2**31) + b"WAVE" + (b"junk" + bytes(4)) * 50_000


BAD_AUDIO: dict[str, tuple[Callable[[], bytes], str]] = {
    "zero_bytes": (lambda: b"", "empty_audio"),
    "wav_header_alone": (lambda: encode([]), "empty_audio"),
    "flac_without_samples": (lambda: flac_claiming(0, good_audio(0.5, format="FLAC"))[:FLAC_HEADER], "empty_audio"),
    "one_byte": (lambda: b"R", "undecodable_audio"),
    "text": (lambda: (SECRET * 50).encode(), "undecodable_audio"),
    "utf16_text": (lambda: (SECRET * 50).encode("utf-16"), "undecodable_audio"),
    "path_of_a_file": (lambda: b"/dbfs/calls/Ottokar_Quirlewitz.wav", "undecodable_audio"),
    "html_of_a_failed_download": (lambda: b"<!DOCTYPE html><html><body>403 " + SECRET.encode(), "undecodable_audio"),
    "base64_of_a_wav": (lambda: base64.b64encode(good_audio(0.5)), "undecodable_audio"),
    "png": (lambda: b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + noise(2000), "undecodable_audio"),
    "random_bytes": (lambda: noise(20_000), "undecodable_audio"),
    "zeros": (lambda: bytes(20_000), "undecodable_audio"),
    "samples_without_a_header": (lambda: good_audio(0.5)[WAV_HEADER:], "undecodable_audio"),
    "zip_of_a_wav": (zipped, "undecodable_audio"),
    "gzip_of_a_wav": (lambda: gzip.compress(good_audio(0.5), mtime=0), "undecodable_audio"),
    "id3_tag_alone": (lambda: b"ID3\3\0\0\0\0\1\0" + bytes(128), "undecodable_audio"),
    "wav_cut_in_the_fmt_chunk": (lambda: good_audio(0.5)[:30], "undecodable_audio"),
    "wav_cut_before_the_data_chunk": (lambda: good_audio(0.5)[:36], "undecodable_audio"),
    "wav_of_empty_chunks": (empty_chunks, "undecodable_audio"),
    "riff_then_text": (lambda: b"RIFF\0\0\1\0WAVE" + SECRET.encode(), "undecodable_audio"),
    "flac_magic_then_random": (lambda: b"fLaC" + noise(2000), "undecodable_audio"),
    "ogg_magic_then_random_vorbis": (lambda: ogg_of(b"\1vorbis") + noise(2000), "undecodable_audio"),
    "mp4_magic_then_random": (lambda: b"\0\0\0\x20ftypM4A \0\0\0\0M4A mp42isom\0\0\0\0" + noise(2000), "undecodable_audio"),
    "aac_magic_then_random": (lambda: b"\xff\xf1\x50\x80\x2e\x7f\xfc" + noise(2000), "undecodable_audio"),
    "webm_magic_then_random": (lambda: b"\x1a\x45\xdf\xa3" + noise(2000), "undecodable_audio"),
    "playlist": (lambda: b"#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1:9/" + SECRET.replace(" ", "_").encode(), "undecodable_audio"),
    "list_of_files_for_ffmpeg": (lambda: b"ffconcat version 1.0\nfile /etc/hostname\n", "undecodable_audio"),
    "midi": (lambda: b"MThd\0\0\0\6\0\1\0\1\0\x60MTrk" + noise(200), "unsupported_audio"),
    "wma_in_a_wav": (lambda: patched(good_audio(0.5), WAV_TAG, "<H", 0x161), "unsupported_audio"),
    "speex_in_an_ogg": (lambda: ogg_of(b"Speex   1.2") + noise(2000), "unsupported_audio"),
    "oggs_joined": (lambda: good_audio(0.5, format="OGG") * 2, "unsupported_audio"),
    "long_oggs_joined": (lambda: good_audio(20, format="OGG") * 2, "unsupported_audio"),
    "flacs_joined": (lambda: good_audio(0.5, format="FLAC") * 2, "unsupported_audio"),
    "mp3s_joined": (lambda: good_audio(0.5, format="MP3") * 2, "unsupported_audio"),
    "wav_of_0_hz": (lambda: wav_layout(rate=0), "audio_rate"),
    "wav_of_1_hz": (lambda: wav_layout(rate=1), "audio_rate"),
    "wav_of_2_to_the_31_hz": (lambda: wav_layout(rate=2**31), "audio_rate"),
    "wav_of_2_to_the_32_hz": (lambda: wav_layout(rate=2**32 - 1), "audio_rate"),
    "wav_of_no_channels": (lambda: wav_layout(channels=0), "audio_channels"),
    "wav_of_1024_channels": (lambda: wav_layout(channels=1024), "audio_channels"),
    "wav_of_65535_channels": (lambda: wav_layout(channels=65535), "audio_channels"),
    "flac_claiming_2_to_the_36_samples": (lambda: flac_claiming(2**36 - 1, good_audio(1, format="FLAC")), "audio_too_long"),
    "flac_of_two_hours_of_silence": (lambda: encode(np.zeros(7200 * 4000, np.int16), 4000, format="FLAC"), "audio_too_long"),
    "nan_in_a_float_wav": (lambda: spoilt(np.nan), "non_finite_audio"),
    "infinity_in_a_float_wav": (lambda: spoilt(-np.inf), "non_finite_audio"),
    "double_wav_beyond_float32": (lambda: spoilt(1e300, subtype="DOUBLE"), "non_finite_audio"),
    "wav_cut_to_30_percent": (lambda: cut(good_audio(2), 0.3), "truncated_audio"),
    "aiff_cut_to_30_percent": (lambda: cut(good_audio(2, format="AIFF"), 0.3), "truncated_audio"),
    "au_cut_to_30_percent": (lambda: cut(good_audio(2, format="AU"), 0.3), "truncated_audio"),
    "rf64_cut_to_30_percent": (lambda: cut(good_audio(2, format="RF64"), 0.3), "truncated_audio"),
    "flac_cut_to_30_percent": (lambda: cut(good_audio(10, format="FLAC"), 0.3), "truncated_audio"),
    "mp3_cut_to_30_percent": (lambda: cut(good_audio(10, format="MP3"), 0.3), "truncated_audio"),
}
