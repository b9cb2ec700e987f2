"""Recordings of 2 to 30 seconds in the formats and at the rates that calls come in, drawn by a seed."""

import io

import numpy as np
import soundfile
import soxr
from make_keypad import draw_presses, tones

FORMATS = (
    ("WAV", "PCM_16", 8_000),
    ("FLAC", "PCM_16", 16_000),
    ("WAV", "PCM_16", 44_100),
    ("FLAC", "PCM_16", 48_000),
    ("MP3", "MPEG_LAYER_III", 22_050),
)


def recordings(count: int, seed: int = 21) -> list[bytes]:
    """Return encoded recordings of keypad tones over noise; every third one is in stereo."""
    rng = np.random.default_rng(seed)
    return [encoded(rng, float(seconds), number) for number, seconds in enumerate(rng.uniform(2, 30, count))]


def encoded(rng: np.random.Generator, seconds: float, number: int) -> bytes:
    """Return one recording as a file."""
    container, subtype, rate = FORMATS[number % len(FORMATS)]
    signal = 0.01 * rng.standard_normal(round(seconds * rate))
    at = 0
    while at < len(signal):
        presses = draw_presses(rng)
        heard = tones(presses, rate, seconds=presses[-1].end)[: len(signal) - at]
        signal[at : at + len(heard)] += 0.5 * heard
        at += len(heard) + round(rng.uniform(0.2, 2.0) * rate)
    channels = 2 if number % 3 == 0 else 1
    file = io.BytesIO()
    soundfile.write(file, np.repeat(signal[:, None], channels, axis=1), rate, format=container, subtype=subtype)
    return file.getvalue()


def decoded(recording: bytes, rate: int) -> np.ndarray:
    """Return a recording as a hand-written loop would decode it: mixed to mono, and brought to a rate."""
    samples, own = soundfile.read(io.BytesIO(recording), dtype="float32", always_2d=True)
    mixed: np.ndarray = soxr.resample(samples.mean(axis=1), own, rate)
    return mixed
