"""Audio cells become mono samples at the asked rate, or a row error with a stable code; nothing else ever leaves the decoder."""

import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile as sf  # type: ignore[import-untyped]
from bad_media import (
    BAD_AUDIO,
    FLAC_HEADER,
    SECRET,
    WAV_DATA_SIZE,
    WAV_HEADER,
    cut,
    encode,
    flac_claiming,
    good_audio,
    noise,
    patched,
    tone,
    wav_layout,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from sparkcoil import media, sndfile
from sparkcoil.errors import RowError
from sparkcoil.media import Recording, decode_audio

MIB = 2**20
ID3_TAG = b"ID3\3\0\0\0\0\1\0" + bytes(128)
LOSSLESS = [
    ("WAV", "PCM_16", 2**-15),
    ("WAV", "PCM_24", 2**-23),
    ("WAV", "FLOAT", 2**-24),
    ("FLAC", "PCM_16", 2**-15),
    ("FLAC", "PCM_24", 2**-23),
    ("AIFF", "PCM_16", 2**-15),
    ("AU", "PCM_16", 2**-15),
    ("RF64", "PCM_16", 2**-15),
]
# Where the bundled libsndfile writes them: the coarsest are mu-law and 8 bits, the lossy ones need not keep the samples at all.
LOSSY = [("WAV", "ULAW", 2**-5), ("WAV", "ALAW", 2**-5), ("WAV", "PCM_U8", 2**-6), ("OGG", "VORBIS", 2**-4), ("MP3", None, 2**-4)]
BREAKABLE = ["WAV", "FLAC", "AIFF", "AU", "RF64", "MP3"]


def failure(content: bytes, *, max_seconds: float = 3600.0) -> RowError:
    with pytest.raises(RowError) as caught:
        decode_audio(content, 16000, max_seconds=max_seconds)
    return caught.value


def outcome(content: bytes) -> Recording | RowError:
    try:
        return decode_audio(content, 16000)
    except RowError as error:
        return error


def assert_decodes_or_fails(content: bytes) -> None:
    result = outcome(content)
    if isinstance(result, RowError):
        assert result.stage == "input"
    else:
        assert result.samples.dtype == np.float32 and result.samples.size and np.isfinite(result.samples).all()


def main_frequency(samples: npt.NDArray[np.float32], rate: int) -> float:
    """Return the strongest frequency, to within the 1 Hz that a second resolves."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(samples.size)))
    return float(np.argmax(spectrum)) * rate / samples.size


def writable(format: str, subtype: str | None) -> bool:
    return format in sf.available_formats() and (subtype is None or subtype in sf.available_subtypes(format))


def peak_mib(decode: Callable[[], object]) -> float:
    tracemalloc.start()
    try:
        decode()
        return tracemalloc.get_traced_memory()[1] / MIB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("build", "code"), BAD_AUDIO.values(), ids=BAD_AUDIO)
def test_each_kind_of_bad_audio_is_a_row_error_with_its_code(build: Callable[[], bytes], code: str) -> None:
    error = failure(build())
    assert (error.stage, error.code, error.retryable) == ("input", code, False)


@pytest.mark.parametrize("build", [build for build, _ in BAD_AUDIO.values()], ids=BAD_AUDIO)
def test_no_message_quotes_the_content(build: Callable[[], bytes]) -> None:
    content = build()
    message = failure(content).message
    assert 10 < len(message) < 200 and message.isprintable()
    assert not any(message[at : at + 8].encode() in content for at in range(len(message) - 7))
    assert SECRET.split()[2] not in message and "\\x" not in message


def test_no_cause_is_chained_that_could_quote_the_content() -> None:
    assert all(failure(build()).__suppress_context__ for build, _ in BAD_AUDIO.values())


def test_every_code_of_the_docstring_but_the_largest_decoding_is_among_the_bad_kinds() -> None:
    documented = {line.split()[0] for line in str(media.__doc__).splitlines() if "  " in line and not line.startswith(" ")}
    assert documented == {code for _, code in BAD_AUDIO.values()} | {"audio_too_large"}


@pytest.mark.parametrize(("format", "subtype", "step"), LOSSLESS)
def test_a_clip_is_the_same_in_every_lossless_encoding(format: str, subtype: str, step: float) -> None:
    recording = decode_audio(good_audio(1, format=format, subtype=subtype), 16000)
    assert (recording.samples.dtype, recording.samples.shape) == (np.float32, (16000,))
    assert (recording.seconds, recording.warnings) == (1.0, ())
    np.testing.assert_allclose(recording.samples, tone(1), rtol=0, atol=step)


@pytest.mark.parametrize(("format", "subtype", "error"), [case for case in LOSSY if writable(*case[:2])])
def test_a_clip_is_nearly_the_same_in_every_lossy_encoding(format: str, subtype: str | None, error: float) -> None:
    recording = decode_audio(good_audio(1, format=format, subtype=subtype), 16000)
    assert (recording.samples.size, recording.seconds, recording.warnings) == (16000, 1.0, ())
    np.testing.assert_allclose(recording.samples, tone(1), rtol=0, atol=error)


@pytest.mark.skipif(not writable("OGG", "OPUS"), reason="this libsndfile writes no Opus")
def test_opus_keeps_the_length_and_the_frequency() -> None:
    recording = decode_audio(good_audio(1, 48000, format="OGG", subtype="OPUS"), 16000)
    assert recording.samples.size == pytest.approx(16000, abs=16) and recording.warnings == ()
    assert main_frequency(recording.samples, 16000) == pytest.approx(440, abs=2)


@pytest.mark.parametrize(
    ("format", "subtype"), [("AU", "G721_32"), ("AU", "G723_24"), ("AU", "G723_40"), ("WAV", "G721_32"), ("WAV", "NMS_ADPCM_32")]
)
def test_telephone_encodings_in_which_libsndfile_cannot_seek_are_read(format: str, subtype: str) -> None:
    if not writable(format, subtype):
        pytest.skip("this libsndfile does not write it")
    recording = decode_audio(good_audio(10, 8000, format=format, subtype=subtype), 8000)
    assert recording.samples.size == pytest.approx(80000, abs=200)
    assert main_frequency(recording.samples[:8000], 8000) == pytest.approx(440, abs=2)


def test_the_content_decides_and_a_leading_tag_does_not() -> None:
    for format in ("WAV", "FLAC", "MP3"):
        plain, tagged = (decode_audio(content, 16000) for content in (good_audio(1, format=format), ID3_TAG + good_audio(1, format=format)))
        np.testing.assert_array_equal(plain.samples, tagged.samples)
        assert tagged.warnings == ()


def test_stereo_is_mixed_to_the_mean() -> None:
    left, right = tone(1), tone(1, frequency=1000)
    recording = decode_audio(encode(np.stack([left, right], axis=1), subtype="FLOAT"), 16000)
    np.testing.assert_allclose(recording.samples, (left + right) / 2, rtol=0, atol=1e-6)


def test_opposite_channels_cancel() -> None:
    recording = decode_audio(encode(np.stack([tone(1), -tone(1)], axis=1), subtype="FLOAT"), 16000)
    np.testing.assert_array_equal(recording.samples, 0)


def test_eight_channels_are_mixed_and_nine_refused() -> None:
    np.testing.assert_allclose(decode_audio(good_audio(1, channels=8), 16000).samples, tone(1), rtol=0, atol=2**-15)
    assert failure(good_audio(1, channels=9)).code == "audio_channels"


@pytest.mark.parametrize("format", ["WAV", "FLAC", "OGG", "MP3"])
def test_every_channel_counts_in_every_format(format: str) -> None:
    silent_right = np.stack([tone(1), 0 * tone(1)], axis=1)
    samples = decode_audio(encode(silent_right, format=format), 16000).samples
    assert np.abs(samples[4000:12000]).max() == pytest.approx(0.25, abs=0.05)


@pytest.mark.parametrize("wanted", [8000, 16000, 48000])
@pytest.mark.parametrize("rate", [4000, 8000, 11025, 16000, 22050, 44100, 48000, 192000])
def test_resampling_keeps_the_length_the_loudness_and_the_frequency(rate: int, wanted: int) -> None:
    recording = decode_audio(good_audio(1, rate), wanted)
    assert recording.seconds == 1.0
    assert recording.samples.size == pytest.approx(wanted, abs=2)
    assert main_frequency(recording.samples, wanted) == pytest.approx(440, abs=1)
    assert np.abs(recording.samples[wanted // 4 : -wanted // 4]).max() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("frames", [sndfile._BLOCK_FRAMES - 1, sndfile._BLOCK_FRAMES, sndfile._BLOCK_FRAMES + 1, 3 * sndfile._BLOCK_FRAMES])
def test_no_sample_is_lost_or_doubled_where_blocks_meet(frames: int) -> None:
    seconds = frames / 16000
    np.testing.assert_allclose(decode_audio(good_audio(seconds), 16000).samples, tone(seconds), rtol=0, atol=2**-15)


def test_resampled_blocks_join_without_a_click() -> None:
    samples = decode_audio(good_audio(10, 48000, subtype="FLOAT"), 16000).samples
    np.testing.assert_allclose(samples[1000:-1000], tone(10)[1000:-1000], rtol=0, atol=1e-3)


@pytest.mark.parametrize("wanted", [8000, 16000, 48000])
@pytest.mark.parametrize("at", [0, 8000, -1])
def test_one_nan_anywhere_is_found_at_any_rate(at: int, wanted: int) -> None:
    samples = np.stack([tone(1), tone(1)], axis=1)
    samples[at, 1] = np.nan
    with pytest.raises(RowError) as caught:
        decode_audio(encode(samples, subtype="FLOAT"), wanted)
    assert caught.value.code == "non_finite_audio"


@pytest.mark.parametrize(("rate", "accepted"), [(3999, False), (4000, True), (192000, True), (192001, False)])
def test_rates_are_accepted_up_to_the_limits(rate: int, accepted: bool) -> None:
    content = wav_layout(rate=rate)
    if accepted:
        assert decode_audio(content, rate).samples.size == 100
    else:
        assert failure(content).code == "audio_rate"


@pytest.mark.parametrize("format", ["WAV", "FLAC", "OGG", "MP3"])
def test_a_recording_may_last_as_long_as_allowed_and_no_longer(format: str) -> None:
    content = good_audio(2, format=format)
    assert decode_audio(content, 16000, max_seconds=2).seconds == 2
    assert failure(content, max_seconds=1.9).code == "audio_too_long"


def test_a_large_decoding_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "MAX_DECODED_BYTES", 16000 * 4 - 1)
    assert failure(good_audio(1)).code == "audio_too_large"


@pytest.mark.parametrize("format", [format for format in BREAKABLE if writable(format, None)])
def test_a_recording_cut_at_80_percent_is_decoded_up_to_there_with_a_warning(format: str) -> None:
    recording = decode_audio(cut(good_audio(10, format=format), 0.8), 16000)
    assert recording.warnings == ("truncated_media",)
    assert recording.samples.size == pytest.approx(0.8 * 160000, rel=0.03)
    assert recording.seconds == pytest.approx(recording.samples.size / 16000)
    inside = slice(100, recording.samples.size - 4000)
    np.testing.assert_allclose(recording.samples[inside], tone(10)[: recording.samples.size][inside], rtol=0, atol=2**-4)


def test_an_ogg_that_was_cut_gets_the_warning_whatever_is_left() -> None:
    recording = decode_audio(cut(good_audio(10, format="OGG"), 0.8), 16000)
    assert recording.warnings == ("truncated_media",)
    assert 0 < recording.samples.size < 160000


@pytest.mark.parametrize(("share", "accepted"), [(0.49, False), (0.51, True)])
def test_half_of_what_is_declared_is_needed(share: float, accepted: bool) -> None:
    content = cut(good_audio(10), share)
    if accepted:
        assert decode_audio(content, 16000).warnings == ("truncated_media",)
    else:
        assert failure(content).code == "truncated_audio"


def test_a_flac_damaged_near_its_end_is_decoded_with_the_warning() -> None:
    content = good_audio(10, format="FLAC")
    damaged = content[: len(content) * 9 // 10] + bytes(len(content) - len(content) * 9 // 10)
    recording = decode_audio(damaged, 16000)
    assert recording.warnings == ("truncated_media",)
    assert 0.8 * 160000 < recording.samples.size < 160000


def test_a_flac_whose_first_frame_is_damaged_is_a_row_error() -> None:
    content = good_audio(1, format="FLAC")
    assert failure(content[:FLAC_HEADER] + noise(len(content) - FLAC_HEADER)).code in ("truncated_audio", "undecodable_audio")


@pytest.mark.parametrize("placeholder", [2**32 - 1, 2**31, 0x7FFFF000])
def test_a_streamed_wav_with_a_placeholder_for_its_size_has_no_warning(placeholder: int) -> None:
    recording = decode_audio(patched(good_audio(1), WAV_DATA_SIZE, "<I", placeholder), 16000)
    assert (recording.samples.size, recording.warnings) == (16000, ())


def test_a_flac_of_unknown_length_is_read_to_its_end() -> None:
    recording = decode_audio(flac_claiming(0, good_audio(1, format="FLAC")), 16000)
    assert (recording.samples.size, recording.warnings) == (16000, ())


def test_a_wav_with_a_chunk_after_its_samples_has_no_warning() -> None:
    recording = decode_audio(good_audio(1) + b"LIST\x04\0\0\0INFO", 16000)
    assert (recording.samples.size, recording.warnings) == (16000, ())


def test_a_claimed_length_takes_no_memory() -> None:
    content = flac_claiming(2**36 - 1, good_audio(1, format="FLAC"))
    assert peak_mib(lambda: failure(content)) < 2


def test_silence_whose_length_is_hidden_is_decoded_only_up_to_the_limit() -> None:
    bomb = flac_claiming(0, encode(np.zeros(3600 * 4000, np.int16), 4000, format="FLAC"))
    assert len(bomb) < 60_000
    # An hour would be 220 MiB at 16 kHz; the block in which ten seconds end holds at most 16 s more.
    assert peak_mib(lambda: failure(bomb, max_seconds=10)) < 8


def test_a_long_recording_is_not_held_at_its_own_rate_and_width() -> None:
    content = encode(np.zeros((30 * 96000, 8), np.int16), 96000, format="FLAC")
    # 30 s are 88 MiB as decoded and 2 MiB as returned.
    assert peak_mib(lambda: decode_audio(content, 16000)) < 16


@pytest.mark.parametrize("format", ["FLAC", "WAV"])
def test_a_part_of_a_long_recording_takes_the_memory_of_the_part(tmp_path: Path, format: str) -> None:
    file = tmp_path / "long"
    file.write_bytes(encode(np.zeros((20 * 96000, 8), np.int16), 96000, format=format))
    with file.open("rb", buffering=0) as opened:
        # Two seconds are 6 MiB as decoded, 20 s would be 59.
        assert peak_mib(lambda: media.read(opened, 16000, start=15.0, seconds=2.0, max_seconds=60)) < 8
        assert peak_mib(lambda: media.probe(opened, max_seconds=60)) < 1


MEASURE = """
import resource, sys
sys.path.insert(0, sys.argv[1])
from bad_media import BAD_AUDIO, good_audio
from sparkcoil.errors import RowError
from sparkcoil.media import decode_audio
decode_audio(good_audio(1, 8000, format="FLAC"), 16000)
cells = [build() for build, _ in BAD_AUDIO.values()]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for cell in cells:
    try:
        decode_audio(cell, 16000)
    except RowError:
        continue
    raise AssertionError
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_no_bad_audio_takes_memory_outside_of_python() -> None:
    tests = str(Path(__file__).parent)
    done = subprocess.run([sys.executable, "-c", MEASURE, tests], check=True, capture_output=True, text=True)
    # ru_maxrss counts KiB on Linux and bytes on macOS.
    assert int(done.stdout) < 64 * (MIB if sys.platform == "darwin" else 1024)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=2000))
