"""Builds image cells for tests: good ones in every format and mode, and one of every kind that must become a row error.

Knows nothing of sparkcoil. All of it is made from fixed seeds; no file is read.
"""

import base64
import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable
from functools import partial

import numpy as np
import numpy.typing as npt
from bad_media import SECRET, cut, noise, patched
from bad_media import good_audio as wav
from PIL import ExifTags, Image, ImageCms, PngImagePlugin

HEIGHT, WIDTH = 37, 53
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
# Where interlacing starts and how far it steps, in width and in height, in each of its seven passes.
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
GREY, COLOUR = 0, 2
TIFF_SHORT, TIFF_LONG = 3, 4

Array = npt.NDArray[np.generic]


def scene(mode: str = "RGB", height: int = HEIGHT, width: int = WIDTH) -> Image.Image:
    """Return an image that is not alike in any two of its corners, with every kind of alpha where the mode has one."""
    y, x = np.mgrid[:height, :width]
    colours = np.stack([255 * x / width, 255 * y / height, 128 + 100 * np.sin(x * y / 90)], axis=-1)
    image = Image.fromarray(colours.astype(np.uint8))
    if mode in ("RGBA", "LA"):
        image.putalpha(Image.fromarray((255 * np.abs(np.cos(x / 9))).astype(np.uint8)))
    if mode == "P":
        return image.quantize(40)
    if mode == "LAB":
        return ImageCms.profileToProfile(image, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB")  # type: ignore[return-value]
    return image.convert(mode)


def deep(height: int = HEIGHT, width: int = WIDTH) -> npt.NDArray[np.uint16]:
    """Return samples of 16 bits, one channel, of which most are above 255."""
    return (np.arange(height * width, dtype=np.uint64).reshape(height, width) * 65_535 // (height * width - 1)).astype(np.uint16)


def encode(image: Image.Image, kind: str = "PNG", **given: object) -> bytes:
    """Return an image as a file of a format."""
    target = io.BytesIO()
    image.save(target, format=kind, **given)
    return target.getvalue()


def animation(kind: str) -> bytes:
    """Return three images in a file, of which the first is the scene."""
    rest = [Image.new("RGB", (WIDTH, HEIGHT), colour) for colour in ("red", "blue")]
    return encode(scene(), kind, save_all=True, append_images=rest, duration=100)


def turned(kind: str, orientation: int, **given: object) -> bytes:
    """Return a scene with an orientation in its EXIF data."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.ImageDescription] = SECRET
    return encode(scene(), kind, exif=exif, **given)


def chunk(name: bytes, content: bytes = b"") -> bytes:
    """Return a chunk of a PNG."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(
    values: Array, *, colour: int = COLOUR, interlaced: bool = False, size: tuple[int, int] | None = None, before: bytes = b""
) -> bytes:
    """Return a PNG as Pillow writes none: of 16 bits and interlaced ones, of any declared size, with any chunks before its pixels."""
    width, height = size or (values.shape[1], values.shape[0])
    header = struct.pack(">IIBBBBB", width, height, 8 * values.dtype.itemsize, colour, 0, 0, interlaced)
    big = values.astype(values.dtype.newbyteorder(">"))
    passes = [big[y::down, x::right] for x, y, right, down in ADAM7] if interlaced else [big]
    rows = b"".join(b"\0" + row.tobytes() for each in passes for row in each if row.size)
    return PNG_MAGIC + chunk(b"IHDR", header) + before + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND")


def moved_exif(content: bytes) -> bytes:
    """Return a PNG whose EXIF data stand after its pixels."""
    at = content.index(b"eXIf") - 4
    end = at + 12 + int.from_bytes(content[at : at + 4], "big")
    last = len(content) - len(chunk(b"IEND"))
    return content[:at] + content[end:last] + content[at:end] + content[last:]


def without_adobe(content: bytes) -> bytes:
    """Return a JPEG without Adobe's segment, which says how CMYK is stored."""
    at = content.index(b"\xff\xee")
    return content[:at] + content[at + 2 + int.from_bytes(content[at + 2 : at + 4], "big") :]


def tiff(pixels: bytes, tags: Iterable[tuple[int, int, int]], *, following: int = 0) -> bytes:
    """Return a little-endian TIFF with one strip of pixels and tags of one number each: tag, type, number."""
    known = [*tags, (273, TIFF_LONG, 8), (279, TIFF_LONG, len(pixels)), (277, TIFF_SHORT, 1), (259, TIFF_SHORT, 1)]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in sorted(known))
    return b"II*\0" + struct.pack("<I", 8 + len(pixels)) + pixels + struct.pack("<H", len(known)) + entries + struct.pack("<I", following)


