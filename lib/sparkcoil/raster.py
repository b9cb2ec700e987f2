"""Decodes images into upright RGB pixels by Pillow, bounded; knows nothing of Spark, MLflow or torch.

Reads AVIF, BMP, GIF, ICO, JPEG, JPEG 2000, PNG, PNM, TIFF and WebP, by their content, never by a name; of several images in a file,
the first. What cannot be decoded is RowError("input", code, message):

empty_image        zero bytes, or a file that declares no pixels
undecodable_image  bytes that are no image, or are too damaged to be read
unsupported_image  a format or a kind of pixels that is not read here, such as SVG, PDF or HEIC
image_too_large    more than `max_pixels`, as declared: nothing of it is decoded
truncated_image    breaks off before its last pixel

Pixels are as the native pipelines make them: alpha is left out, CMYK and palettes become RGB, EXIF's orientation is applied. Samples of 16
bits become 8 by their upper half, where Pillow would make all above 255 white.
"""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, NoReturn

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageFile, ImageOps, UnidentifiedImageError

from sparkcoil import containers
from sparkcoil.containers import fail

# Others would start a program (EPS), open further files, or are hardly ever what a table holds. Not every build of Pillow has all of these.
FORMATS = ("AVIF", "BMP", "DIB", "GIF", "ICO", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP")
# What other files begin with, for a message that says what was found.
OTHERS = re.compile(
    rb"""(?P<SVG>(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)?(?:<!DOCTYPE\s+svg.*|<svg\b.*)) | (?P<PDF>%PDF)
    | (?P<HEIC>.{4}ftyp(?:hei|hev|mif1|msf1)) | (?P<Photoshop>8BPS) | (?P<PostScript>%!PS|\xc5\xd0\xd3\xc6)
    | (?P<HTML>\s*<(?:!DOCTYPE\s+)?html) | (?P<JPEG_XL>\xff\x0a|\x00\x00\x00\x0cJXL\x20)
    | (?P<EXR>\x76\x2f\x31\x01) | (?P<gzip>\x1f\x8b) | (?P<ZIP>PK\x03\x04)""",
    re.DOTALL | re.VERBOSE | re.IGNORECASE,
)
# What images begin with that are read here.
READ = re.compile(
    rb"""\x89PNG\r\n\x1a\n | \xff\xd8\xff | GIF8[79]a | BM.{12}[\x0c\x28-\x80]\x00\x00\x00 | II\x2a\x00 | MM\x00\x2a | RIFF.{4}WEBP
    | .{4}ftypavi[fs] | P[1-7][\s\#] | \x00\x00\x01\x00 | \x00\x00\x00\x0cjP\x20\x20 | \xff\x4f\xff\x51""",
    re.DOTALL | re.VERBOSE,
)
# Orientations that lay an image on its side.
TURNED = (5, 6, 7, 8)
HEAD_BYTES = 1024

Array = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Pixels:
    """The pixels of an image, upright, of shape (height, width, 3)."""

    values: Array

    @property
    def nbytes(self) -> int:
        """Return the bytes of memory that they take."""
        return self.values.nbytes


def begins(head: bytes) -> bool:
    """Tell whether bytes begin as an image does, of any format that is told by name."""
    return bool(READ.match(head) or OTHERS.match(head))


def probe(file: BinaryIO, *, max_pixels: int) -> tuple[int, int]:
    """Return the height and the width of the image in a file, upright, by its header alone, or raise its RowError."""
    with opened(file, max_pixels) as image:
        width, height = image.size
        return (width, height) if orientation(image) in TURNED else (height, width)


def read(file: BinaryIO, *, max_pixels: int) -> Pixels:
    """Return the pixels of the image in a file, or raise its RowError."""
    with opened(file, max_pixels) as image:
        try:
            image.load()
        except OSError as error:  # Pillow has no error of its own for this
            fail(*(("truncated_image", "the image breaks off") if "truncated" in str(error) else broken(error)))
        return Pixels(np.asarray(rgb(upright(image))))


@contextmanager
def opened(file: BinaryIO, max_pixels: int) -> Iterator[Image.Image]:
    """Open an image by its content for the block, in which whatever its decoder raises is the row's failure."""
    if not containers.size_of(file):
        fail("empty_image", "the cell holds zero bytes")
    head = containers.at(file, 0, HEAD_BYTES)
    file.seek(0)
    # This process decodes one image at a time: what Pillow knows of limits holds for all that it opens.
    Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = max_pixels, False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata, and of sizes, which are judged here
            Image.init()
            with Image.open(file, formats=[each for each in FORMATS if each in Image.OPEN]) as image:
                check_size(image.size, max_pixels)
                yield image
    except UnidentifiedImageError:
        unknown(head)
    except Image.DecompressionBombError:
        too_large(None, max_pixels)
    except (OSError, ValueError, SyntaxError, EOFError, ArithmeticError, LookupError, TypeError, AttributeError) as error:
        fail(*broken(error))


def check_size(size: tuple[int, int], max_pixels: int) -> None:
    """Pass if an image of a declared size may be decoded; raises RowError."""
    if not all(size):
        fail("empty_image", "the image declares no pixels")
    if size[0] * size[1] > max_pixels:
        too_large(size, max_pixels)


def too_large(size: tuple[int, int] | None, max_pixels: int) -> NoReturn:
    """Raise the error of an image that is too large."""
    found = f"{size[0]:,} x {size[1]:,} pixels" if size else "many more pixels"
    fail("image_too_large", f"the image has {found}; at most {max_pixels:,} in all are decoded")


def unknown(head: bytes) -> NoReturn:
    """Raise the error of bytes that Pillow does not know, with what they are where that can be told."""
    other = OTHERS.match(head)
    kind = str(other.lastgroup).replace("_", " ") if other else containers.named(head)
    if kind and not READ.match(head):
        fail("unsupported_image", f"the bytes are {kind}, which is not read here; convert it to PNG or JPEG")
    fail("undecodable_image", "the bytes are no image of a known format, or damaged at their beginning")


def broken(error: Exception) -> tuple[str, str]:
    """Return code and message for what a decoder raised, whose text may quote the image's own."""
    return "undecodable_image", f"decoding raised {type(error).__name__}"


def orientation(image: Image.Image) -> int:
    """Return the orientation that an image's EXIF data says, 1 where it says none or is damaged."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # a camera's own data, read by a parser that raises what it likes
        return 1


def upright(image: Image.Image) -> Image.Image:
    """Return an image as it is to be looked at; damaged EXIF data leaves it as it is."""
    return ImageOps.exif_transpose(image) if orientation(image) in range(2, 9) else image


def rgb(image: Image.Image) -> Image.Image:
    """Return an image in RGB; raises RowError for pixels whose range is not known."""
    if image.mode.startswith("I"):
        samples = np.asarray(image)
        if samples.min() < 0 or samples.max() > 65_535:
            fail("unsupported_image", "the image has samples of 32 bits; convert it to 8 or 16")
        image = Image.fromarray((samples >> 8).astype(np.uint8))
    if image.mode == "F":
        fail("unsupported_image", "the image has floating point samples; convert it to 8 or 16 bits")
    return image if image.mode == "RGB" else image.convert("RGB")
