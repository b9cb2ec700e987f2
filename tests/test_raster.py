"""Images become upright RGB pixels as Pillow makes them, or a row error with a stable code; nothing else ever leaves the decoder."""

import io
import tracemalloc
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from bad_images import (
    BAD_EXIF,
    BAD_IMAGES,
    BOMB,
    DEEP_IMAGES,
    GOOD_IMAGES,
    HEIGHT,
    PIXEL,
    PNG_MAGIC,
    WIDTH,
    chunk,
    cut,
    encode,
    png,
    scene,
    turned,
)
from bad_media import SECRET
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from sparkcoil import raster
from sparkcoil.errors import RowError
from sparkcoil.images import MAX_PIXELS

MIB = 2**20


def pixels(content: bytes, *, max_pixels: int = MAX_PIXELS) -> npt.NDArray[np.uint8]:
    return raster.read(io.BytesIO(content), max_pixels=max_pixels).values


def size(content: bytes, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    return raster.probe(io.BytesIO(content), max_pixels=max_pixels)


def failure(content: bytes, *, max_pixels: int = MAX_PIXELS) -> RowError:
    with pytest.raises(RowError) as caught:
        pixels(content, max_pixels=max_pixels)
    return caught.value


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of what it is asked for here to compare with
@pytest.mark.parametrize("build", GOOD_IMAGES.values(), ids=GOOD_IMAGES)
def test_an_image_is_what_pillow_makes_of_it_and_its_size_is_known_before(build: Callable[[], bytes]) -> None:
    content = build()
    with Image.open(io.BytesIO(content)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    found = pixels(content)
    assert (found.dtype, found.ndim, found.shape[2]) == (np.uint8, 3, 3)
    np.testing.assert_array_equal(found, expected)
    assert size(content) == found.shape[:2]
    assert raster.begins(content[:100])


@pytest.mark.parametrize(("build", "samples"), DEEP_IMAGES.values(), ids=DEEP_IMAGES)
def test_samples_of_16_bits_become_8_by_their_upper_half(build: Callable[[], bytes], samples: Callable[[], npt.NDArray[np.uint16]]) -> None:
    content, expected = build(), samples() >> 8
    np.testing.assert_array_equal(pixels(content), np.stack([expected] * 3, axis=-1))
    assert size(content) == expected.shape


@pytest.mark.parametrize("i", range(1, 9))
def test_an_image_of_any_orientation_stands_as_it_was_taken(i: int) -> None:
    upright = np.asarray(scene())
    across, turned_left, half = upright.transpose(1, 0, 2), np.rot90(upright), upright[::-1, ::-1]
    taken = (upright, upright[:, ::-1], half, upright[::-1], across, turned_left, across[::-1, ::-1], turned_left[::-1, ::-1])
    exif = Image.Exif()
    exif[274] = i
    np.testing.assert_array_equal(pixels(encode(Image.fromarray(taken[i - 1]), exif=exif)), upright)


@pytest.mark.parametrize("exif", BAD_EXIF.values(), ids=BAD_EXIF)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_damaged_exif_data_leave_an_image_as_it_is(kind: str, exif: bytes) -> None:
    plain, damaged = encode(scene(), kind), encode(scene(), kind, exif=exif)
    assert plain != damaged
    np.testing.assert_array_equal(pixels(damaged), pixels(plain))
    assert size(damaged) == (HEIGHT, WIDTH)


@pytest.mark.parametrize(("build", "code"), BAD_IMAGES.values(), ids=BAD_IMAGES)
def test_a_bad_image_has_its_code_and_a_message_that_says_nothing_of_its_content(build: Callable[[], bytes], code: str) -> None:
    error = failure(build())
    assert (error.stage, error.code, error.retryable) == ("input", code, False)
    assert 10 < len(error.message) < 150
    assert not any(word in error.message for word in SECRET.split())
    assert error.__cause__ is None and error.__suppress_context__


@pytest.mark.parametrize("name", [name for name, (_, code) in BAD_IMAGES.items() if code == "image_too_large"])
def test_an_image_that_declares_too_much_is_refused_by_its_header_in_little_memory(name: str) -> None:
    content = BAD_IMAGES[name][0]()
    tracemalloc.start()
    try:
        with pytest.raises(RowError, match=r"the image declares [0-9,]+ pixels; at most 89,478,485 are decoded"):
            size(content)
        assert tracemalloc.get_traced_memory()[1] < MIB
    finally:
        tracemalloc.stop()


def test_as_many_pixels_as_are_allowed_are_decoded_and_not_one_more() -> None:
    content = encode(scene())
    assert size(content, max_pixels=HEIGHT * WIDTH) == pixels(content, max_pixels=HEIGHT * WIDTH).shape[:2] == (HEIGHT, WIDTH)
    assert failure(content, max_pixels=HEIGHT * WIDTH - 1).message == "the image declares 1,961 pixels; at most 1,960 are decoded"


def test_the_size_of_a_png_is_known_without_decoding_it() -> None:
    damaged = encode(scene(), "PNG").replace(b"IDATx", b"IDAT\xff")
    assert failure(damaged).code == "undecodable_image"
    assert size(damaged) == (HEIGHT, WIDTH)
    assert size(cut(turned("PNG", 6), 0.9)) == (WIDTH, HEIGHT)


def test_a_message_says_what_was_found_in_place_of_an_image() -> None:
    found = {name: failure(BAD_IMAGES[name][0]()).message for name in ("svg", "heic", "html_of_a_failed_download", "wav", "jpeg_xl")}
    assert [message.split(",")[0] for message in found.values()] == [
        f"the bytes are {each}" for each in ("SVG", "HEIC", "HTML", "WAV", "JPEG XL")
    ]
    assert failure(b"no image").message == "the bytes are no image of a known format, or damaged at their beginning"


def test_what_pillow_warns_of_goes_nowhere(recwarn: pytest.WarningsRecorder) -> None:
    for name in ("PNG P with alpha for each colour", "ICO of another size than it says"):
        pixels(GOOD_IMAGES[name]())
    failure(BAD_IMAGES["image_somewhat_too_large"][0]())
    assert list(recwarn) == []


DAMAGED = {"decoded", "undecodable_image", "unsupported_image", "image_too_large", "truncated_image"}


def outcome(look: Callable[..., object], content: bytes) -> str:
    try:
        look(content, max_pixels=10**6)
    except RowError as error:
        return error.code
    return "decoded"


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.sampled_from(sorted(GOOD_IMAGES)), st.data())
def test_a_damaged_image_is_decoded_or_failed_and_raises_nothing_else(name: str, data: st.DataObject) -> None:
    content = bytearray(GOOD_IMAGES[name]())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, min(len(content), 400) - 1))] = data.draw(st.integers(0, 255))
    assert {outcome(size, bytes(content)), outcome(pixels, bytes(content))} <= DAMAGED


def test_chunks_of_a_png_without_end_are_not_followed_for_ever() -> None:
    empty = chunk(b"IDAT") * 50_000
    content = png(PIXEL)
    assert size(content[:-12] + empty + content[-12:]) == (1, 1)
    assert size(PNG_MAGIC + png(PIXEL)[8:].replace(chunk(b"IEND"), b"\xff\xff\xff\xffIDAT")) == (1, 1)


def test_a_size_beyond_all_memory_is_a_failure_whatever_is_allowed() -> None:
    assert failure(png(PIXEL, size=(2**31 - 1, 2**31 - 1)), max_pixels=BOMB[0]).code == "image_too_large"