def grey_tiff(
    samples: Array, *, bits: int = 16, white_is_zero: bool = False, following: int = 0, more: Iterable[tuple[int, int, int]] = ()
) -> bytes:
    """Return a TIFF of grey samples of any width, whose bytes are given in the order of the file."""
    height, width = samples.shape[:2]
    shown = [(256, TIFF_LONG, width), (257, TIFF_LONG, height), (258, TIFF_SHORT, bits), (262, TIFF_SHORT, 1 - white_is_zero)]
    pixels = packed(samples) if bits == 12 else samples.tobytes()
    return tiff(pixels + b"\0" * (len(pixels) % 2), [*shown, (278, TIFF_LONG, height), *more], following=following)


def packed(samples: Array) -> bytes:
    """Return samples of 12 bits, two in three bytes; the width must be even."""
    first, second = samples[:, ::2].astype(np.uint16), samples[:, 1::2].astype(np.uint16)
    return np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], axis=-1).astype(np.uint8).tobytes()


def noted() -> bytes:
    """Return a PNG that says the secret in its text, before and after which a test may damage it."""
    said = PngImagePlugin.PngInfo()
    said.add_text("Comment", SECRET)
    return encode(scene(), pnginfo=said)


def jpeg(**given: object) -> bytes:
    """Return a JPEG that says the secret in its comment."""
    return encode(scene(), "JPEG", comment=SECRET, **given)


def spoilt_segment(content: bytes, marker: bytes, offset: int, new: bytes) -> bytes:
    """Return a JPEG with bytes of a segment written over."""
    at = content.index(marker) + 2 + offset
    return content[:at] + new + content[at + len(new) :]


def icon_of(content: bytes) -> bytes:
    """Return an ICO that holds a file as its only image, of 32 x 32 as its directory says."""
    return struct.pack("<HHHBBBBHHII", 0, 1, 1, 32, 32, 0, 0, 1, 32, len(content), 22) + content


def zipped() -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr(zipfile.ZipInfo("image.png"), encode(scene()))
    return target.getvalue()


def by_mode(kind: str, modes: Iterable[str], **given: object) -> dict[str, Callable[[], bytes]]:
    """Return how a scene is made in a format, in each of its modes."""
    return {f"{kind} {mode}": partial(lambda mode: encode(scene(mode), kind, **given), mode) for mode in modes}


