"""The recorded calls and sounds are what their labels say."""

import importlib.util
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

SCRIPTS = Path(__file__).parents[1] / "scripts"

pytestmark = pytest.mark.long("scripts")


def load_script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module", autouse=True)
def scripts() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(SCRIPTS)
        yield


@pytest.fixture(scope="module")
def calls(scripts: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[ModuleType, Path]:
    module, folder = load_script("make_calls"), tmp_path_factory.mktemp("calls")
    module.write_recordings(folder, calls=20, seed=7)
    return module, folder


@pytest.fixture(scope="module")
def sounds(scripts: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[ModuleType, Path]:
    module, folder = load_script("make_sounds"), tmp_path_factory.mktemp("sounds")
    module.write_recordings(folder, sounds=20, seed=7)
    return module, folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "recordings").iterdir()}


def test_the_same_seed_makes_the_same_calls_and_sounds(
    calls: tuple[ModuleType, Path], sounds: tuple[ModuleType, Path], tmp_path: Path
) -> None:
    calls[0].write_recordings(tmp_path / "calls", calls=20, seed=7)
    sounds[0].write_recordings(tmp_path / "sounds", sounds=20, seed=7)
    assert contents(tmp_path / "calls") == contents(calls[1])
    assert contents(tmp_path / "sounds") == contents(sounds[1])


def test_a_call_s_transcript_is_that_of_its_groups_and_its_file_as_long_as_is_said(calls: tuple[ModuleType, Path]) -> None:
    module, folder = calls
    for label in pq.read_table(folder / "labels.parquet").to_pylist():
        assert label["transcript"] == " ".join(group["text"] for group in label["groups"])
        assert {*label["transcript"].split()} <= {*module.WORDS.values()}
        info = soundfile.info(folder / "recordings" / label["file"])
        assert (info.samplerate, info.channels) == (label["sampling_rate"], label["channels"])
        assert info.duration == pytest.approx(label["seconds"], abs=0.01) and label["groups"][-1]["end"] <= info.duration


def test_groups_are_louder_than_the_silence_between_them(calls: tuple[ModuleType, Path]) -> None:
    folder = calls[1]
    for label in pq.read_table(folder / "labels.parquet").to_pylist():
        samples, rate = soundfile.read(folder / "recordings" / label["file"], always_2d=True)
        groups = label["groups"]
        loud = np.concatenate([samples[round(each["start"] * rate) : round(each["end"] * rate)] for each in groups])
        pairs = itertools.pairwise(groups)
        between = [samples[round((a["end"] + 0.02) * rate) : round((b["start"] - 0.02) * rate)] for a, b in pairs]
        assert not between or np.abs(loud).mean() > 1.2 * np.abs(np.concatenate(between)).mean()


def test_calls_are_longer_and_shorter_than_what_the_model_hears_at_once(calls: tuple[ModuleType, Path]) -> None:
    seconds = pq.read_table(calls[1] / "labels.parquet")["seconds"].to_pylist()
    assert min(seconds) < 6 < 12 < max(seconds)


def test_every_kind_of_sound_is_there_and_no_two_recordings_are_the_same(sounds: tuple[ModuleType, Path]) -> None:
    module, folder = sounds
    labels = pq.read_table(folder / "labels.parquet").to_pylist()
    assert {each["sound"] for each in labels} <= {*module.SOUNDS} and len({each["sound"] for each in labels}) > 4
    assert len({*contents(folder).values()}) == len(labels)
