"""Drawings of signs with what each shows: made by Pillow, no two the same, in the formats and modes that a table of images has.
Knows nothing of models, Spark or tables other than its own labels."""

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import pyarrow as pa
import typer
from make_keypad import emptied, say_what_was_made, write_labels
from PIL import Image, ImageDraw, ImageFilter

SIDES = (48, 200)
LABELS_SCHEMA = pa.schema([("file", pa.string()), ("sign", pa.string()), ("width", pa.int32()), ("height", pa.int32())])
# Containers with the mode that is saved in each: a table of images holds all of them.
FORMATS = (("PNG", "RGB"), ("PNG", "RGBA"), ("PNG", "P"), ("JPEG", "RGB"), ("WebP", "RGB"), ("GIF", "P"), ("BMP", "RGB"))

Points = np.ndarray
"""Corners of a shape, of shape (points, 2), around zero and within a circle of radius one."""


class Drawing(NamedTuple):
    """A drawing with what it shows."""

    image: Image.Image
    sign: str


def around(angles: np.ndarray, radii: np.ndarray | float) -> Points:
    """Corners at angles, in turns, and distances from the middle."""
    return np.stack([np.cos(2 * np.pi * angles), np.sin(2 * np.pi * angles)], axis=1) * np.reshape(radii, (-1, 1))


def circle() -> Points:
    """A round sign."""
    return around(np.arange(48) / 48, 1.0)


def square() -> Points:
    """Four corners."""
    return around(np.arange(4) / 4 + 1 / 8, 1.0)


def triangle() -> Points:
    """Three corners, one of them above."""
    return around(np.arange(3) / 3 - 1 / 4, 1.0)


def star() -> Points:
    """Five points."""
    return around(np.arange(10) / 10 - 1 / 4, np.tile([1.0, 0.42], 5))


def cross() -> Points:
    """Two bars."""
    near, far = 0.3, 0.95
    corner = np.array([[near, near], [near, far], [-near, far]])
    turns = [np.array([[0, -1], [1, 0]]), np.array([[-1, 0], [0, -1]]), np.array([[0, 1], [-1, 0]])]
    return np.concatenate([corner, *(corner @ turn.T for turn in turns)])


def arrow() -> Points:
    """A bar with a head, to the right."""
    return np.array([[-0.95, -0.22], [0.1, -0.22], [0.1, -0.65], [0.95, 0], [0.1, 0.65], [0.1, 0.22], [-0.95, 0.22]])


SIGNS: Mapping[str, Callable[[], Points]] = {each.__name__: each for each in (arrow, circle, cross, square, star, triangle)}


def colours(rng: np.random.Generator) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """A dark colour for the sign and a bright one for the ground."""
    return tuple(map(int, rng.integers(0, 110, 3))), tuple(map(int, rng.integers(150, 256, 3)))


def draw_sign(rng: np.random.Generator, sign: str) -> Drawing:
    """A drawing of a sign of a random size and turn, about in the middle of a noisy ground."""
    width, height = (int(each) for each in rng.integers(*SIDES, 2))
    narrow = min(width, height)
    reach = narrow * rng.uniform(0.36, 0.46)
    middle = [side * rng.uniform(0.46, 0.54) for side in (width, height)]
    turn = 2 * np.pi * rng.uniform(-0.06, 0.06)
    turned = SIGNS[sign]() @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    front, ground = colours(rng)
    image = Image.new("RGB", (width, height), ground)
    ImageDraw.Draw(image).polygon([tuple(map(float, each)) for each in turned * reach + middle], fill=front)
    blurred = image.filter(ImageFilter.GaussianBlur(narrow * rng.uniform(0, 0.015)))
    noise = rng.normal(0, rng.uniform(2, 14), (height, width, 1))
    return Drawing(Image.fromarray(np.clip(np.asarray(blurred) + noise, 0, 255).astype(np.uint8)), sign)


def encode(image: Image.Image, container: str, mode: str) -> bytes:
    """An image as the bytes of a file."""
    file = io.BytesIO()
    image.convert(mode).save(file, format=container)
    return file.getvalue()


def write_drawings(out_dir: Path, *, drawings: int, seed: int) -> pa.Table:
    """Writes the drawings and their labels, and returns the labels."""
    folder = emptied(out_dir / "drawings", "drawing_*")
    rows = []
    for number in range(1, drawings + 1):
        rng = np.random.default_rng([seed, number])
        container, mode = FORMATS[int(rng.integers(len(FORMATS)))]
        drawing = draw_sign(rng, str(rng.choice(list(SIGNS))))
        path = folder / f"drawing_{number:04d}.{container.lower()}"
        path.write_bytes(encode(drawing.image, container, mode))
        rows.append({"file": path.name, "sign": drawing.sign, "width": drawing.image.width, "height": drawing.image.height})
    return write_labels(out_dir, rows, LABELS_SCHEMA)


def main(out_dir: Path, drawings: Annotated[int, typer.Option(min=1)] = 200, seed: Annotated[int, typer.Option(min=0)] = 1) -> None:
    """Makes drawings of signs and labels.parquet, the same ones for the same seed."""
    say_what_was_made("make_drawings", "drawings", write_drawings(out_dir, drawings=drawings, seed=seed), out_dir, "drawings")


if __name__ == "__main__":
    typer.run(main)
