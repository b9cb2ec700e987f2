"""Images that the contract's cases score, and what the native pipeline says of each by itself."""

import io
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tiny_encoders
import tiny_vision
from one_by_one import ranking
from PIL import Image

Rows = Sequence[Mapping[str, Any]]
Found = Sequence[Mapping[str, Any]]
COUNT = 33
MODES = ("RGB", "L", "RGBA", "P", "1", "LA")


def drawings() -> list[dict[str, Any]]:
    """Return images of many sizes and modes."""
    return [
        {"image": tiny_vision.png(tiny_vision.drawn(20 + 13 * i % 90, 20 + 29 * i % 120, i).convert(MODES[i % 6]))} for i in range(COUNT)
    ]


def picture(text: str) -> bytes:
    """Return an image of a size and colours that a text chooses."""
    seed = zlib.crc32(text.encode())
    return tiny_vision.png(tiny_vision.drawn(16 + seed % 50, 16 + seed % 70, seed))


def opened(row: Mapping[str, Any]) -> Image.Image:
    """Return the image of a row."""
    return Image.open(io.BytesIO(row["image"]))


def image_labels(artifact: Path, rows: Rows) -> Found:
    """Return every label of each image with its score."""
    classify = tiny_encoders.pipeline("image-classification", artifact, top_k=None)
    return [ranking(classify(opened(row))) for row in rows]
