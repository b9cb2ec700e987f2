"""Reads MP4, AAC, WebM, WMA, AMR and others through FFmpeg's libraries, where PyAV is installed; knows nothing of limits or rows.

FFmpeg is handed an open file and the one format that the file's first bytes are of, so that no playlist is looked for in it; what a file
says of other files is never opened.
"""

from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, NoReturn

import numpy as np
import numpy.typing as npt

from sparkcoil.containers import fail

# By the names of containers.py: what FFmpeg calls the format.
FORMATS: Mapping[str, str] = {
    "AAC": "aac",
    "AC3": "ac3",
    "AMR": "amr",
    "APE": "ape",
    "AVI": "avi",
    "CAF": "caf",
    "MP4": "mov",
    "Wave64": "w64",
    "WavPack": "wv",
    "WebM": "matroska",
    "WMA": "asf",
}
# Where packets carry the time of their first sample, and can be found by it; the others are read from their beginning.
TIMED = ("AVI", "CAF", "MP4", "Wave64", "WebM", "WMA")
# Where the header holds a duration: of the others, FFmpeg guesses it from the size.
DECLARING = (*TIMED, "APE", "WavPack")
# Encoders add silence at both ends, and headers round: what is missing beyond that was cut off.
TOLERANCE_SECONDS, TOLERANCE_SHARE = 0.5, 0.02
# Where decoding starts before what is asked for: some codecs need a few packets to find their level.
PREROLL_SECONDS = 1.0
# A packet that comes so much later than it should follows a gap, in which nothing was recorded.
GAP_SECONDS = 0.05
OPTIONS = {"protocol_whitelist": "none"}
_BLOCK_FRAMES = 16_384

Block = npt.NDArray[np.float32]


def refuse(url: str, flags: int, options: Any) -> NoReturn:
    """Open nothing: FFmpeg asks for the other files that a file names."""
    raise PermissionError


class AvFile:
    """An open file, as sndfile.SndFile is one; no header says exactly how many frames there are, so that `frames` is None.

    Time is what the packets say: where one comes late, silence is filled in, so that a part read by itself is the same as in the whole.
    """

    frames: int | None = None

    def __init__(self, file: BinaryIO, kind: str) -> None:
        try:
            import av
        except ImportError:
            fail("unsupported_audio", f"the bytes are {kind}, which is read where PyAV (`av`) is installed, and here it is not")
        self._av, self._file, self._kind = av, file, kind
        self.broken = False
        self.position = 0
        self._open()
        first = next(self._decoded(), None)
        if first is None:
            fail("undecodable_audio", f"the bytes begin like {kind} but hold no audio that can be decoded")
        # The header of some AAC declares half of the rate that comes out.
        self.rate, self.channels = int(first.sample_rate), len(first.layout.channels)
        self._open()

    def close(self) -> None:
        """Give the decoder's memory back."""
        self._container.close()

    def _open(self) -> None:
        self._file.seek(0)
        file: Any = self._file
        try:
            self._container: Any = self._av.open(file, "r", format=FORMATS[self._kind], io_open=refuse, options=OPTIONS)
            self._stream = self._container.streams.audio[0]
        except (self._av.FFmpegError, OSError, ValueError, IndexError):
            fail("undecodable_audio", f"the bytes begin like {self._kind} but hold no audio that can be opened")

    def _decoded(self) -> Iterator[Any]:
        """Yield FFmpeg's frames, up to the end or to an error."""
        try:
            yield from self._container.decode(self._stream)
        except (self._av.FFmpegError, OSError, ValueError):
            self.broken = True

    def blocks(self, first: int) -> Iterator[Block]:
        """Yield frames x channels from a frame on, to the end or to where the decoder meets an error."""
        self._go_before(first)
        held: list[Block] = []
        for begins, block in self._timeline():
            held.append(block[max(0, first - begins) :])
            self.position = begins + len(block)
            if sum(map(len, held)) >= _BLOCK_FRAMES:
                yield np.concatenate(held)
                held = []
        if sum(map(len, held)):
            yield np.concatenate(held)

    def _go_before(self, first: int) -> None:
        """Let decoding start a little before a frame, or at the beginning."""
        self.position = 0
        start = first / self.rate - PREROLL_SECONDS
        if start <= 0 or self._kind not in TIMED:
            return
        try:
            self._container.seek(int(start / self._stream.time_base) + (self._stream.start_time or 0), stream=self._stream)
        except (self._av.FFmpegError, OSError, ValueError):
            self._open()

    def _timeline(self) -> Iterator[tuple[int, Block]]:
        """Yield what is decoded with the frame that it begins with, the gaps filled with silence."""
        ends: int | None = None
        for frame in self._decoded():
            if (frame.sample_rate, len(frame.layout.channels)) != (self.rate, self.channels):
                fail("unsupported_audio", "the recording changes its rate or its channels on the way")
            begins = self._begins(frame, ends)
            while ends is not None and begins - ends > GAP_SECONDS * self.rate:
                silence = np.zeros((min(begins - ends, _BLOCK_FRAMES), self.channels), np.float32)
                yield ends, silence
                ends += len(silence)
            begins = begins if ends is None else ends
            block = as_float(frame)
            yield begins, block
            ends = begins + len(block)

    def _begins(self, frame: Any, follows: int | None) -> int:
        """Return the number of a frame's first sample, by its time where that can be relied on."""
        if frame.pts is None or self._kind not in TIMED:
            return follows or 0
        seconds = float((frame.pts - (self._stream.start_time or 0)) * frame.time_base)
        return max(0, round(seconds * self.rate))

    def share(self, *, ended: bool) -> float | None:
        """Return the share of its declared duration that the recording has, or None if it breaks off without having declared one."""
        declared = self._declared() if ended else None
        if declared is None:
            return None if self.broken else 1.0
        seconds = self.position / self.rate
        if declared - seconds <= TOLERANCE_SECONDS + TOLERANCE_SHARE * declared:
            return None if self.broken else 1.0
        return seconds / declared

    def _declared(self) -> float | None:
        if self._kind not in DECLARING:
            return None
        if self._stream.duration is not None:
            return float(self._stream.duration * self._stream.time_base)
        return None if self._container.duration is None else self._container.duration / self._av.time_base

    def check_all_was_read(self) -> None:
        """FFmpeg reads a file to its end."""


def as_float(frame: Any) -> Block:
    """Return the samples of one of FFmpeg's frames as frames x channels, full scale at one."""
    samples = frame.to_ndarray()
    samples = samples.T if frame.format.is_planar else samples.reshape(-1, len(frame.layout.channels))
    if samples.dtype.kind == "f":
        return np.ascontiguousarray(samples, np.float32)
    width = 8 * samples.dtype.itemsize
    centred = samples.astype(np.float64) - (2 ** (width - 1) if samples.dtype.kind == "u" else 0)
    return np.ascontiguousarray(centred / 2 ** (width - 1), np.float32)
