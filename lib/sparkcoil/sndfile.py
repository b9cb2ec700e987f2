"""Reads WAV, AIFF, AU, FLAC, Ogg and MP3 through libsndfile, from any frame on, and writes WAV.

Knows nothing of limits, rates asked for, or rows.
"""

import io
import re
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import soundfile as sf  # type: ignore[import-untyped]

from sparkcoil import containers
from sparkcoil.containers import fail

READABLE = ("WAV", "AIFF", "AU", "FLAC", "Ogg", "MP3")

PREROLL_SECONDS = 1
_BLOCK_FRAMES = 65_536
_FRAMES_UNKNOWN = 2**63 - 1


class _Forward(sf.SoundFile):  # type: ignore[misc]
    """A sound file that is only read forwards: soundfile would seek after each block, which costs MP3 its decoder state."""

    def seekable(self) -> bool:
        return False


class SndFile:
    """An open file. `frames` is what the header declares, None where it declares nothing; `position` is the frame that comes next."""

    def __init__(self, file: BinaryIO, kind: str) -> None:
        self._file, self._kind = file, kind
        self._sound = _opened(file, kind)
        self.rate, self.channels = int(self._sound.samplerate), int(self._sound.channels)
        self.frames: int | None = None if self._sound.frames == _FRAMES_UNKNOWN else int(self._sound.frames)
        self.position = 0
        self.broken = False

    def close(self) -> None:
        """Give the decoder's memory back."""
        self._sound.close()

    def blocks(self, first: int) -> Iterator[npt.NDArray[np.float32]]:
        """Yield frames x channels from a frame on, to the end or to where the decoder meets an error; a block is good for one turn."""
        block = np.empty((_BLOCK_FRAMES, self.channels), np.float32)
        count = self._first(first, block)
        while count:
            yield block[:count]
            count = self._read(block)

    def _first(self, first: int, block: npt.NDArray[np.float32]) -> int:
        """Fill the block from a frame on; where none comes there, find out by reading up to it how far the recording goes."""
        # A frame of MP3 needs bits of those before it.
        before = max(0, first - PREROLL_SECONDS * self.rate) if self._kind == "MP3" else first
        try:
            self.position = self._sound.seek(before) if before else 0
            if (count := self._read_from(first, block)) or not first:
                return count
        except sf.SoundFileError:
            pass
        self._sound.close()
        self._sound, self.position, self.broken = _opened(self._file, self._kind), 0, False
        return self._read_from(first, block)

    def _read_from(self, first: int, block: npt.NDArray[np.float32]) -> int:
        """Read up to a frame, then fill the block."""
        while self.position < first and self._read(block[: first - self.position]):
            pass
        return self._read(block)

    def _read(self, block: npt.NDArray[np.float32]) -> int:
        """Fill the block and return how many frames were decoded; none come after an error."""
        if self.broken:
            return 0
        try:
            count = len(self._sound.read(out=block))
        except sf.SoundFileError:
            self.broken = True
            # libsndfile cannot tell where it is in the ADPCM of telephone exchanges.
            count = self._sound.tell() - self.position if sf.SoundFile.seekable(self._sound) else 0
        self.position += count
        return count

    def share(self, *, ended: bool) -> float | None:
        """Return the share of its declared length that the recording has, or None if it breaks off without having declared one.

        `ended` where the blocks were taken to their end: only then is it known how far a file that counts its frames can be decoded.
        """
        if containers.counts_frames(self._file, self._kind) and self.frames:
            return self.position / self.frames if ended else 1.0
        if self.broken or (self._kind == "Ogg" and not containers.ends_ogg_stream(self._file)):
            return None
        return containers.share_present(self._file, self._kind)

    def check_all_was_read(self) -> None:
        """Refuse joined files, of which libsndfile returns the first part."""
        if containers.joined(self._file, self._kind, self._file.tell()):
            kind = self._kind
            fail("unsupported_audio", f"the {kind} goes on after its declared or estimated end, as joined files do; convert it to FLAC")


def _opened(file: BinaryIO, kind: str) -> sf.SoundFile:
    try:
        file.seek(0)
        # By its number, libsndfile reads a file without asking Python for every few kilobytes.
        return _Forward(file.fileno(), closefd=False) if isinstance(file, io.FileIO) else _Forward(file)
    except sf.SoundFileError:
        tag = (containers.wav_format(file) or (1, 1, 1))[0] if kind == "WAV" else 1
        if tag not in (1, 3, 0xFFFE):
            fail("unsupported_audio", f"the WAV's encoding, format tag 0x{tag:04x}, is not read here")
        if kind == "Ogg" and not re.search(rb"\x01vorbis|OpusHead", containers.at(file, 0, containers.HEAD_BYTES)):
            fail("unsupported_audio", "the Ogg file holds neither Vorbis nor Opus, which are what is read here")
        fail("undecodable_audio", f"the bytes begin like {kind} but cannot be opened as such")


def wav(samples: npt.NDArray[np.float32], rate: int) -> bytes:
    """Return the samples of one channel, from -1 to 1, as a WAV file of 16-bit PCM."""
    encoded = io.BytesIO()
    sf.write(encoded, samples, rate, format="WAV", subtype="PCM_16")
    return encoded.getvalue()
