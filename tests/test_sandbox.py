"""A decoder that crashes, hangs or takes too much memory costs its recording or image alone; what decodes knows nothing worth stealing."""

import io
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from bad_images import BAD_IMAGES, BOMB, GOOD_IMAGES, PIXEL, encode, png, scene
from bad_media import BAD_AUDIO, good_audio

from sparkcoil import media, raster, sandbox
from sparkcoil.errors import EnvironmentError_, RowError
from sparkcoil.images import MAX_PIXELS
from sparkcoil.media import Recording, decode_audio

# Stands before a library on the child's path: some rates and some widths go wrong in ways that no Python can catch.
TROUBLE = """
import ctypes, importlib.machinery, importlib.util, os, sys, time
found = importlib.machinery.PathFinder.find_spec(__name__, [each for each in sys.path if each != os.path.dirname(__file__)])
real = importlib.util.module_from_spec(found)
sys.modules[__name__] = real
found.loader.exec_module(real)
def go_wrong(number):
    if number == 11111:
        ctypes.string_at(0)
    if number == 22222:
        time.sleep(1000)
    if number == 33333:
        bytearray(2**40)
    if number == 44444:
        os.kill(os.getpid(), 9) if not os.path.exists(MARK) else None
"""
SOXR = """
stream = real.ResampleStream
def ResampleStream(rate, *given, **named):
    go_wrong(rate)
    return stream(rate, *given, **named)
real.ResampleStream = ResampleStream
"""
PILLOW = """
from PIL import Image
opened = Image.open
def open(*given, **named):
    image = opened(*given, **named)
    go_wrong(image.size[0])
    return image
Image.open = open
"""


@pytest.fixture
def fresh() -> Iterator[Callable[..., Recording]]:
    """A function that decodes in a thread of its own, and so in a child of its own."""
    with ThreadPoolExecutor(1) as pool:
        yield lambda content, by=decoded, **given: pool.submit(by, content, **given).result()


@pytest.fixture
def trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh: Callable[..., Recording]) -> Callable[..., Recording]:
    """The same, where the resampler and what opens images are in trouble."""
    for name, what in (("soxr", SOXR), ("PIL", PILLOW)):
        (tmp_path / f"{name}.py").write_text(TROUBLE.replace("MARK", repr(str(tmp_path / "mark"))) + what)
    monkeypatch.syspath_prepend(str(tmp_path))
    return fresh


def decoded(content: bytes, *, max_seconds: float = 3600.0) -> Recording:
    with sandbox.in_memory(content) as file:
        return sandbox.read(file, 16000, start=0.0, seconds=None, max_seconds=max_seconds)


def pixels(content: bytes, *, max_pixels: int = MAX_PIXELS) -> npt.NDArray[np.uint8]:
    with sandbox.in_memory(content) as file:
        return sandbox.read_image(file, max_pixels=max_pixels).values


def size(content: bytes, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    with sandbox.in_memory(content) as file:
        return sandbox.probe_image(file, max_pixels=max_pixels)


def line(width: int) -> bytes:
    """Return an image one pixel high."""
    return encode(scene(height=1, width=width))


def failure(decode: Callable[..., Any], content: bytes, **given: Any) -> RowError:
    with pytest.raises(RowError) as caught:
        decode(content, **given)
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


@pytest.mark.parametrize("build", GOOD_IMAGES.values(), ids=GOOD_IMAGES)
def test_the_child_sees_as_the_decoder_does(build: Callable[[], bytes]) -> None:
    content = build()
    here = raster.read(io.BytesIO(content), max_pixels=MAX_PIXELS).values
    there = pixels(content)
    np.testing.assert_array_equal(here, there)
    assert (there.dtype, size(content)) == (np.uint8, there.shape[:2])


@pytest.mark.parametrize(("build", "code"), BAD_IMAGES.values(), ids=BAD_IMAGES)
def test_a_bad_image_has_the_same_error_from_the_child(build: Callable[[], bytes], code: str) -> None:
    content = build()
    error = failure(pixels, content)
    assert (error.stage, error.code, error.retryable) == ("input", code, False)
    with pytest.raises(RowError) as caught:
        raster.read(io.BytesIO(content), max_pixels=MAX_PIXELS)
    assert error.message == caught.value.message


@pytest.mark.parametrize("look", [pixels, size])
def test_a_crash_costs_its_image_and_the_next_one_is_decoded(trouble: Callable[..., Any], look: Callable[..., Any]) -> None:
    for _ in range(2):
        assert failure(trouble, line(11111), by=look).code == "decoder_crashed"
        np.testing.assert_array_equal(trouble(encode(scene()), by=pixels), np.asarray(scene()))


def test_an_image_is_tried_again_where_the_child_ended_for_another_reason(trouble: Callable[..., Any], tmp_path: Path) -> None:
    assert failure(trouble, line(44444), by=pixels).code == "decoder_crashed"
    (tmp_path / "mark").touch()
    assert trouble(line(44444), by=pixels).shape == (1, 44444, 3)


def test_an_image_whose_decoder_hangs_is_given_up(trouble: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "LEAST_SECONDS", 1)
    assert failure(trouble, line(22222), by=pixels).code == "decoder_timeout"
    assert trouble(line(9), by=size) == (1, 9)


def test_an_image_that_takes_too_much_memory_fails_alone(trouble: Callable[..., Any]) -> None:
    assert failure(trouble, line(33333), by=pixels).code == "image_too_large"
    # What is allowed may be more than there is: 14 GiB of pixels, of which the file holds none.
    bomb = png(PIXEL, size=BOMB)
    assert failure(trouble, bomb, by=pixels, max_pixels=BOMB[0] * BOMB[1]).code == "image_too_large"
    assert trouble(bomb, by=size, max_pixels=BOMB[0] * BOMB[1]) == BOMB
    np.testing.assert_array_equal(trouble(encode(scene()), by=pixels), np.asarray(scene()))


def test_one_child_hears_and_sees() -> None:
    child = sandbox.own_child()
    assert (decoded(good_audio(1)).seconds, size(line(9)), decoded(good_audio(2)).seconds) == (1.0, (1, 9), 2.0)
    assert sandbox.own_child() is child


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
