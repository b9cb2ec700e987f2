"""What an audio file says of itself in bytes: its container, its declared size, where it ends. Knows nothing of decoders.

Every function takes a binary file that can seek, and reads a bounded part of it, but for `joined`, which reads it through in blocks.
"""

import io
import os
import re
import struct
from typing import BinaryIO, NoReturn

from sparkcoil.errors import RowError

# Writers that cannot go back to the header leave a size like these: ffmpeg 2**32-1, arecord 2**31, sox 0x7ffff000.
SIZE_PLACEHOLDER = 0x7FFFF000
HEAD_BYTES = 64
LAST_PAGE_BYTES = 2 * 65_307  # an Ogg page has no more, so that a whole one lies within the last two
SCAN_BYTES = 2**20

_CONTAINERS = re.compile(
    rb"""(?P<WAV>RIF[FX] .{4} WAVE | RF64 .{4} WAVE) | (?P<AIFF>FORM .{4} AIF[FC]) | (?P<AU>\.snd) | (?P<FLAC>fLaC) | (?P<Ogg>OggS)
    | (?P<MP3>\xff [\xe2-\xe7\xf2-\xf7\xfa-\xff] [^\xf0-\xff]) | (?P<AAC>\xff [\xf0\xf1\xf8\xf9] | ADIF) | (?P<MP4>.{4} ftyp)
    | (?P<WebM>\x1a\x45\xdf\xa3) | (?P<WMA>\x30\x26\xb2\x75\x8e\x66\xcf\x11) | (?P<AMR>\#!AMR) | (?P<CAF>caff) | (?P<AC3>\x0b\x77)
    | (?P<AVI>RIFF .{4} AVI\x20) | (?P<WavPack>wvpk) | (?P<Wave64>riff\x2e\x91\xcf\x11) | (?P<MIDI>MThd) | (?P<APE>MAC\x20)""",
    re.DOTALL | re.VERBOSE,
)
_NEXT_STREAM = {"FLAC": re.compile(rb"(?P<FLAC>fLaC[\x00\x80]\x00\x00\x22)"), "Ogg": re.compile(rb"(?P<Ogg>OggS\x00[\x02\x03\x06\x07])")}
_XING_FRAMES = re.compile(rb".{13,40}(Xing|Info)...[\x01\x03\x05\x07\x09\x0b\x0d\x0f]", re.DOTALL)


class Shifted(io.RawIOBase):
    """A file from an offset to its end."""

    def __init__(self, file: BinaryIO, offset: int) -> None:
        self._file, self._offset = file, offset
        file.seek(offset)

    def readable(self) -> bool:
        """Reading is what it is for."""
        return True

    def seekable(self) -> bool:
        """The file below can seek."""
        return True

    def tell(self) -> int:
        """Return the position after the offset."""
        return self._file.tell() - self._offset

    def seek(self, position: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position after the offset."""
        return self._file.seek(position + (self._offset if whence == os.SEEK_SET else 0), whence) - self._offset

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]
        """Fill the buffer as far as the file goes."""
        content = self._file.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)


def fail(code: str, message: str) -> NoReturn:
    """Raise the row's error, without the cause, which may quote the content."""
    raise RowError("input", code, message) from None


def size_of(file: BinaryIO) -> int:
    """Return the file's size in bytes."""
    return file.seek(0, os.SEEK_END)


def at(file: BinaryIO, position: int, count: int) -> bytes:
    """Return so many bytes from a position on, fewer where the file ends before."""
    file.seek(position)
    return file.read(count)


def without_id3(file: BinaryIO) -> BinaryIO:
    """Return the file after a leading ID3v2 tag: it hides what follows, and libsndfile loses the end of a WAV that has one."""
    tag = at(file, 0, 10)
    if tag[:3] != b"ID3" or len(tag) < 10:
        return file
    size = sum((byte & 0x7F) << shift for byte, shift in zip(tag[6:], (21, 14, 7, 0), strict=True))
    return Shifted(file, 10 + size + (10 if tag[5] & 0x10 else 0))  # type: ignore[return-value]


def named(head: bytes) -> str | None:
    """Return the container that first bytes are of, None for none that is known."""
    match = _CONTAINERS.match(head)
    return match.lastgroup if match else None


def fields(file: BinaryIO, layout: str, position: int) -> tuple[int, ...] | None:
    """Read numbers in the byte order of the file, or nothing where it ends before them."""
    order = "<" if at(file, 0, 4) in (b"RIFF", b"RF64") else ">"
    content = at(file, position, struct.calcsize(order + layout))
    return struct.unpack(order + layout, content) if len(content) == struct.calcsize(order + layout) else None


def chunks(file: BinaryIO) -> dict[bytes, tuple[int, int]]:
    """Return where each RIFF or FORM chunk starts and the size it declares, up to the samples, in a bounded number of steps."""
    found: dict[bytes, tuple[int, int]] = {}
    position = 12
    for _ in range(256):
        size = fields(file, "I", position + 4)
        if size is None or b"data" in found or b"SSND" in found:
            break
        found.setdefault(at(file, position, 4), (position + 8, size[0]))
        position += 8 + size[0] + size[0] % 2
    return found


def wav_format(file: BinaryIO) -> tuple[int, int, int] | None:
    """Return a WAV's format tag, channels and rate as its header declares them, None where it ends before them."""
    found = fields(file, "HHI", chunks(file).get(b"fmt ", (size_of(file), 0))[0])
    return None if found is None else (found[0], found[1], found[2])


def share_present(file: BinaryIO, kind: str) -> float:
    """Compare the bytes that are there with the declared size, from which libsndfile silently departs in WAV, AIFF and AU."""
    known = chunks(file) if kind in ("WAV", "AIFF") else {}
    start, size = known.get(b"data") or known.get(b"SSND") or (0, 0)
    if kind == "AU":
        start, size = fields(file, "II", 4) or (0, 0)
    elif at(file, 0, 4) == b"RF64":
        (size,) = fields(file, "Q", known.get(b"ds64", (0, 0))[0] + 8) or (0,)
    return 1.0 if size == 0 or size >= SIZE_PLACEHOLDER else min(1.0, max(0, size_of(file) - start) / size)


def ends_ogg_stream(file: BinaryIO) -> bool:
    """Whether the last page is whole and carries the flag for the end of its stream."""
    content = at(file, max(0, size_of(file) - LAST_PAGE_BYTES), LAST_PAGE_BYTES)
    page = content.rfind(b"OggS")
    header = content[page : page + 27]
    if page < 0 or len(header) < 27 or not header[5] & 0x04:
        return False
    body = page + 27 + header[26]
    return body + sum(content[page + 27 : body]) <= len(content)


def counts_frames(file: BinaryIO, kind: str) -> bool:
    """Whether the header says how many frames there are: FLAC's does, MP3's where it is a Xing header."""
    return kind == "FLAC" or (kind == "MP3" and _XING_FRAMES.match(at(file, 0, HEAD_BYTES)) is not None)


def joined(file: BinaryIO, kind: str, position: int) -> bool:
    """Whether another file of the kind follows where the decoder has stopped; in FLAC and Ogg it has read ahead, beyond that place."""
    if kind not in _NEXT_STREAM:
        return named(at(file, position, HEAD_BYTES)) == kind
    file.seek(4)
    block = before = b""
    while block := file.read(SCAN_BYTES):
        if _NEXT_STREAM[kind].search(before + block):
            return True
        before = block[-HEAD_BYTES:]
    return False
