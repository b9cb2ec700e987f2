"""The keypad recordings are what their labels say."""

import importlib.util
import itertools
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

CLIPS = 80

pytestmark = pytest.mark.long("scripts")


def load_script(name: str) -> ModuleType:
    path = Path(__file__).parents[1] / "scripts" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


keypad = load_script("make_keypad")


def contents(folder: Path) -> Mapping[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "recordings").iterdir()}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keypad")
    keypad.write_recordings(folder, clips=CLIPS, seed=7)
    return folder


def test_same_seed_makes_the_same_bytes(made: Path, tmp_path: Path) -> None:
    keypad.write_recordings(tmp_path, clips=CLIPS, seed=7)
    assert contents(tmp_path) == contents(made)
    assert pq.read_table(tmp_path / "labels.parquet") == pq.read_table(made / "labels.parquet")


def test_float_wav_does_not_hold_the_time_of_writing() -> None:
    clip = keypad.draw_clip(np.random.default_rng(7))
    encoded = keypad.encode(clip, "WAV", subtype="FLOAT")
    peak = encoded.index(b"PEAK")
    assert encoded[peak + 12 : peak + 16] == bytes(4)


def test_another_seed_makes_other_recordings(made: Path, tmp_path: Path) -> None:
    keypad.write_recordings(tmp_path, clips=10, seed=8)
    assert not set(contents(tmp_path).values()) & set(contents(made).values())


def test_fewer_clips_leave_no_stale_recordings(tmp_path: Path) -> None:
    keypad.write_recordings(tmp_path, clips=5, seed=7)
    assert keypad.write_recordings(tmp_path, clips=2, seed=7).num_rows == len(contents(tmp_path)) == 2


def test_labels_describe_every_file(made: Path) -> None:
    labels = pq.read_table(made / "labels.parquet")
    assert labels.schema.equals(keypad.LABELS_SCHEMA)
    rows = labels.to_pylist()
    assert sorted(row["file"] for row in rows) == sorted(contents(made))
    for row in rows:
        info = soundfile.info(made / "recordings" / row["file"])
        assert (info.samplerate, info.channels) == (row["sampling_rate"], row["channels"])
        assert 3 <= len(row["keys"]) <= 12 and set(row["keys"]) <= set(keypad.KEYS)


def test_all_rates_channels_and_formats_occur(made: Path) -> None:
    infos = [soundfile.info(path) for path in (made / "recordings").iterdir()]
    assert {info.samplerate for info in infos} == {8000, 11025, 16000, 22050, 44100, 48000}
    assert {info.channels for info in infos} == {1, 2}
    assert {(info.format, info.subtype) for info in infos} >= {("WAV", "PCM_16"), ("WAV", "PCM_24"), ("WAV", "FLOAT"), ("FLAC", "PCM_16")}


def test_some_recordings_are_exact_duplicates(made: Path) -> None:
    recordings = contents(made)
    assert len(set(recordings.values())) == CLIPS - 2


def test_no_recording_is_clipped(made: Path) -> None:
    for path in (made / "recordings").iterdir():
        assert np.abs(soundfile.read(path)[0]).max() < 0.95


@pytest.mark.parametrize("rate", [8000, 44100])
def test_tones_of_a_key_are_its_dtmf_pair(rate: int) -> None:
    pairs = {"1": (697, 1209), "5": (770, 1336), "9": (852, 1477), "*": (941, 1209), "0": (941, 1336), "#": (941, 1477), "D": (941, 1633)}
    for key, pair in pairs.items():
        spectrum = np.abs(np.fft.rfft(keypad.tones([keypad.Press(key, 0.0, 1.0)], rate, seconds=1.0)))
        assert tuple(sorted(np.argsort(spectrum)[-2:])) == pair


def test_gaps_between_presses_are_silent() -> None:
    presses = keypad.draw_presses(np.random.default_rng(7))
    signal = keypad.tones(presses, 16000, seconds=presses[-1].end)
    for before, after in itertools.pairwise(presses):
        gap = signal[round(before.end * 16000) : round(after.start * 16000)]
        assert len(gap) >= 0.05 * 16000 - 1 and not gap.any()
