"""An image is the same in whichever form it arrives; a cell that is none is its row's error."""

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bad_images import BAD_IMAGES, GOOD_IMAGES, HEIGHT, WIDTH, cut, encode, noted, scene, turned
from bad_media import SECRET
from file_cells import in_every_form, refused

from sparkcoil import heard, images, sandbox
from sparkcoil.errors import RowError
from sparkcoil.images import Picture, SeeingOptions
from sparkcoil.tasks import with_roots

UPRIGHT = np.asarray(scene())


def picture(cell: Any, *roots: Path, **options: Any) -> Picture:
    return images.read({"image": cell}, with_roots(SeeingOptions(**options), tuple(map(str, roots))))[0]


def look(cell: Any, *roots: Path, **options: Any) -> None:
    found = picture(cell, *roots, **options)
    found.size()
    found.pixels()


def failure(cell: Any, *roots: Path, **options: Any) -> RowError:
    with pytest.raises(RowError) as caught:
        look(cell, *roots, **options)
    return caught.value


@pytest.mark.parametrize(
    "name", ["PNG RGBA", "JPEG of orientation 6", "TIFF of orientation 8", "WEBP RGB", "GIF RGB", "BMP RGB", "AVIF RGB", "ICO RGB"]
)
def test_every_form_is_the_same_image(tmp_path: Path, name: str) -> None:
    content = GOOD_IMAGES[name]()
    expected = picture(content).pixels().values
    for form, cell in in_every_form(content, tmp_path / "a b%20c.png").items():
        found = picture(cell, tmp_path)
        assert found.size() == expected.shape[:2], form
        np.testing.assert_array_equal(found.pixels().values, expected, err_msg=form)


def test_an_image_comes_as_upright_rgb() -> None:
    for content in (encode(scene()), encode(scene(), "BMP"), encode(scene(), "TIFF"), encode(scene(), "WEBP", lossless=True)):
        np.testing.assert_array_equal(picture(content).pixels().values, UPRIGHT)
    assert picture(turned("PNG", 6)).size() == (WIDTH, HEIGHT)
    np.testing.assert_array_equal(picture(turned("PNG", 6)).pixels().values, np.rot90(UPRIGHT, -1))


def test_a_cell_that_holds_no_image_is_failed_with_its_code(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for name, (cell, code) in refused(noted(), root).items():
        error = failure(cell, root)
        assert (error.stage, error.code) == ("input", code.replace("*", "image")), name


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        (base64.b64encode(cut(noted(), 0.5)).decode(), "truncated_image"),
        (base64.b64encode(noted())[:1000], "truncated_image"),
        ("data:image/png;base64," + base64.b64encode(SECRET.encode()).decode(), "undecodable_image"),
        ("data:image/svg+xml;base64," + base64.b64encode(BAD_IMAGES["svg"][0]()).decode(), "unsupported_image"),
        (base64.b64encode(BAD_IMAGES["pdf"][0]()), "unsupported_image"),
        ("data:image/svg+xml;utf8," + BAD_IMAGES["svg"][0]().decode(), "url_refused"),
        (SECRET, "path_invalid"),
        (SECRET.encode(), "undecodable_image"),
        ("", "empty_image"),
        (b"", "empty_image"),
        ("data:image/png;base64,", "undecodable_image"),
        ({"bytes": b"", "path": "a.png"}, "empty_image"),
        ({"height": 9, "width": 9, "nChannels": 3, "data": noted()}, "image_type"),
        ({"array": [[0.5]], "sampling_rate": 16000}, "image_type"),
    ],
)
def test_a_cell_of_something_else_is_failed_with_its_code_and_quoted_nowhere(cell: Any, code: str) -> None:
    error = failure(cell)
    assert (error.stage, error.code) == ("input", code)
    assert not any(word in error.message for word in SECRET.split())


def test_the_image_in_a_file_under_a_root_may_be_bad_too(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(cut(noted(), 0.5))
    (tmp_path / "b.png").write_bytes(b"")
    assert [failure(str(tmp_path / name), tmp_path).code for name in ("a.png", "b.png")] == ["truncated_image", "empty_image"]


def test_a_file_is_opened_when_it_is_looked_at_and_no_sooner(tmp_path: Path) -> None:
    found = picture(str(tmp_path / "late.png"), tmp_path)
    with pytest.raises(RowError, match="no such file"):
        found.size()
    (tmp_path / "late.png").write_bytes(encode(scene()))
    np.testing.assert_array_equal(found.pixels().values, UPRIGHT)


def test_the_option_bounds_the_pixels_of_an_image() -> None:
    assert picture(noted(), max_pixels=HEIGHT * WIDTH).size() == (HEIGHT, WIDTH)
    assert failure(noted(), max_pixels=HEIGHT * WIDTH - 1).code == "image_too_large"


def test_an_image_that_two_models_look_at_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    decode = sandbox.read_image
    monkeypatch.setattr(sandbox, "read_image", lambda file, **given: asked.append(1) or decode(file, **given))
    content = noted()
    with heard.remembered():
        first, second = picture(content).pixels(), picture(content).pixels()
        assert picture(noted()[:-1] + b"\x81").pixels() is not first
    assert first is second and len(asked) == 2
    assert picture(content).pixels() is not first
