"""What an image file says in bytes of where its parts lie, and whether it ends before them. Knows nothing of decoders.

Every function takes a binary file that can seek, and reads a bounded number of its parts' headers.
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO

from sparkcoil import containers

# More parts are not followed: a PNG of a gigabyte has some hundred thousand, of 8 KiB each.
MOST_PARTS = 200_000
CHUNK_BYTES = 65_536  # EXIF data of a JPEG have no more


def ends_early(file: BinaryIO) -> bool:
    """Whether a file ends before what it declares, as far as its outermost parts tell; asked where a decoder has failed."""
    size, head = containers.size_of(file), containers.at(file, 0, 12)
    if head[:3] == b"\xff\xd8\xff":
        return b"\xff\xd9" not in containers.at(file, max(0, size - CHUNK_BYTES), CHUNK_BYTES)
    if head[:3] == b"GIF":
        return size <= 13 + (3 * 2 ** (head[10] % 8 + 1) if head[10:11] > b"\x7f" else 0)
    if head[:4] == b"RIFF" and head[8:] == b"WEBP":
        return 8 + int.from_bytes(head[4:8], "little") > size
    if head[:4] in (b"II*\0", b"MM\0*"):
        return int.from_bytes(head[4:8], "little" if head[:1] == b"I" else "big") >= size
    if head[4:8] in (b"ftyp", b"jP  "):
        return any(end > size for end in box_ends(file))
    return False


def box_ends(file: BinaryIO) -> Iterator[int]:
    """Yield where each box of an AVIF or a JPEG 2000 ends, as it declares; the last one may reach to the end of the file."""
    position = 0
    for _ in range(MOST_PARTS):
        head = containers.at(file, position, 16)
        if len(head) < 8:
            return
        size = int.from_bytes(head[8:16] if head[:4] == b"\0\0\0\1" else head[:4], "big")
        if size < 8:
            return
        position += size
        yield position


def png_chunk(file: BinaryIO, name: bytes) -> bytes:
    """Return what the first chunk of a name holds in a PNG, nothing where there is none."""
    position = 8
    for _ in range(MOST_PARTS):
        head = containers.at(file, position, 8)
        if len(head) < 8:
            return b""
        size, found = struct.unpack(">I4s", head)
        if found == name:
            return file.read(min(size, CHUNK_BYTES))
        position += 12 + size
    return b""
