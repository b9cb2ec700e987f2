"""A decoder that crashes, hangs or takes too much memory costs its recording alone; what decodes knows nothing worth stealing."""

import io
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from bad_media import BAD_AUDIO, good_audio

from sparkcoil import media, sandbox
from sparkcoil.errors import EnvironmentError_, RowError
from sparkcoil.media import Recording, decode_audio

# Stands before soxr on the child's path: resampling from some rates goes wrong in ways that no Python can catch.
TROUBLE = """
import ctypes, importlib.machinery, importlib.util, os, sys, time
found = importlib.machinery.PathFinder.find_spec("soxr", [each for each in sys.path if each != os.path.dirname(__file__)])
real = importlib.util.module_from_spec(found)
sys.modules["soxr"] = real
found.loader.exec_module(real)
stream = real.ResampleStream
def ResampleStream(rate, *given, **named):
    if rate == 11111:
        ctypes.string_at(0)
    if rate == 22222:
        time.sleep(1000)
    if rate == 33333:
        bytearray(2**40)
    if rate == 44444:
        os.kill(os.getpid(), 9) if not os.path.exists(MARK) else None
    return stream(rate, *given, **named)
real.ResampleStream = ResampleStream
"""


@pytest.fixture
def fresh() -> Iterator[Callable[..., Recording]]:
    """A function that decodes in a thread of its own, and so in a child of its own."""
    with ThreadPoolExecutor(1) as pool:
        yield lambda content, **given: pool.submit(decoded, content, **given).result()


@pytest.fixture
def trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh: Callable[..., Recording]) -> Callable[..., Recording]:
    """The same, where the resampler is in trouble."""
    (tmp_path / "soxr.py").write_text(TROUBLE.replace("MARK", repr(str(tmp_path / "mark"))))
    monkeypatch.syspath_prepend(str(tmp_path))
    return fresh


def decoded(content: bytes, *, max_seconds: float = 3600.0) -> Recording:
    with sandbox.in_memory(content) as file:
        return sandbox.read(file, 16000, start=0.0, seconds=None, max_seconds=max_seconds)


def failure(decode: Callable[..., Recording], content: bytes) -> RowError:
    with pytest.raises(RowError) as caught:
        decode(content)
    return caught.value


@pytest.mark.parametrize("format", ["WAV", "FLAC", "OGG", "MP3"])
def test_the_child_decodes_as_the_decoder_does(format: str) -> None:
    content = good_audio(2, 44100, 2, format=format)
    here, there = decode_audio(content, 16000), decoded(content)
    np.testing.assert_array_equal(here.samples, there.samples)
    assert (here.seconds, here.warnings) == (there.seconds, there.warnings)
    with sandbox.in_memory(content) as file:
        assert sandbox.probe(file, max_seconds=10) == media.probe(io.BytesIO(content), max_seconds=10) == 2.0


@pytest.mark.parametrize(("build", "code"), BAD_AUDIO.values(), ids=BAD_AUDIO)
def test_a_bad_recording_has_the_same_error_from_the_child(build: Callable[[], bytes], code: str) -> None:
    error = failure(decoded, build())
    assert (error.stage, error.code, error.retryable) == ("input", code, False)


def test_a_crash_costs_its_recording_and_the_next_one_is_decoded(trouble: Callable[..., Recording]) -> None:
    assert failure(trouble, good_audio(1, 11111)).code == "decoder_crashed"
    assert trouble(good_audio(1, 8000)).seconds == 1.0
    assert failure(trouble, good_audio(1, 11111)).code == "decoder_crashed"
    assert trouble(good_audio(1, 8000)).seconds == 1.0


def test_a_recording_is_tried_again_where_the_child_ended_for_another_reason(trouble: Callable[..., Recording], tmp_path: Path) -> None:
    assert trouble(good_audio(1, 8000)).seconds == 1.0
    assert failure(trouble, good_audio(1, 44444)).code == "decoder_crashed"
    (tmp_path / "mark").touch()
    assert trouble(good_audio(1, 44444)).seconds == 1.0


def test_a_child_that_was_killed_between_two_recordings_is_replaced() -> None:
    assert decoded(good_audio(1)).seconds == 1.0
    before = sandbox.own_child()
    os.kill(before._process.pid, 9)
    assert decoded(good_audio(1)).seconds == 1.0
    assert sandbox.own_child() is not before


def test_a_decoder_that_hangs_is_ended(trouble: Callable[..., Recording], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "LEAST_SECONDS", 1)
    monkeypatch.setattr(sandbox, "SECONDS_SHARE", 0)
    assert failure(trouble, good_audio(1, 22222)).code == "decoder_timeout"
    assert trouble(good_audio(1, 8000)).seconds == 1.0


def test_a_decoder_that_takes_too_much_memory_fails_its_recording(trouble: Callable[..., Recording]) -> None:
    assert failure(trouble, good_audio(1, 33333)).code == "audio_too_large"
    assert trouble(good_audio(1, 8000)).seconds == 1.0


def test_the_child_has_nothing_of_the_workers_environment_and_writes_no_file(
    fresh: Callable[..., Recording], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-4711")
    with ThreadPoolExecutor(1) as pool:
        child = pool.submit(sandbox.own_child).result()
        process = Path("/proc") / str(child._process.pid)
        environment = (process / "environ").read_bytes()
        limits = (process / "limits").read_text()
        open_files = [str(each.readlink()) for each in (process / "fd").iterdir()]
    assert b"canary" not in environment and b"PYTHONPATH" in environment
    assert {line.split("  ")[0]: line.split()[-3] for line in limits.splitlines()}["Max file size"] == "0"
    assert not [each for each in open_files if not each.startswith(("/dev/null", "socket:"))]


def test_each_thread_has_a_child_of_its_own_that_ends_with_it() -> None:
    both = threading.Barrier(2)

    def mine(_: int) -> sandbox.Child:
        both.wait()
        assert decoded(good_audio(1)).seconds == 1.0
        return sandbox.own_child()

    with ThreadPoolExecutor(2) as pool:
        children = list(pool.map(mine, range(2)))
    processes = [child._process for child in children]
    assert len({process.pid for process in processes}) == 2
    del children
    assert [process.wait(10) for process in processes] == [0, 0]


def test_a_python_that_does_not_start_is_a_set_up_and_no_bad_row(fresh: Callable[..., Recording], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox.sys, "executable", "/bin/false")
    with pytest.raises(EnvironmentError_, match="does not start: /bin/false ended at once"):
        fresh(good_audio(1))
