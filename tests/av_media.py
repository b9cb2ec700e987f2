"""Builds audio cells in the formats that libsndfile does not know, by PyAV; knows nothing of sparkcoil."""

import tempfile
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
import numpy.typing as npt


class Kind(NamedTuple):
    """How FFmpeg is asked for a format; `error` is how far a decoded sample may be from the original, None where the codec delays."""

    format: str
    codec: str
    error: float | None = 1e-4
    rate: int = 16000
    layout: str = "mono"
    options: Mapping[str, str] = {}


KINDS = {
    "mp4_aac": Kind("mp4", "aac", 0.02),
    "mp4_aac_stereo_faststart": Kind("mp4", "aac", 0.02, 44100, "stereo", {"movflags": "faststart"}),
    "m4a_aac": Kind("ipod", "aac", 0.02),
    "m4a_alac": Kind("ipod", "alac"),
    "3gp_aac": Kind("3gp", "aac", 0.02),
    "mov_pcm": Kind("mov", "pcm_s16le"),
    "aac": Kind("adts", "aac", None),
    "webm_opus": Kind("webm", "libopus", 0.05, 48000),
    "matroska_flac": Kind("matroska", "flac"),
    "matroska_float": Kind("matroska", "pcm_f32le", 1e-6),
    "ac3": Kind("ac3", "ac3", None, 48000),
    "caf_pcm": Kind("caf", "pcm_s24le", 1e-6),
    "avi_pcm": Kind("avi", "pcm_s16le"),
    "avi_u8": Kind("avi", "pcm_u8", 0.01),
    "wavpack": Kind("wv", "wavpack", 0.01),
    "wave64": Kind("w64", "pcm_s16le"),
    "amr": Kind("amr", "libopencore_amrnb", None, 8000),
}


def encode(samples: npt.NDArray[np.floating[Any]], kind: Kind) -> bytes:
    """Return mono samples, the same in each channel, as a file of a kind."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip"
        with av.open(str(path), "w", format=kind.format, options=dict(kind.options)) as container:
            stream: Any = container.add_stream(kind.codec, rate=kind.rate)
            stream.layout = kind.layout
            resampler = av.AudioResampler(stream.codec_context.codec.audio_formats[0].name, kind.layout, kind.rate)
            for start in range(0, len(samples), 1024):
                frame = frame_of(samples[start : start + 1024], kind, start)
                container.mux([packet for each in resampler.resample(frame) for packet in stream.encode(each)])
            container.mux([packet for each in resampler.resample(None) for packet in stream.encode(each)])
            container.mux(stream.encode(None))
        return path.read_bytes()


def frame_of(samples: npt.NDArray[np.floating[Any]], kind: Kind, start: int) -> av.AudioFrame:
    """Return samples as one of FFmpeg's frames."""
    channels = 2 if kind.layout == "stereo" else 1
    frame = av.AudioFrame.from_ndarray(np.tile(samples.astype(np.float32), (channels, 1)), format="fltp", layout=kind.layout)
    frame.sample_rate, frame.pts, frame.time_base = kind.rate, start, Fraction(1, kind.rate)
    return frame
