"""A recording is the same in whichever form it arrives; a cell that is none is its row's error."""

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bad_media import SECRET, encode, flac_claiming, good_audio, tone
from file_cells import in_every_form, refused

from sparkcoil import recordings
from sparkcoil.errors import RowError
from sparkcoil.media import decode_audio
from sparkcoil.recordings import HearingOptions, Sound
from sparkcoil.tasks import with_roots

RATES = (8000, 16000, 22050, 44100, 48000)


def sound(cell: Any, *, rate: Any = None, roots: tuple[str, ...] = (), **options: Any) -> Sound:
    return recordings.read({"audio": cell, "sampling_rate": rate}, with_roots(HearingOptions(**options), roots))[0]


def failure(cell: Any, **given: Any) -> RowError:
    with pytest.raises(RowError) as caught:
        hear(cell, **given)
    return caught.value


def hear(cell: Any, **given: Any) -> None:
    found = sound(cell, **given)
    found.probe()
    found.samples(16000)


def chirp(seconds: float, rate: int, channels: int = 1) -> np.ndarray:
    """Return a sound that is nowhere like anywhere else."""
    time = np.arange(round(seconds * rate)) / rate
    return np.stack([0.4 * np.sin(2 * np.pi * (200 + 100 * time + 30 * i) * time) for i in range(channels)], axis=1)


def forms(content: bytes, samples: np.ndarray, rate: int, file: Path) -> dict[str, tuple[Any, Any]]:
    """Return one recording in every form, each with the row's `sampling_rate`."""
    return {
        **{name: (cell, None) for name, cell in in_every_form(content, file).items()},
        "float array": (samples.astype(np.float32), rate),
        "double array": (samples.astype(np.float64), float(rate)),
        "list": (samples.tolist(), rate),
        "array in a struct": ({"array": samples.astype(np.float32), "sampling_rate": rate, "path": None}, None),
        "array in a struct without its rate": ({"array": samples, "sampling_rate": None}, rate),
    }


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", RATES)
def test_every_form_is_the_same_recording(tmp_path: Path, rate: int, channels: int) -> None:
    samples = chirp(0.7, rate, channels)
    content = encode(samples, rate, subtype="FLOAT")
    expected = decode_audio(content, 16000)
    for name, (cell, given) in forms(content, samples.astype(np.float32).mean(axis=1), rate, tmp_path / "a b%20c.wav").items():
        found = sound(cell, rate=given, roots=(str(tmp_path),))
        heard = found.samples(16000)
        np.testing.assert_allclose(heard.samples, expected.samples, rtol=0, atol=1e-6, err_msg=name)
        assert (found.probe(), heard.seconds, heard.warnings) == (expected.seconds, expected.seconds, ()), name


@pytest.mark.parametrize("wanted", [8000, 16000, 48000])
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("format", ["WAV", "FLAC", "OGG", "MP3", "array"])
def test_a_part_is_what_the_whole_has_there(format: str, rate: int, wanted: int) -> None:
    samples = chirp(3, rate)
    subtype = "FLOAT" if format == "WAV" else None
    cell = samples[:, 0] if format == "array" else encode(samples, rate, format=format, subtype=subtype)
    found = sound(cell, rate=rate)
    whole = found.samples(wanted).samples
    for start, seconds in ((0.0, 1.0), (0.5, 0.25), (1.0, 1.7), (2.0, None), (7013 / wanted, 4099 / wanted)):
        part = found.samples(wanted, start, seconds)
        first = round(start * wanted)
        last = len(whole) if seconds is None else first + round(seconds * wanted)
        np.testing.assert_allclose(part.samples, whole[first:last], rtol=0, atol=2e-6)
        assert part.seconds == pytest.approx(last / wanted, abs=1e-3) and part.warnings == ()


def test_the_ends_of_parts_meet() -> None:
    found = sound(encode(chirp(2, 44100), 44100, format="FLAC"))
    parts = [found.samples(16000, start, 0.5).samples for start in (0.0, 0.5, 1.0, 1.5)]
    np.testing.assert_allclose(np.concatenate(parts), found.samples(16000).samples, rtol=0, atol=2e-6)


