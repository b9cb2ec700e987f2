"""What the native transformers pipeline says of the example models, one row at a time: what our predictions are held against."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import soundfile
import soxr
import torch
import transformers

# Two threads of torch on a machine that others use too are dozens of times slower than one.
torch.set_num_threads(1)


@lru_cache
def classifier(checkpoint: Path) -> Any:
    """Return the native text classification pipeline of a checkpoint, giving all labels."""
    return transformers.pipeline("text-classification", model=str(checkpoint), top_k=None, device="cpu")


@lru_cache
def recognizer(checkpoint: Path) -> Any:
    """Return the native speech recognition pipeline of a checkpoint."""
    return transformers.pipeline("automatic-speech-recognition", model=str(checkpoint), device="cpu")


def labels(checkpoint: Path, texts: Sequence[str]) -> list[list[dict[str, Any]]]:
    """Return the labels with their scores, best first, of each text by itself."""
    return [classifier(checkpoint)([text], truncation=True)[0] for text in texts]


def transcripts(checkpoint: Path, files: Sequence[Path]) -> list[str]:
    """Return the transcript of each file by itself, decoded and resampled here."""
    return [recognizer(checkpoint)(waveform(file))["text"] for file in files]


def waveform(file: Path | BinaryIO) -> dict[str, Any]:
    """Return a file as the native pipeline takes it: mono, at 16 kHz."""
    samples, rate = soundfile.read(file, dtype="float32", always_2d=True)
    mono = samples.mean(axis=1)
    return {"raw": mono if rate == 16_000 else soxr.resample(mono, rate, 16_000, quality="HQ"), "sampling_rate": 16_000}
