"""A file is the same in whichever form its cell holds it, whatever its medium; a cell that is none is its row's error."""

import base64
from pathlib import Path
from typing import Any

import pytest
from bad_images import GOOD_IMAGES
from bad_media import good_audio
from file_cells import SECRET, in_every_form, refused

from sparkcoil import cells
from sparkcoil.cells import LocalFile, Medium
from sparkcoil.errors import RowError
from sparkcoil.images import IMAGE
from sparkcoil.recordings import AUDIO

FILES = [(AUDIO, good_audio(0.1, format=format)) for format in ("WAV", "FLAC", "OGG", "MP3")]
FILES += [(IMAGE, GOOD_IMAGES[name]()) for name in ("PNG RGB", "JPEG RGB", "GIF RGB", "WEBP RGB", "TIFF RGB", "AVIF RGB", "PPM RGB")]
ONE_OF_EACH = [FILES[0], FILES[4]]
each_file = pytest.mark.parametrize(("medium", "content"), FILES)
each_medium = pytest.mark.parametrize(("medium", "content"), ONE_OF_EACH, ids=("audio", "image"))


def held(cell: Any, medium: Medium, *roots: Path) -> bytes:
    with cells.opened(cells.source_of(cell, [str(root) for root in roots], medium)) as file:
        file.seek(0)
        return file.read()


def failure(cell: Any, medium: Medium, *roots: Path) -> RowError:
    with pytest.raises(RowError) as caught:
        held(cell, medium, *roots)
    return caught.value


@each_file
def test_every_form_holds_the_same_file(tmp_path: Path, medium: Medium, content: bytes) -> None:
    for name, cell in in_every_form(content, tmp_path / "a b%20c.bin").items():
        assert held(cell, medium, tmp_path) == content, name


@each_medium
def test_bytes_may_come_in_any_buffer(medium: Medium, content: bytes) -> None:
    for each in (bytearray(content), memoryview(content)):
        assert held(each, medium) == held({"bytes": each}, medium) == content


@each_medium
def test_a_cell_that_holds_no_file_is_failed_with_its_code(tmp_path: Path, medium: Medium, content: bytes) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for name, (cell, code) in refused(content, root).items():
        error = failure(cell, medium, root)
        assert (error.stage, error.code, error.retryable) == ("input", code.replace("*", medium.name), False), name
        assert SECRET not in error.message and "/" not in error.message, name


@each_medium
def test_without_roots_no_path_is_opened(tmp_path: Path, medium: Medium, content: bytes) -> None:
    for name in ("path", "path as text", "path in a struct", "file URI"):
        assert failure(in_every_form(content, tmp_path / "a.bin")[name], medium).code == "path_outside_roots"


@each_medium
def test_a_cell_may_hold_so_many_bytes_and_no_more(monkeypatch: pytest.MonkeyPatch, medium: Medium, content: bytes) -> None:
    text = base64.b64encode(content)
    monkeypatch.setattr(cells, "MAX_CELL_BYTES", len(content))
    assert held(content, medium) == held(text, medium) == content
    monkeypatch.setattr(cells, "MAX_CELL_BYTES", len(content) - 1)
    for cell in (content, text, {"bytes": content}, {"path": text}):
        assert failure(cell, medium).code == f"{medium.name}_too_large"


@each_medium
def test_a_file_by_its_path_may_be_larger_than_a_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, medium: Medium, content: bytes
) -> None:
    monkeypatch.setattr(cells, "MAX_CELL_BYTES", len(content) - 1)
    assert held(in_every_form(content, tmp_path / "a.bin")["path"], medium, tmp_path) == content


@each_medium
@pytest.mark.parametrize("begin", ["/work/photos/one", "/mnt/images/cat", "/dbfs/x", "/Workspace/a", "/Volumes/main", "s3a://b/c"])
def test_a_long_path_of_letters_alone_is_not_taken_for_base64(medium: Medium, content: bytes, begin: str) -> None:
    path = begin + "/of/a/folder" * 12
    assert cells.source_of(path, (), medium) == LocalFile(path.encode(), ())