@pytest.mark.parametrize("format", ["FLAC", "MP3", "WAV", "AIFF"])
def test_a_part_of_a_recording_that_breaks_off_says_so_and_where(format: str) -> None:
    content = encode(chirp(10, 16000), format=format)
    found = sound(content[: len(content) * 7 // 10])
    whole = found.samples(16000)
    assert whole.warnings == ("truncated_media",)
    for start in (6.0, 9.0):
        part = found.samples(16000, start, 2.0)
        assert part.warnings == ("truncated_media",)
        assert part.seconds == pytest.approx(whole.seconds, abs=0.1)
        assert len(part.samples) == pytest.approx(max(0, len(whole.samples) - start * 16000), abs=1600)


def test_a_header_tells_the_duration_and_is_checked_without_decoding() -> None:
    assert sound(good_audio(3, 44100, format="FLAC")).probe() == 3.0
    claims = flac_claiming(2**36 - 1, good_audio(1, format="FLAC"))
    assert failure(claims).code == "audio_too_long"
    noise = good_audio(1, format="FLAC")
    assert sound(noise[:200] + bytes(len(noise) - 200)).probe() == 1.0


def test_a_recording_of_unknown_length_is_read_through_for_its_duration() -> None:
    assert sound(flac_claiming(0, good_audio(2, format="FLAC"))).probe() == 2.0
    assert failure(flac_claiming(0, good_audio(2, format="FLAC")), max_seconds=1).code == "audio_too_long"


def test_the_option_gives_the_rate_of_arrays_and_the_rows_own_comes_first() -> None:
    assert sound(tone(1), sampling_rate=8000).probe() == 2.0
    assert sound(tone(1), rate=16000, sampling_rate=8000).probe() == 1.0
    assert sound(tone(1), rate=float("nan"), sampling_rate=8000).probe() == 2.0


@pytest.mark.parametrize(
    ("cell", "given", "code"),
    [
        (None, {}, "null_input"),
        ({"bytes": None, "path": None}, {}, "null_input"),
        (tone(1), {}, "no_sampling_rate"),
        ({"array": tone(1), "sampling_rate": float("nan")}, {}, "no_sampling_rate"),
        (tone(1), {"rate": 1}, "audio_rate"),
        (tone(1), {"rate": 2**40}, "audio_rate"),
        (tone(1), {"rate": -16000}, "audio_rate"),
        (tone(1), {"rate": 16000.5}, "audio_rate"),
        (tone(1), {"rate": float("inf")}, "audio_rate"),
        ({"array": tone(1), "sampling_rate": "CD"}, {}, "audio_rate"),
        (np.zeros(0), {"rate": 16000}, "empty_audio"),
        ([], {"rate": 16000}, "empty_audio"),
        ([0.0, None, 0.5], {"rate": 16000}, "non_finite_audio"),
        (np.array([0.0, np.nan]), {"rate": 16000}, "non_finite_audio"),
        (np.array([0.0, 1e300]), {"rate": 16000}, "non_finite_audio"),
        ([[0.0, 0.1], [0.2, 0.3]], {"rate": 16000}, "audio_type"),
        ([[0.0], [0.2, 0.3]], {"rate": 16000}, "audio_type"),
        (np.arange(9), {"rate": 16000}, "audio_type"),
        (["a", "b"], {"rate": 16000}, "audio_type"),
        ({"samples": [0.1], "rate": 16000}, {}, "audio_type"),
        (tone(3), {"rate": 16000, "max_seconds": 2}, "audio_too_long"),
        ({"path": b"data:audio/wav;base64," + base64.b64encode(SECRET.encode())}, {}, "undecodable_audio"),
    ],
)
def test_a_cell_that_is_no_recording_is_failed_with_its_code(cell: Any, given: dict[str, Any], code: str) -> None:
    error = failure(cell, **given)
    assert (error.stage, error.code) == ("input", code)
    assert SECRET.split()[2] not in error.message


def test_a_cell_that_holds_no_file_is_failed_with_its_code(tmp_path: Path) -> None:
    declared = tmp_path / "root"
    declared.mkdir()
    for name, (cell, code) in refused(good_audio(0.1), declared).items():
        if name != "a number":  # which is no array either, and so without a rate
            assert failure(cell, roots=(str(declared),)).code == code.replace("*", "audio"), name
