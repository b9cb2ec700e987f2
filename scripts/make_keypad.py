"""Phone-keypad recordings with their keys: audio that can be made anywhere, and whose right transcript is known.
Knows nothing of models, Spark or tables other than its own labels."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile
import typer

LOW_HZ = (697, 770, 852, 941)
HIGH_HZ = (1209, 1336, 1477, 1633)
ROWS = ("123A", "456B", "789C", "*0#D")
TONES = {key: (low, high) for low, row in zip(LOW_HZ, ROWS, strict=True) for high, key in zip(HIGH_HZ, row, strict=True)}
KEYS = "".join(sorted(TONES))

# Telephone rates and compact formats are the likely ones, which also keeps 400 clips well under 60 MB.
SAMPLING_RATES = {8000: 0.3, 16000: 0.3, 11025: 0.1, 22050: 0.1, 44100: 0.1, 48000: 0.1}
FORMATS = {("WAV", "PCM_16"): 0.4, ("WAV", "PCM_24"): 0.15, ("WAV", "FLOAT"): 0.15, ("FLAC", "PCM_16"): 0.2, ("FLAC", "PCM_24"): 0.1}
STEREO_SHARE = 0.3
REPEAT_SHARE = 0.2
DUPLICATE_SHARE = 0.03
RAMP_SECONDS = 0.004
LABELS_SCHEMA = pa.schema([("file", pa.string()), ("keys", pa.string()), ("sampling_rate", pa.int32()), ("channels", pa.int32())])


@dataclass(frozen=True)
class Press:
    """One key held from start to end, in seconds; level and twist (high tone over low) in dB."""

    key: str
    start: float
    end: float
    level: float = 0.0
    twist: float = 0.0


@dataclass(frozen=True)
class Clip:
    """One recording: samples are frames x channels."""

    presses: tuple[Press, ...]
    samples: np.ndarray
    sampling_rate: int

    @property
    def keys(self) -> str:
        return "".join(press.key for press in self.presses)


def draw_keys(rng: np.random.Generator) -> str:
    """3 to 12 keys, where a key is often pressed again, since repeats are what CTC decoding gets wrong first."""
    keys = [str(rng.choice(list(KEYS)))]
    for _ in range(rng.integers(2, 12)):
        keys.append(keys[-1] if rng.random() < REPEAT_SHARE else str(rng.choice(list(KEYS))))
    return "".join(keys)


def draw_presses(rng: np.random.Generator) -> tuple[Press, ...]:
    """The presses of one clip, after a leading silence, with a gap between any two."""
    presses: list[Press] = []
    start = rng.uniform(0.05, 0.4)
    for key in draw_keys(rng):
        end = start + rng.uniform(0.07, 0.16)
        presses.append(Press(key, start, end, level=rng.uniform(-4, 0), twist=rng.uniform(-3, 3)))
        start = end + rng.uniform(0.05, 0.14)
    return tuple(presses)


def tones(presses: Sequence[Press], sampling_rate: int, *, seconds: float) -> np.ndarray:
    """The noiseless mono signal of the presses, with a peak of at most one."""
    signal = np.zeros(round(seconds * sampling_rate))
    for press in presses:
        first, last = round(press.start * sampling_rate), round(press.end * sampling_rate)
        time = np.arange(last - first) / sampling_rate
        low, high = (np.sin(2 * np.pi * hz * time) for hz in TONES[press.key])
        # A tone cut off sharply clicks over the whole spectrum.
        ramp = np.minimum(1, np.minimum(time, time[::-1]) / RAMP_SECONDS)
        weight = 10 ** (press.twist / 20)
        signal[first:last] = 10 ** (press.level / 20) * ramp * (low + weight * high) / (1 + weight)
    return signal


def draw_noise(rng: np.random.Generator, sampling_rate: int, *, shape: tuple[int, int]) -> np.ndarray:
    """Hiss of its own on every channel and mains hum, 8 to 45 dB under the tones."""
    hiss = rng.standard_normal(shape) * 0.5 * 10 ** (-rng.uniform(8, 45) / 20)
    hum = np.sin(2 * np.pi * 50 * np.arange(shape[0]) / sampling_rate + rng.uniform(0, 6.3)) * 10 ** (-rng.uniform(15, 60) / 20)
    return hiss + hum[:, None]


def draw_rate(rng: np.random.Generator, shares: Mapping[int, float]) -> int:
    """One of the sampling rates, each as often as is said."""
    return int(rng.choice(list(shares), p=list(shares.values())))


def draw_format(rng: np.random.Generator, shares: Mapping[tuple[str, str], float]) -> tuple[str, str]:
    """A container with a subtype, each as often as is said."""
    container, subtype = rng.choice(list(shares), p=list(shares.values())).tolist()
    return container, subtype


def recorded(rng: np.random.Generator, clean: np.ndarray, sampling_rate: int, *, stereo_share: float) -> np.ndarray:
    """The mono signal as a telephone or a room would have it: one or two channels, at some level, with noise."""
    # In phase on both sides, so that mixing down to mono cancels nothing.
    gains = rng.uniform(0.5, 1.0, size=2 if rng.random() < stereo_share else 1)
    samples = gains * (clean[:, None] + draw_noise(rng, sampling_rate, shape=(len(clean), len(gains))))
    samples *= 10 ** (-rng.uniform(1, 20) / 20) / np.abs(samples).max()
    return samples.astype(np.float32)


def draw_clip(rng: np.random.Generator) -> Clip:
    """A recording of a random key sequence, at a random rate, level and noise."""
    sampling_rate = draw_rate(rng, SAMPLING_RATES)
    presses = draw_presses(rng)
    clean = tones(presses, sampling_rate, seconds=presses[-1].end + rng.uniform(0.05, 0.4))
    return Clip(presses, recorded(rng, clean, sampling_rate, stereo_share=STEREO_SHARE), sampling_rate)


def encode(clip: Clip, container: str, *, subtype: str) -> bytes:
    """The bytes of an audio file, the same ones whenever they are made."""
    buffer = BytesIO()
    soundfile.write(buffer, clip.samples, clip.sampling_rate, format=container, subtype=subtype)
    encoded = buffer.getvalue()
    if subtype == "FLOAT":
        # libsndfile writes the time of day into the PEAK chunk: name, size, version, then time, four bytes each.
        time_at = encoded.index(b"PEAK") + 12
        encoded = encoded[:time_at] + bytes(4) + encoded[time_at + 4 :]
    return encoded


def draw_sources(clips: int, *, seed: int) -> list[int]:
    """For every file the number of its recording; a few numbers come twice, which makes exact duplicates."""
    rng = np.random.default_rng(seed)
    duplicates = round(clips * DUPLICATE_SHARE)
    originals = np.arange(clips - duplicates)
    return rng.permutation(np.concatenate([originals, rng.choice(originals, duplicates, replace=False)])).tolist()


def emptied(folder: Path, pattern: str) -> Path:
    """The folder without what an earlier run has left in it."""
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob(pattern):
        stale.unlink()
    return folder


def write_labels(out_dir: Path, rows: Sequence[Mapping[str, object]], schema: pa.Schema) -> pa.Table:
    """Writes what is known of the files, and returns it."""
    labels = pa.Table.from_pylist([*map(dict, rows)], schema=schema)
    pq.write_table(labels, out_dir / "labels.parquet")
    return labels


def say_what_was_made(script: str, what: str, labels: pa.Table, out_dir: Path, folder: str = "recordings") -> None:
    """Logs how many files there are, and how large."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    size = sum(path.stat().st_size for path in (out_dir / folder).iterdir())
    logging.getLogger(script).info("%d %s, %.1f MB, in %s", labels.num_rows, what, size / 1e6, out_dir)


def write_recordings(out_dir: Path, *, clips: int, seed: int) -> pa.Table:
    """Writes the recordings and their labels, and returns the labels."""
    folder = emptied(out_dir / "recordings", "keypad_*")
    rows = []
    for number, source in enumerate(draw_sources(clips, seed=seed), start=1):
        rng = np.random.default_rng([seed, source])
        container, subtype = draw_format(rng, FORMATS)
        clip = draw_clip(rng)
        path = folder / f"keypad_{number:04d}.{container.lower()}"
        path.write_bytes(encode(clip, container, subtype=subtype))
        rows.append({"file": path.name, "keys": clip.keys, "sampling_rate": clip.sampling_rate, "channels": clip.samples.shape[1]})
    return write_labels(out_dir, rows, LABELS_SCHEMA)


def main(out_dir: Path, clips: Annotated[int, typer.Option(min=1)] = 400, seed: Annotated[int, typer.Option(min=0)] = 1) -> None:
    """Makes phone-keypad recordings and labels.parquet, the same ones for the same seed."""
    say_what_was_made("make_keypad", "recordings", write_recordings(out_dir, clips=clips, seed=seed), out_dir)


if __name__ == "__main__":
    typer.run(main)
