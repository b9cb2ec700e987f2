"""Calls in which groups of keypad tones stand for speech, with transcripts: what is said, and when, is known to the millisecond.
Knows nothing of models, Spark or tables other than its own labels."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import typer
from make_keypad import Clip, Press, draw_noise, encode, tones

NAMES = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "star",
    "hash",
    "alpha",
    "bravo",
    "charlie",
    "delta",
]
WORDS = dict(zip("0123456789*#ABCD", NAMES, strict=True))

SAMPLING_RATES = {8000: 0.5, 16000: 0.3, 22050: 0.1, 44100: 0.1}
FORMATS = {("WAV", "PCM_16"): 0.4, ("WAV", "FLOAT"): 0.1, ("FLAC", "PCM_16"): 0.4, ("FLAC", "PCM_24"): 0.1}
STEREO_SHARE = 0.2
# Most calls fit into what the model hears at once; of the others windows are joined.
LONG_SHARE = 0.3
GROUPS, LONG_GROUPS = (1, 4), (5, 41)
# In seconds. A silence is shorter than what neighbouring windows share: nothing else tells one group from the next where they are joined.
KEY, BETWEEN_KEYS, BETWEEN_GROUPS = (0.08, 0.16), (0.06, 0.14), (0.4, 0.9)
SEGMENT = pa.struct([("text", pa.string()), ("start", pa.float64()), ("end", pa.float64())])
LABELS_SCHEMA = pa.schema(
    [
        ("file", pa.string()),
        ("transcript", pa.string()),
        ("groups", pa.list_(SEGMENT)),
        ("seconds", pa.float64()),
        ("sampling_rate", pa.int32()),
        ("channels", pa.int32()),
    ]
)


@dataclass(frozen=True)
class Group:
    """Keys pressed one after the other."""

    presses: tuple[Press, ...]

    @property
    def text(self) -> str:
        return " ".join(WORDS[press.key] for press in self.presses)

    @property
    def start(self) -> float:
        return self.presses[0].start

    @property
    def end(self) -> float:
        return self.presses[-1].end


@dataclass(frozen=True)
class Call:
    """One recording: samples are frames x channels."""

    groups: tuple[Group, ...]
    samples: np.ndarray
    sampling_rate: int

    @property
    def transcript(self) -> str:
        return " ".join(group.text for group in self.groups)

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.sampling_rate


def draw_group(rng: np.random.Generator, start: float) -> Group:
    """2 to 5 keys from `start` on."""
    presses: list[Press] = []
    for key in rng.choice(list(WORDS), rng.integers(2, 6)).tolist():
        end = start + rng.uniform(*KEY)
        presses.append(Press(key, start, end, level=rng.uniform(-4, 0), twist=rng.uniform(-3, 3)))
        start = end + rng.uniform(*BETWEEN_KEYS)
    return Group(tuple(presses))


def draw_groups(rng: np.random.Generator, count: int) -> tuple[Group, ...]:
    """So many groups, with a silence before each."""
    groups: list[Group] = []
    for _ in range(count):
        groups.append(draw_group(rng, (groups[-1].end if groups else 0.0) + rng.uniform(*BETWEEN_GROUPS)))
    return tuple(groups)


def draw_rate(rng: np.random.Generator) -> int:
    """A sampling rate, those of telephones most often."""
    return int(rng.choice(list(SAMPLING_RATES), p=list(SAMPLING_RATES.values())))


def recorded(rng: np.random.Generator, clean: np.ndarray, sampling_rate: int) -> np.ndarray:
    """The mono signal as a telephone or a room would have it: one or two channels, at some level, with noise."""
    # In phase on both sides, so that mixing down to mono cancels nothing.
    gains = rng.uniform(0.5, 1.0, size=2 if rng.random() < STEREO_SHARE else 1)
    samples = gains * (clean[:, None] + draw_noise(rng, sampling_rate, shape=(len(clean), len(gains))))
    samples *= 10 ** (-rng.uniform(1, 20) / 20) / np.abs(samples).max()
    return samples.astype(np.float32)


def draw_call(rng: np.random.Generator, count: int) -> Call:
    """A recording of so many groups."""
    groups, sampling_rate = draw_groups(rng, count), draw_rate(rng)
    presses = [press for group in groups for press in group.presses]
    clean = tones(presses, sampling_rate, seconds=groups[-1].end + rng.uniform(*BETWEEN_GROUPS))
    return Call(groups, recorded(rng, clean, sampling_rate), sampling_rate)


def write_call(rng: np.random.Generator, path: Path) -> dict[str, object]:
    """Writes a call in some format, under the path with the format's suffix, and returns its label."""
    container, subtype = rng.choice(list(FORMATS), p=list(FORMATS.values())).tolist()
    call = draw_call(rng, int(rng.integers(*(LONG_GROUPS if rng.random() < LONG_SHARE else GROUPS))))
    path = path.with_suffix(f".{container.lower()}")
    presses = tuple(press for group in call.groups for press in group.presses)
    path.write_bytes(encode(Clip(presses, call.samples, call.sampling_rate), container, subtype=subtype))
    return {
        "file": path.name,
        "transcript": call.transcript,
        "groups": [{"text": group.text, "start": group.start, "end": group.end} for group in call.groups],
        "seconds": call.seconds,
        "sampling_rate": call.sampling_rate,
        "channels": call.samples.shape[1],
    }


def write_recordings(out_dir: Path, *, calls: int, seed: int) -> pa.Table:
    """Writes the calls and their labels, and returns the labels."""
    folder = out_dir / "recordings"
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob("call_*"):
        stale.unlink()
    rows = [write_call(np.random.default_rng([seed, number]), folder / f"call_{number:04d}") for number in range(1, calls + 1)]
    labels = pa.Table.from_pylist(rows, schema=LABELS_SCHEMA)
    pq.write_table(labels, out_dir / "labels.parquet")
    return labels


def main(out_dir: Path, calls: Annotated[int, typer.Option(min=1)] = 150, seed: Annotated[int, typer.Option(min=0)] = 1) -> None:
    """Makes recordings of calls and labels.parquet, the same ones for the same seed."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    labels = write_recordings(out_dir, calls=calls, seed=seed)
    size = sum(path.stat().st_size for path in (out_dir / "recordings").iterdir())
    logging.getLogger("make_calls").info("%d calls, %.1f MB, in %s", labels.num_rows, size / 1e6, out_dir)


if __name__ == "__main__":
    typer.run(main)
