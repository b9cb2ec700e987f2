"""Calls in which groups of keypad tones stand for speech, with transcripts: what is said, and when, is known to the millisecond.
Knows nothing of models, Spark or tables other than its own labels."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import typer
from make_keypad import Clip, Press, draw_format, draw_rate, emptied, encode, recorded, say_what_was_made, tones, write_labels

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


def draw_call(rng: np.random.Generator, count: int) -> Call:
    """A recording of so many groups."""
    groups, sampling_rate = draw_groups(rng, count), draw_rate(rng, SAMPLING_RATES)
    presses = [press for group in groups for press in group.presses]
    clean = tones(presses, sampling_rate, seconds=groups[-1].end + rng.uniform(*BETWEEN_GROUPS))
    return Call(groups, recorded(rng, clean, sampling_rate, stereo_share=STEREO_SHARE), sampling_rate)


def write_call(rng: np.random.Generator, path: Path) -> dict[str, object]:
    """Writes a call in some format, under the path with the format's suffix, and returns its label."""
    container, subtype = draw_format(rng, FORMATS)
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
    folder = emptied(out_dir / "recordings", "call_*")
    rows = [write_call(np.random.default_rng([seed, number]), folder / f"call_{number:04d}") for number in range(1, calls + 1)]
    return write_labels(out_dir, rows, LABELS_SCHEMA)


def main(out_dir: Path, calls: Annotated[int, typer.Option(min=1)] = 150, seed: Annotated[int, typer.Option(min=0)] = 1) -> None:
    """Makes recordings of calls and labels.parquet, the same ones for the same seed."""
    say_what_was_made("make_calls", "calls", write_recordings(out_dir, calls=calls, seed=seed), out_dir)


if __name__ == "__main__":
    typer.run(main)
