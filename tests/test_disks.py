"""A full disk is named by its folder, whatever it was that found no room; scripts/chaos fills real ones."""

from pathlib import Path

import pytest

from sparkcoil import disks
from sparkcoil.errors import SparkcoilError


def test_a_full_disk_is_named_with_the_fullest_folder_first(tmp_path: Path) -> None:
    places = {"the target": str(tmp_path / "not" / "there" / "yet"), "shuffle files": "/dev/shm"}
    said = r"^no space left on a device; the run writes to .* MB free\), .* MB free\)"
    with pytest.raises(SparkcoilError, match=said) as caught, disks.naming(lambda: places):
        raise OSError(28, "No space left on device")
    room = disks.free(places)
    assert {*room} == {f"{place} for {name}" for name, place in places.items()}
    assert min(room, key=lambda each: room[each]) in str(caught.value).split(" (")[0]


def test_what_is_no_full_disk_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(PermissionError, match=r"^not yours$"), disks.naming(lambda: {"the target": str(tmp_path)}):
        raise PermissionError("not yours")


def test_spark_writes_to_where_its_environment_says_else_to_where_its_settings_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SPARK_LOCAL_DIRS", "/one,/other")
    assert disks.scratch("/configured")["spark.local.dir"] == "/one"
    monkeypatch.delenv("SPARK_LOCAL_DIRS")
    assert disks.scratch("/configured,/next")["spark.local.dir"] == "/configured"
