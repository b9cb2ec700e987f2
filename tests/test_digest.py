"""The digest of a folder: of names and contents, remembered, and never trusted where it was written by halves."""

from pathlib import Path

import pytest

from sparkcoil import cache, digest


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a file, and a cache of the test's own."""
    monkeypatch.setenv("SPARKCOIL_CACHE", str(tmp_path / "cache"))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_text("weights")
    return tmp_path / "model"


def test_names_and_contents_both_count(folder: Path) -> None:
    first = digest.of_folder(folder)
    (folder / "weights").rename(folder / "other")
    renamed = digest.of_folder(folder)
    (folder / "other").write_text("changed")
    assert len({first, renamed, digest.of_folder(folder)}) == 3


def test_what_is_remembered_is_what_was_read(folder: Path) -> None:
    assert digest.remembered(folder) == digest.remembered(folder) == digest.of_folder(folder)


def test_half_a_digest_left_by_a_full_disk_is_not_trusted(folder: Path) -> None:
    expected = digest.remembered(folder)
    for kept in cache.folder("digests").iterdir():
        kept.write_text("")
    assert digest.remembered(folder) == expected


def test_without_a_cache_to_write_to_the_files_are_read(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("SPARKCOIL_CACHE", str(tmp_path / "file"))
    assert digest.remembered(folder) == digest.of_folder(folder)
