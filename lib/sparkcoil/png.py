"""Writes pixels as PNG files. Knows nothing of Spark, MLflow or torch."""

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

# The brightest grey of 16 bits, and of 8.
GREY16, GREY8 = 65_535, 255
# Depths are hardly to be compressed: of a megapixel, level 6 took three times as long as 1 and left 2 % less.
FASTEST = 1


def depths(values: npt.NDArray[np.float32]) -> bytes:
    """Return a picture of 16-bit greys, black for the least value and white for the greatest; one of equal values is black."""
    least, greatest = values.min(), values.max()
    spread = greatest - least
    scaled = (values - least) / spread * GREY16 if spread > 0 else np.zeros_like(values)
    return written(np.rint(scaled).clip(0, GREY16).astype(np.uint16), compress_level=FASTEST)


def mask(chosen: npt.NDArray[np.bool_]) -> bytes:
    """Return a picture of 8-bit greys, white where a pixel is chosen, else black."""
    return written(chosen.astype(np.uint8) * np.uint8(GREY8))


def written(pixels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16], **given: int) -> bytes:
    """Return greys of shape (height, width), or colours of shape (height, width, 3), as the bytes of a file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", **given)
    return file.getvalue()
