"""Formats beyond libsndfile's are decoded by FFmpeg's libraries: in whole and in part, from the bytes at hand alone."""

import contextlib
import io
import struct
import sys

import av_media
import numpy as np
import pytest
from av_media import KINDS
from bad_media import tone
from canary import Server

from sparkcoil import libav, media
from sparkcoil.errors import RowError
from sparkcoil.media import decode_audio

SECONDS = 3


@pytest.fixture(scope="module")
def cells() -> dict[str, bytes]:
    """The same tone in every format."""
    return {name: av_media.encode(tone(SECONDS, kind.rate), kind) for name, kind in KINDS.items()}


def code(content: bytes, **given: float) -> str:
    with pytest.raises(RowError) as caught:
        decode_audio(content, 16000, **given)
    return caught.value.code


@pytest.mark.parametrize("name", KINDS)
def test_every_format_is_decoded(cells: dict[str, bytes], name: str) -> None:
    recording = decode_audio(cells[name], 16000)
    assert recording.seconds == pytest.approx(SECONDS, abs=0.1) and recording.warnings == ()
    assert media.probe(io.BytesIO(cells[name]), max_seconds=10) == recording.seconds
    assert len(recording.samples) == round(recording.seconds * 16000)
    inside = slice(1600, SECONDS * 16000 - 1600)
    error = KINDS[name].error
    if error is None:
        assert np.abs(recording.samples[inside]).max() == pytest.approx(0.5, abs=0.1)
    else:
        np.testing.assert_allclose(recording.samples[inside], tone(SECONDS)[inside], rtol=0, atol=error)


@pytest.mark.parametrize("name", [name for name in KINDS if name != "webm_opus"])
def test_a_part_is_what_the_whole_has_there(cells: dict[str, bytes], name: str) -> None:
    whole = decode_audio(cells[name], 16000).samples
    for start, seconds in ((0.0, 0.5), (1.5, 1.0), (2.5, None)):
        part = media.read(io.BytesIO(cells[name]), 16000, start=start, seconds=seconds, max_seconds=10).samples
        first = round(start * 16000)
        # AAC fills some bands with noise of its own.
        np.testing.assert_allclose(part, whole[first : None if seconds is None else first + len(part)], rtol=0, atol=1e-3)
        assert seconds is None or len(part) == seconds * 16000


def test_a_part_of_a_webm_is_right_to_two_milliseconds(cells: dict[str, bytes]) -> None:
    whole = decode_audio(cells["webm_opus"], 16000).samples
    part = media.read(io.BytesIO(cells["webm_opus"]), 16000, start=2.0, seconds=0.5, max_seconds=10).samples
    apart = [np.abs(part[100:-100] - whole[32100 + shift : 39900 + shift]).max() for shift in range(-32, 33)]
    assert min(apart) < 0.01


@pytest.mark.parametrize("name", ["mp4_aac_stereo_faststart", "webm_opus", "matroska_flac", "aac", "amr"])
def test_a_recording_that_breaks_off_is_decoded_up_to_there_with_a_warning(cells: dict[str, bytes], name: str) -> None:
    content = cells[name]
    recording = decode_audio(content[: len(content) * 8 // 10], 16000)
    assert recording.warnings == ("truncated_media",)
    assert recording.seconds == pytest.approx(0.8 * SECONDS, abs=0.25)


@pytest.mark.parametrize("name", ["mp4_aac_stereo_faststart", "webm_opus", "matroska_flac"])
def test_too_little_of_what_is_declared_is_an_error(cells: dict[str, bytes], name: str) -> None:
    assert code(cells[name][: len(cells[name]) * 4 // 10]) == "truncated_audio"


def test_an_mp4_that_ends_before_its_index_cannot_be_decoded(cells: dict[str, bytes]) -> None:
    assert code(cells["mp4_aac"][: len(cells["mp4_aac"]) // 2]) == "undecodable_audio"


def test_limits_hold_whatever_the_format(cells: dict[str, bytes]) -> None:
    for name in ("mp4_aac", "webm_opus", "aac", "wavpack"):
        assert code(cells[name], max_seconds=2.5) == "audio_too_long"


def test_a_gap_between_packets_is_silence() -> None:
    kind = KINDS["matroska_flac"]
    content = av_media.encode(tone(1), kind)
    moved = bytearray(content)
    # A block of 1152 samples, 72 milliseconds, has a byte A3, its size, its track and its time: from the sixth on, half a second later.
    for at in range(len(content) - 6):
        byte, size, track, time = struct.unpack_from(">BHBh", content, at)
        if (byte, size >> 14, track) == (0xA3, 1, 0x81) and time >= 360 and time % 72 == 0:
            struct.pack_into(">h", moved, at + 4, time + 500)
    recording = decode_audio(bytes(moved), 16000)
    assert recording.seconds == pytest.approx(1.5, abs=0.01)
    gap = slice(5 * 1152 + 200, 5 * 1152 + 7800)
    assert not recording.samples[gap].any()
    part = media.read(io.BytesIO(bytes(moved)), 16000, start=1.2, seconds=0.2, max_seconds=10)
    np.testing.assert_allclose(part.samples, recording.samples[19200:22400], rtol=0, atol=1e-6)


def test_where_pyav_is_not_installed_the_error_names_the_format(cells: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    for name, said in (("mp4_aac", "MP4"), ("webm_opus", "WebM"), ("amr", "AMR")):
        with pytest.raises(RowError, match=f"the bytes are {said}, .*PyAV") as caught:
            decode_audio(cells[name], 16000)
        assert caught.value.code == "unsupported_audio"


def test_every_format_has_a_name_that_ffmpeg_knows() -> None:
    import av

    assert set(libav.FORMATS.values()) <= av.formats_available


def playlist(server: Server) -> bytes:
    return b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhttp://127.0.0.1:%d/a.aac\n#EXT-X-ENDLIST\n" % server.port


def test_what_a_file_says_of_other_files_is_never_opened(cells: dict[str, bytes], server: Server) -> None:
    beginnings = [b"", b"ID3\3\0\0\0\0\0\0", *(content[:16] for content in cells.values())]
    for beginning in beginnings:
        with contextlib.suppress(RowError):
            decode_audio(beginning + playlist(server), 16000)
    assert not server.calls


def test_ffmpeg_asked_for_a_playlist_would_open_it(server: Server) -> None:
    import av

    with contextlib.suppress(av.FFmpegError):
        av.open(io.BytesIO(playlist(server)), format="hls")
    assert server.calls