GOOD_IMAGES: dict[str, Callable[[], bytes]] = {
    **by_mode("PNG", ("1", "L", "LA", "P", "RGB", "RGBA")),
    **by_mode("JPEG", ("L", "RGB", "CMYK")),
    **by_mode("GIF", ("1", "L", "P", "RGB", "RGBA")),
    **by_mode("WEBP", ("RGB", "RGBA")),
    **by_mode("TIFF", ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB")),
    **by_mode("JPEG2000", ("L", "LA", "RGB", "RGBA")),
    **by_mode("AVIF", ("L", "RGB", "RGBA")),
    **by_mode("BMP", ("1", "L", "P", "RGB", "RGBA")),
    **by_mode("ICO", ("L", "P", "RGB", "RGBA"), sizes=[(32, 32), (16, 16)]),
    **by_mode("PPM", ("1", "L", "RGB")),
    "PNG P with one transparent colour": lambda: encode(scene("P"), transparency=3),
    "PNG P with alpha for each colour": lambda: encode(scene("P"), transparency=bytes(range(0, 200, 5))),
    "PNG RGB with one transparent colour": lambda: encode(scene(), transparency=(0, 0, 128)),
    "PNG L with one transparent grey": lambda: encode(scene("L"), transparency=9),
    "PNG interlaced": lambda: png(np.asarray(scene()), interlaced=True),
    "PNG interlaced grey": lambda: png(np.asarray(scene("L")), colour=GREY, interlaced=True),
    "PNG RGB of 16 bits": lambda: png(np.stack([deep(), deep()[::-1], deep().T.reshape(HEIGHT, WIDTH)], axis=-1)),
    "PNG of one pixel": lambda: encode(scene(height=1, width=1)),
    "PNG with text": noted,
    "PNG with its EXIF data after its pixels": lambda: moved_exif(turned("PNG", 6)),
    "PNG animated": lambda: animation("PNG"),
    "GIF animated": lambda: animation("GIF"),
    "GIF with a transparent colour": lambda: encode(scene("P"), "GIF", transparency=3),
    "GIF whose screen is smaller than its image": lambda: patched(encode(scene(), "GIF"), 8, "<H", 0),
    "GIF not interlaced": lambda: encode(scene("P"), "GIF", interlace=0),
    "WEBP animated": lambda: animation("WEBP"),
    "WEBP lossless": lambda: encode(scene("RGBA"), "WEBP", lossless=True),
    "JPEG progressive": lambda: jpeg(progressive=True),
    "JPEG with halved colours": lambda: jpeg(subsampling="4:2:0"),
    "JPEG stored as RGB": lambda: encode(scene(), "JPEG", keep_rgb=True),
    "JPEG CMYK without Adobe's segment": lambda: without_adobe(encode(scene("CMYK"), "JPEG")),
    "JPEG followed by bytes": lambda: jpeg() + noise(100),
    "MPO": lambda: animation("MPO"),
    "TIFF of several images": lambda: animation("TIFF"),
    "TIFF followed by itself": lambda: grey_tiff(np.asarray(scene("L")), bits=8, following=8 + 37 * 53 + 1),
    "TIFF whose EXIF directory is its own": lambda: grey_tiff(np.asarray(scene("L")), bits=8, more=[(34665, TIFF_LONG, 8 + 37 * 53 + 1)]),
    "TIFF with white as zero": lambda: grey_tiff(np.asarray(scene("L")), bits=8, white_is_zero=True),
    "TIFF of faxes": lambda: encode(scene("1"), "TIFF", compression="group4"),
    **{
        f"TIFF {each}": partial(lambda each: encode(scene(), "TIFF", compression=each), each)
        for each in ("tiff_lzw", "jpeg", "packbits", "tiff_adobe_deflate")
    },
    "JPEG2000 codestream": lambda: encode(scene(), "JPEG2000", no_jp2=True),
    "ICO of bitmaps": lambda: encode(scene("RGBA"), "ICO", sizes=[(32, 32)], bitmap_format="bmp"),
    "ICO of another size than it says": lambda: icon_of(encode(scene("RGBA"))),
    "PPM in digits": lambda: b"P3 # " + SECRET.encode() + b"\n2 1\n255\n255 0 9  3 2 1\n",
    "PPM RGB of 16 bits": lambda: b"P6 53 37 65535\n" + np.stack([deep()] * 3, axis=-1).astype(">u2").tobytes(),
    **{
        f"{kind} of orientation {i}": partial(turned, kind, i, **given)
        for kind, given in {"JPEG": {}, "PNG": {}, "WEBP": {}, "TIFF": {}, "AVIF": {"speed": 10}, "MPO": {}}.items()
        for i in (range(1, 9) if kind in ("JPEG", "TIFF") else (3, 6))
    },
    "TIFF compressed of orientation 8": lambda: turned("TIFF", 8, compression="tiff_lzw"),
}

# Each with what Pillow's own conversion would get wrong: it makes all samples above 255 white.
DEEP_IMAGES: dict[str, tuple[Callable[[], bytes], Callable[[], npt.NDArray[np.uint16]]]] = {
    "PNG": (lambda: png(deep(), colour=GREY), deep),
    "PNG on its side": (lambda: moved_exif(encode(Image.fromarray(deep()), exif=turned_exif(6))), lambda: np.rot90(deep(), -1)),
    "PNG interlaced": (lambda: png(deep(), colour=GREY, interlaced=True), deep),
    "TIFF": (lambda: grey_tiff(deep()), deep),
    "TIFF compressed": (lambda: encode(Image.fromarray(deep()), "TIFF", compression="tiff_lzw"), deep),
    "TIFF on its side": (lambda: grey_tiff(deep(), more=[(274, TIFF_SHORT, 6)]), lambda: np.rot90(deep(), -1)),
    "TIFF big-endian": (lambda: encode(Image.fromarray(deep().astype(">u2")), "TIFF"), deep),
    "TIFF with white as zero": (lambda: grey_tiff(deep(), white_is_zero=True), lambda: 65_535 - deep()),
    "TIFF of 12 bits": (lambda: grey_tiff(deep(width=52) >> 4, bits=12), lambda: deep(width=52)),
    "JPEG2000": (lambda: encode(Image.fromarray(deep()), "JPEG2000"), deep),
    "PGM": (lambda: b"P5 53 37 65535\n" + deep().astype(">u2").tobytes(), deep),
    "PGM of 10 bits": (
        lambda: b"P5 53 37 1023\n" + (deep() >> 6).astype(">u2").tobytes(),
        lambda: np.round((deep() >> 6) / 1023 * 65535).astype(np.uint16),
    ),
}


def turned_exif(orientation: int) -> bytes:
    """Return EXIF data that say an orientation alone."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return exif.tobytes()


# EXIF data that no reader makes sense of: cut off, of another order, with a value that lies outside, with a loop.
BAD_EXIF: dict[str, bytes] = {
    "cut off": turned_exif(6)[:18],
    "random": b"Exif\0\0" + noise(200),
    "text": b"Exif\0\0" + SECRET.encode(),
    "an orientation of another type": b"Exif\0\0II*\0\x08\0\0\0\1\0" + struct.pack("<HHII", 274, 2, 200, 60_000) + bytes(4),
    "an orientation of nothing": b"Exif\0\0II*\0\x08\0\0\0\1\0" + struct.pack("<HHII", 274, 3, 0, 6) + bytes(4),
    "an orientation of 9": turned_exif(9),
    "a directory in itself": b"Exif\0\0II*\0\x08\0\0\0\1\0" + struct.pack("<HHII", 34665, 4, 1, 8) + struct.pack("<I", 8),
}

SVG = f'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><text>{SECRET}</text></svg>'.encode()
BOMB = (60_000, 60_000)
PIXEL = np.zeros((1, 1, 3), np.uint8)

BAD_IMAGES: dict[str, tuple[Callable[[], bytes], str]] = {
    "zero_bytes": (lambda: b"", "empty_image"),
    "one_byte": (lambda: b"\x89", "undecodable_image"),
    "random_bytes": (lambda: noise(20_000), "undecodable_image"),
    "zeros": (lambda: bytes(20_000), "undecodable_image"),
    "text": (lambda: (SECRET * 50).encode(), "undecodable_image"),
    "text_that_begins_as_a_bitmap": (lambda: b"BM" + (SECRET * 50).encode(), "undecodable_image"),
    "text_that_begins_as_a_pnm": (lambda: b"P1 " + SECRET.encode(), "undecodable_image"),
    "utf16_text": (lambda: (SECRET * 50).encode("utf-16"), "undecodable_image"),
    "path_of_a_file": (lambda: b"/dbfs/photos/Ottokar_Quirlewitz.png", "undecodable_image"),
    "base64_in_base64": (lambda: base64.b64encode(base64.b64encode(noted())), "undecodable_image"),
    "samples_without_a_header": (lambda: np.asarray(scene()).tobytes(), "undecodable_image"),
    "png_magic_then_random": (lambda: PNG_MAGIC + noise(2000), "undecodable_image"),
    "jpeg_magic_then_random": (lambda: b"\xff\xd8\xff\xe0" + noise(2000), "truncated_image"),
    "gif_magic_then_random": (lambda: b"GIF89a\x05\0\x05\0\0\0\0" + SECRET.encode(), "undecodable_image"),
    "tiff_magic_then_random": (lambda: b"II*\0" + noise(2000), "truncated_image"),
    "webp_magic_then_random": (lambda: b"RIFF\xd0\x07\0\0WEBPVP8 " + noise(2000), "undecodable_image"),
    "avif_magic_then_random": (lambda: b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf" + noise(2000), "truncated_image"),
    "jpeg_2000_magic_then_random": (lambda: b"\0\0\0\x0cjP  \r\n\x87\n" + noise(2000), "truncated_image"),
    "ico_magic_then_random": (lambda: b"\0\0\1\0\1\0" + noise(2000), "undecodable_image"),
    "png_cut_in_its_header": (lambda: noted()[:20], "truncated_image"),
    "jpeg_cut_in_its_header": (lambda: jpeg()[:30], "truncated_image"),
    "gif_cut_in_its_header": (lambda: encode(scene(), "GIF")[:99], "truncated_image"),
    "gif_of_its_signature": (lambda: b"GIF89a", "truncated_image"),
    "webp_cut_in_its_header": (lambda: encode(scene(), "WEBP")[:14], "truncated_image"),
    "tiff_cut_in_its_header": (lambda: encode(scene(), "TIFF")[:6], "truncated_image"),
    "png_of_zero_width": (lambda: png(PIXEL, size=(0, 1)), "undecodable_image"),
    "tiff_of_zero_width": (lambda: grey_tiff(np.zeros((9, 0), np.uint8), bits=8), "undecodable_image"),
    "png_with_a_bad_checksum": (lambda: noted().replace(b"IHDR\0\0\0\x35", b"IHDR\0\0\0\x36"), "undecodable_image"),
    "png_with_a_bad_checksum_in_its_text": (lambda: noted().replace(SECRET.encode()[:4], b"Herr"), "undecodable_image"),
    "png_with_damaged_pixels": (lambda: noted().replace(b"IDATx", b"IDAT\xff"), "undecodable_image"),
    "png_with_a_zlib_bomb_in_its_text": (
        lambda: png(PIXEL, before=chunk(b"zTXt", b"Comment\0\0" + zlib.compress(SECRET.encode() * 50_000))),
        "undecodable_image",
    ),
    "png_with_a_zlib_bomb_in_its_profile": (
        lambda: png(PIXEL, before=chunk(b"iCCP", b"sRGB\0\0" + zlib.compress(bytes(5_000_000)))),
        "undecodable_image",
    ),
    "jpeg_of_12_bits": (lambda: spoilt_segment(jpeg(), b"\xff\xc0", 2, b"\x0c"), "undecodable_image"),
    "jpeg_with_a_damaged_huffman_table": (lambda: spoilt_segment(jpeg(), b"\xff\xc4", 3, b"\xff" * 16), "undecodable_image"),
    "jpeg_without_its_tables": (lambda: jpeg().replace(b"\xff\xdb", b"\xff\xfe"), "undecodable_image"),
    "icon_of_random_bytes": (lambda: icon_of(noise(900)), "truncated_image"),
    "tiff_in_colours_of_an_unknown_kind": (lambda: grey_tiff(deep(), more=[(339, TIFF_SHORT, 6)]), "undecodable_image"),
    "svg": (lambda: SVG, "unsupported_image"),
    "svg_with_a_prolog": (
        lambda: b'<?xml version="1.0" encoding="UTF-8"?>\n<!-- ' + SECRET.encode() + b" -->\n" + SVG,
        "unsupported_image",
    ),
    "svg_with_a_doctype": (
        lambda: b'\xef\xbb\xbf<?xml version="1.0"?>\n<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "">\n' + SVG,
        "unsupported_image",
    ),
    "pdf": (lambda: encode(scene(), "PDF", title=SECRET), "unsupported_image"),
    "heic": (lambda: b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + noise(2000), "unsupported_image"),
    "heif_of_its_own_brand": (lambda: b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + noise(2000), "unsupported_image"),
    "dds": (lambda: b"DDS \x7c\0\0\0" + noise(500), "unsupported_image"),
    "qoi": (lambda: b"qoif" + struct.pack(">IIBB", 9, 9, 3, 0) + noise(500), "unsupported_image"),
    "icns": (lambda: b"icns\0\0\1\0" + noise(500), "unsupported_image"),
    "sgi": (lambda: encode(scene(), "SGI"), "unsupported_image"),
    "pcx": (lambda: encode(scene(), "PCX"), "unsupported_image"),
    "photoshop": (lambda: b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 9, 9, 8, 3) + noise(500), "unsupported_image"),
    "postscript": (lambda: encode(scene(), "EPS"), "unsupported_image"),
    "jpeg_xl": (lambda: b"\xff\x0a" + noise(500), "unsupported_image"),
    "html_of_a_failed_download": (lambda: b"<!DOCTYPE html><html><body>403 " + SECRET.encode(), "unsupported_image"),
    "zip_of_a_png": (zipped, "unsupported_image"),
    "gzip_of_a_png": (lambda: gzip.compress(noted(), mtime=0), "unsupported_image"),
    "wav": (lambda: wav(0.1), "unsupported_image"),
    "tiff_of_floats": (lambda: encode(Image.fromarray(deep().astype(np.float32)), "TIFF"), "unsupported_image"),
    "tiff_of_32_bits": (lambda: encode(Image.fromarray(deep().astype(np.int32) * 9000), "TIFF"), "unsupported_image"),
    "tiff_of_32_bits_of_small_numbers": (lambda: encode(Image.fromarray(deep().astype(np.int32) % 9), "TIFF"), "unsupported_image"),
    "tiff_of_signed_samples": (lambda: grey_tiff(deep(), more=[(339, TIFF_SHORT, 2)]), "unsupported_image"),
    "pfm": (lambda: b"Pf\n2 1\n-1.0\n" + np.zeros(2, np.float32).tobytes(), "unsupported_image"),
    "png_bomb": (lambda: png(PIXEL, size=BOMB, before=chunk(b"tEXt", b"Comment\0" + SECRET.encode())), "image_too_large"),
    "gif_bomb": (lambda: patched(encode(scene(), "GIF", comment=SECRET), 6, "<HH", *BOMB), "image_too_large"),
    "tiff_bomb": (
        lambda: grey_tiff(PIXEL[..., 0], bits=8).replace(struct.pack("<HHII", 256, 4, 1, 1), struct.pack("<HHII", 256, 4, 1, 2**31 - 1)),
        "image_too_large",
    ),
    "bmp_bomb": (lambda: patched(encode(scene(), "BMP"), 18, "<II", *BOMB), "image_too_large"),
    "jpeg_bomb": (lambda: spoilt_segment(jpeg(), b"\xff\xc0", 3, struct.pack(">HH", *BOMB)), "image_too_large"),
    "webp_bomb": (lambda: patched(encode(scene("RGBA"), "WEBP"), 24, "<IH", 0xFE003FFE, 0x003F), "image_too_large"),
    "jpeg_2000_bomb": (lambda: patched(encode(scene(), "JPEG2000", no_jp2=True), 8, ">II", *BOMB), "image_too_large"),
    "ppm_bomb": (lambda: b"P6 60000 60000 255\n" + SECRET.encode(), "image_too_large"),
    "icon_with_a_bomb": (lambda: icon_of(png(PIXEL, size=BOMB)), "image_too_large"),
    "icon_with_a_small_bomb": (lambda: icon_of(png(PIXEL, size=(10_000, 10_000))), "image_too_large"),
    "image_somewhat_too_large": (lambda: png(PIXEL, size=(10_000, 10_000)), "image_too_large"),
    **{
        f"{kind.lower()}_cut_in_the_middle".replace(" ", "_"): (
            partial(lambda kind, given: cut(encode(scene(height=150, width=150), kind, **given), 0.5), kind, given),
            "truncated_image",
        )
        for kind, given in {
            "PNG": {},
            "JPEG": {},
            "GIF": {},
            "WEBP": {},
            "TIFF": {},
            "BMP": {},
            "PPM": {},
            "AVIF": {},
            "JPEG2000": {},
            "ICO": {"sizes": [(96, 96)]},
        }.items()
    },
    "progressive_jpeg_cut_in_the_middle": (lambda: cut(jpeg(progressive=True), 0.5), "truncated_image"),
    "compressed_tiff_cut_in_the_middle": (
        lambda: cut(encode(scene(height=150, width=150), "TIFF", compression="tiff_lzw"), 0.5),
        "truncated_image",
    ),
    "webp_with_alpha_cut_at_its_end": (lambda: cut(encode(scene("RGBA"), "WEBP"), 0.9), "truncated_image"),
    "animated_gif_cut_in_its_first_image": (lambda: cut(animation("GIF"), 0.4), "truncated_image"),
}
