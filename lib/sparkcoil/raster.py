"""Decodes images into upright RGB pixels by Pillow, bounded; knows nothing of Spark, MLflow or torch.

Reads AVIF, BMP, GIF, ICO, JPEG, JPEG 2000, PNG, PNM, TIFF and WebP, by their content, never by a name; of several images in a file,
the first. What cannot be decoded is RowError("input", code, message):

empty_image        zero bytes
undecodable_image  bytes that are no image, or one that is damaged, of no pixels, or of a kind that its decoder does not know
unsupported_image  a format that is not read here, such as SVG, PDF or HEIC, or samples of which the range is not known: of floating point,
                   of 32 bits, or with signs
image_too_large    more than `max_pixels`, as declared: nothing of it is decoded
truncated_image    breaks off: the file ends before all that it declares

Pixels are as the native pipelines make them: alpha is left out, CMYK and palettes become RGB, EXIF's orientation is applied, and damaged
EXIF data leave an image as it is. Samples of 16 bits become 8 by their upper half, where Pillow would make all above 255 white.
"""

import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, NoReturn

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from sparkcoil import containers, extent
from sparkcoil.containers import fail
from sparkcoil.errors import RowError

# Others would start a program (EPS), open further files, or are hardly ever what a table holds. Not every build of Pillow has all of these.
FORMATS = ("AVIF", "BMP", "GIF", "ICO", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
# What other files begin with, for a message that says what was found.
OTHERS = re.compile(
    rb"""(?P<SVG>(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)?(?:<!DOCTYPE\s+svg.*|<svg\b.*)) | (?P<PDF>%PDF)
    | (?P<HEIC>.{4}ftyp(?:hei|hev|mif1|msf1)) | (?P<Photoshop>8BPS) | (?P<PostScript>%!PS|\xc5\xd0\xd3\xc6)
    | (?P<HTML>\s*<(?:!DOCTYPE\s+)?html) | (?P<JPEG_XL>\x00\x00\x00\x0cJXL\x20) | (?P<EXR>\x76\x2f\x31\x01) | (?P<gzip>\x1f\x8b)
    | (?P<ZIP>PK\x03\x04) | (?P<WAV>RIFF.{4}WAVE) | (?P<FLAC>fLaC) | (?P<Ogg>OggS) | (?P<MP3>ID3) | (?P<WebM>\x1a\x45\xdf\xa3)
    | (?P<MP4>.{4}ftyp(?!avi[fs])) | (?P<DDS>DDS\x20) | (?P<QOI>qoif) | (?P<ICNS>icns\x00) | (?P<SGI>\x01\xda[\x00\x01][\x01\x02]\x00)
    | (?P<PCX>\x0a[\x00\x02-\x05]\x01[\x01\x02\x04\x08])""",
    re.DOTALL | re.VERBOSE | re.IGNORECASE,
)
# Says little: a path under /work begins so, taken for base64.
BARE_JPEG_XL = re.compile(rb"(?P<JPEG_XL>\xff\x0a)")
# What images begin with that are read here.
READ = re.compile(
    rb"""\x89PNG\r\n\x1a\n | \xff\xd8\xff | GIF8[79]a | BM.{12}[\x0c\x28-\x80]\x00\x00\x00 | II\x2a\x00 | MM\x00\x2a | RIFF.{4}WEBP
    | .{4}ftypavi[fs] | P[1-7][\s\#] | \x00\x00\x01\x00 | \x00\x00\x00\x0cjP\x20\x20 | \xff\x4f\xff\x51""",
    re.DOTALL | re.VERBOSE,
)
# Orientations that lay an image on its side.
TURNED = (5, 6, 7, 8)
# How an image of each orientation comes to stand upright.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
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
        if image.format == "PNG" and "exif" not in image.info:
            # Pillow would decode all pixels to get at what stands after them.
            image.info["exif"] = extent.png_chunk(file, b"eXIf")
        # Pillow has turned the size of a TIFF by itself.
        return (width, height) if image.format != "TIFF" and orientation(image) in TURNED else (height, width)


def read(file: BinaryIO, *, max_pixels: int) -> Pixels:
    """Return the pixels of the image in a file, or raise its RowError."""
    with opened(file, max_pixels) as image:
        image.load()
        return Pixels(np.asarray(rgb(upright(image))))


@contextmanager
def opened(file: BinaryIO, max_pixels: int) -> Iterator[Image.Image]:
    """Open an image by its content for the block, in which whatever its decoder raises is the row's failure."""
    if not containers.size_of(file):
        fail("empty_image", "the cell holds zero bytes")
    file.seek(0)
    # This process decodes one image at a time: what Pillow knows of limits holds for all that it opens.
    Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = max_pixels, False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            Image.init()
            with Image.open(file, formats=[each for each in FORMATS if each in Image.OPEN]) as image:
                yield image
    except (RowError, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        too_large(error, max_pixels)
    except Exception as error:  # a decoder raises what it likes, and a text that may quote the image's own
        broken(error, file)


def too_large(error: Exception, max_pixels: int) -> NoReturn:
    """Raise the error of an image that is too large; Pillow's own says no more than numbers."""
    found = re.search(r"\d+", str(error))
    declared = f"{int(found[0]):,}" if found else "more"
    fail("image_too_large", f"the image declares {declared} pixels; at most {max_pixels:,} are decoded")


def broken(error: Exception, file: BinaryIO) -> NoReturn:
    """Raise the row's error for what a decoder raised, with what the bytes are where that can be told."""
    head = containers.at(file, 0, HEAD_BYTES)
    begun, other = READ.match(head), OTHERS.match(head) or BARE_JPEG_XL.match(head)
    if other and not begun:
        kind = str(other.lastgroup).replace("_", " ")
        fail("unsupported_image", f"the bytes are {kind}, which is not read here; convert it to PNG or JPEG")
    # Pillow has no class of its own for this.
    if begun and (extent.ends_early(file) or (isinstance(error, OSError) and "truncated" in str(error).lower())):
        fail("truncated_image", "the image breaks off")
    if not isinstance(error, UnidentifiedImageError):
        fail("undecodable_image", f"decoding raised {type(error).__name__}")
    if begun:
        fail("undecodable_image", "the image's header is damaged, or declares a kind of image that is not read here")
    fail("undecodable_image", "the bytes are no image of a known format, or damaged at their beginning")


def orientation(image: Image.Image) -> int:
    """Return the orientation that an image's EXIF data say, 1 where they say none or are damaged."""
    try:
        # Not the one of PNG's own class, which decodes an image that has no such data before its pixels.
        return int(Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1))
    except Exception:  # a camera's own data, read by a parser that raises what it likes
        return 1


def upright(image: Image.Image) -> Image.Image:
    """Return an image as it is to be looked at; its other EXIF data, which may be damaged, are not touched."""
    turn = TURNS.get(orientation(image))
    return image if turn is None else image.transpose(turn)


def rgb(image: Image.Image) -> Image.Image:
    """Return an image in RGB; raises RowError for samples whose range is not known."""
    # Pillow has one mode for samples of 32 bits and for signed ones of 16, and PNM's unsigned ones of 16.
    if image.mode == "F" or (image.mode == "I" and image.format != "PPM"):
        fail("unsupported_image", "the image has samples of floating point, of 32 bits or with signs; convert it to 8 or 16 bits")
    if image.mode.startswith("I"):
        image = Image.fromarray(eight_bits(image))
    return image if image.mode == "RGB" else image.convert("RGB")


def eight_bits(image: Image.Image) -> Array:
    """Return the upper eight bits of samples of 16; of those of 12 that a TIFF holds, and where white is zero there, as it says."""
    tags: Mapping[int, Any] = getattr(image, "tag_v2", {})
    bits = int(tags.get(ExifTags.Base.BitsPerSample, (16,))[0])
    samples = (np.asarray(image) >> (bits - 8)).astype(np.uint8)
    return 255 - samples if tags.get(ExifTags.Base.PhotometricInterpretation) == 0 else samples