def test_random_bytes_never_raise_anything_else(content: bytes) -> None:
    assert_decodes_or_fails(content)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(
        [b"RIFF\xff\0\0\0WAVEfmt ", b"RF64\xff\xff\xff\xffWAVEds64", b"FORM\0\0\0\xffAIFF", b".snd", b"fLaC\0\0\0\x22", b"ID3\3"]
    ),
    st.binary(),
)
def test_random_bytes_behind_a_magic_number_never_raise_anything_else(magic: bytes, content: bytes) -> None:
    assert_decodes_or_fails(magic + content)


ORIGINALS = {(format, subtype): good_audio(0.2, format=format, subtype=subtype) for format, subtype, _ in LOSSLESS}
# Half of the changes fall into the header, where they matter most.
CHANGES = st.lists(st.tuples(st.one_of(st.integers(0, 60), st.integers(0, 2**16)), st.integers(0, 255)), min_size=1, max_size=8)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(ORIGINALS)), CHANGES, st.floats(0.01, 1))
def test_damaged_recordings_never_raise_anything_else(original: tuple[str, str], changes: list[tuple[int, int]], share: float) -> None:
    content = bytearray(ORIGINALS[original])
    for at, byte in changes:
        content[at % len(content)] = byte
    assert_decodes_or_fails(cut(bytes(content), share))


@settings(max_examples=150, deadline=None)
@given(st.floats(0, 1))
def test_a_wav_cut_anywhere_is_warned_of_or_refused(share: float) -> None:
    original = ORIGINALS["WAV", "PCM_16"]
    content = cut(original, share)
    result = outcome(content)
    if len(content) < WAV_HEADER + (len(original) - WAV_HEADER) / 2:
        assert isinstance(result, RowError) and result.code in ("empty_audio", "undecodable_audio", "truncated_audio")
    else:
        assert isinstance(result, Recording) and result.warnings == (("truncated_media",) if len(content) < len(original) else ())
