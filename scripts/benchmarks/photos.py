"""Photos of 320 to 1,024 pixels a side in the formats that tables hold, drawn by a seed: blobs of colour, blurred and grained."""

import io

import numpy as np
from PIL import Image, ImageFilter

FORMATS = (("JPEG", {"quality": 90}), ("JPEG", {"quality": 75}), ("PNG", {}), ("WEBP", {"quality": 80}))
SIDES = (320, 1_024)


def photos(count: int, seed: int = 31) -> list[bytes]:
    """Return encoded photos."""
    rng = np.random.default_rng(seed)
    return [encoded(rng, number) for number in range(count)]


def encoded(rng: np.random.Generator, number: int) -> bytes:
    """Return one photo as a file."""
    width, height = (int(each) for each in rng.integers(*SIDES, 2))
    blobs = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
    grain = rng.normal(0, 6, (height, width, 1))
    sharp = np.asarray(blobs.filter(ImageFilter.GaussianBlur(2)), np.float64) + grain
    container, given = FORMATS[number % len(FORMATS)]
    file = io.BytesIO()
    Image.fromarray(np.clip(sharp, 0, 255).astype(np.uint8)).save(file, format=container, **given)
    return file.getvalue()


def opened(photo: bytes) -> Image.Image:
    """Return a photo as a hand-written loop would open it; it is decoded when it is looked at."""
    return Image.open(io.BytesIO(photo))
