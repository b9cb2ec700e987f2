"""Sounds of machines and alarms with what each is: made of a few lines of arithmetic, no two the same.
Knows nothing of models, Spark or tables other than its own labels."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import typer
from make_calls import FORMATS, SAMPLING_RATES, STEREO_SHARE
from make_keypad import Clip, draw_format, draw_rate, emptied, encode, recorded, say_what_was_made, write_labels

SECONDS = (1.0, 4.0)
LABELS_SCHEMA = pa.schema([("file", pa.string()), ("sound", pa.string()), ("seconds", pa.float64()), ("sampling_rate", pa.int32())])

Sound = Callable[[np.random.Generator, np.ndarray], np.ndarray]
"""Draws a sound at the given times in seconds, with a peak of about one."""


def siren(rng: np.random.Generator, time: np.ndarray) -> np.ndarray:
    """A tone that goes up and down."""
    low, span = rng.uniform(500, 900), rng.uniform(300, 800)
    swing = (1 - np.cos(2 * np.pi * rng.uniform(0.4, 1.2) * time + rng.uniform(0, 6.3))) / 2
    return np.sin(2 * np.pi * np.cumsum(low + span * swing) * (time[1] - time[0]))


def dial_tone(rng: np.random.Generator, time: np.ndarray) -> np.ndarray:
    """Two steady tones, those of a telephone that waits for a number."""
    shift = rng.uniform(0.97, 1.03)
    return (np.sin(2 * np.pi * 350 * shift * time) + np.sin(2 * np.pi * 440 * shift * time)) / 2


def engine(rng: np.random.Generator, time: np.ndarray) -> np.ndarray:
    """A low hum with its overtones, and strokes in it."""
    hertz = rng.uniform(45, 110)
    hum = sum(np.sin(2 * np.pi * hertz * k * time + rng.uniform(0, 6.3)) / k for k in range(1, 9))
    return hum * (1 + 0.4 * np.sin(2 * np.pi * rng.uniform(6, 14) * time)) / 3


def strokes(rng: np.random.Generator, time: np.ndarray, sound: np.ndarray, *, decay: float) -> np.ndarray:
    """The sound each time that something is struck, dying away within `decay` seconds."""
    every = rng.uniform(0.25, 0.6)
    since = (time + rng.uniform(0, every)) % every
    return sound * np.exp(-since / decay)


def knocks(rng: np.random.Generator, time: np.ndarray) -> np.ndarray:
    """Short dull thumps."""
    return strokes(rng, time, np.sin(2 * np.pi * rng.uniform(100, 250) * time), decay=rng.uniform(0.015, 0.03))


def bell(rng: np.random.Generator, time: np.ndarray) -> np.ndarray:
    """Strokes that ring for long, with overtones that are no multiples."""
    hertz = rng.uniform(600, 1200)
    ring = sum(np.sin(2 * np.pi * hertz * ratio * time) / (1 + i) for i, ratio in enumerate((1, 2.76, 5.4)) if hertz * ratio < 3800)
    return strokes(rng, time, ring, decay=rng.uniform(0.15, 0.3))


def beeps(rng: np.random.Generator, time: np.ndarray) -> np.ndarray:
    """One tone, on and off."""
    rate = rng.uniform(2, 5)
    return np.sin(2 * np.pi * rng.uniform(900, 2500) * time) * ((time * rate + rng.uniform()) % 1 < rng.uniform(0.35, 0.6))


def hiss(rng: np.random.Generator, time: np.ndarray) -> np.ndarray:
    """Steam or air that escapes: noise alone, louder and softer."""
    return 0.3 * rng.standard_normal(len(time)) * (1 + 0.3 * np.sin(2 * np.pi * rng.uniform(0.2, 0.8) * time))


SOUNDS: Mapping[str, Sound] = {each.__name__: each for each in (beeps, bell, dial_tone, engine, hiss, knocks, siren)}


def draw_sound(rng: np.random.Generator, name: str) -> Clip:
    """A recording of such a sound, at a random rate, level and noise."""
    rate = draw_rate(rng, SAMPLING_RATES)
    time = np.arange(round(rng.uniform(*SECONDS) * rate)) / rate
    return Clip((), recorded(rng, SOUNDS[name](rng, time), rate, stereo_share=STEREO_SHARE), rate)


def write_recordings(out_dir: Path, *, sounds: int, seed: int) -> pa.Table:
    """Writes the recordings and their labels, and returns the labels."""
    folder = emptied(out_dir / "recordings", "sound_*")
    rows = []
    for number in range(1, sounds + 1):
        rng = np.random.default_rng([seed, number])
        name = str(rng.choice(list(SOUNDS)))
        container, subtype = draw_format(rng, FORMATS)
        clip = draw_sound(rng, name)
        path = folder / f"sound_{number:04d}.{container.lower()}"
        path.write_bytes(encode(clip, container, subtype=subtype))
        rows.append(
            {"file": path.name, "sound": name, "seconds": len(clip.samples) / clip.sampling_rate, "sampling_rate": clip.sampling_rate}
        )
    return write_labels(out_dir, rows, LABELS_SCHEMA)


def main(out_dir: Path, sounds: Annotated[int, typer.Option(min=1)] = 200, seed: Annotated[int, typer.Option(min=0)] = 1) -> None:
    """Makes recordings of sounds and labels.parquet, the same ones for the same seed."""
    say_what_was_made("make_sounds", "sounds", write_recordings(out_dir, sounds=sounds, seed=seed), out_dir)


if __name__ == "__main__":
    typer.run(main)
