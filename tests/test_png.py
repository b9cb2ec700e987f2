"""Pictures that models make, as PNG files."""

import io

import numpy as np
from PIL import Image

from sparkcoil import png


def read(file: bytes) -> tuple[str, list[list[int]]]:
    with Image.open(io.BytesIO(file)) as image:
        return image.mode, np.asarray(image).tolist()


def test_depths_become_greys_of_16_bits_from_black_to_white() -> None:
    assert read(png.depths(np.array([[-1.0, 0.0, 1.0]], dtype=np.float32))) == ("I;16", [[0, 32_768, 65_535]])


def test_equal_depths_are_black() -> None:
    assert read(png.depths(np.full((2, 1), 3.5, dtype=np.float32))) == ("I;16", [[0], [0]])


def test_depths_of_any_magnitude_become_the_same_greys() -> None:
    for factor in (1e-35, 1e35):
        assert read(png.depths(np.array([[-1.0, 0.0, 1.0]], dtype=np.float32) * np.float32(factor)))[1] == [[0, 32_768, 65_535]]


def test_a_mask_is_white_where_a_pixel_is_chosen() -> None:
    assert read(png.mask(np.array([[True, False], [False, False]]))) == ("L", [[255, 0], [0, 0]])
