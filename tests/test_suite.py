"""The suite's own rules: what is long is marked so, what a change touches is passed again, and what is left behind is seen."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import families
import leftovers
import pytest
import suite

ROOT = Path(__file__).parents[1]
TESTS = """
import os, time, pytest

@pytest.fixture(scope="module")
def slow():
    time.sleep(0.2)

@pytest.fixture(scope="session")
def slower():
    time.sleep(0.5)

def test_quick(slower, slow): pass

@pytest.mark.long("chaos")
def test_long(): pass

@pytest.mark.timeout(1)
def test_hangs():
    while True: time.sleep(0.1)

def test_crashes():
    import ctypes
    ctypes.string_at(0)
"""


def pytest_of(folder: Path, *arguments: str, text: str = TESTS) -> subprocess.CompletedProcess[str]:
    """Run a file of tests under the suite's rules."""
    (folder / "test_some.py").write_text(text)
    (folder / "conftest.py").write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT / 'tests')!r})\nimport suite\nfrom pathlib import Path\n"
        "from suite import pytest_addoption, pytest_collection_modifyitems, pytest_configure\n"
        f"suite.RECENT = Path({str(folder / 'durations.json')!r})\nsuite.families.keep_passed = lambda names: None\n"
    )
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(folder), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_short_form_leaves_out_long_tests_and_the_long_one_all_others_and_other_families(tmp_path: Path) -> None:
    def chosen(*arguments: str) -> str:
        return pytest_of(tmp_path, "--collect-only", "-q", *arguments).stdout

    assert "test_long" not in chosen("--form", "short") and "test_quick" in chosen("--form", "short")
    assert "test_long" in chosen("--form", "all") and "test_quick" in chosen("--form", "all")
    assert "test_long" in chosen("--form", "long", "--family", "chaos") and "test_quick" not in chosen(
        "--form", "long", "--family", "chaos"
    )
    assert "test_long" not in chosen("--form", "long", "--family", "pages")
    assert "test_long" in chosen()


@pytest.mark.parametrize("processes", [(), ("-n", "1")], ids=["alone", "in processes of their own"])
def test_what_tests_and_set_ups_took_is_kept(tmp_path: Path, processes: tuple[str, ...]) -> None:
    done = pytest_of(tmp_path, "--form", "short", "-k", "quick", *processes)
    assert done.returncode == 0, done.stdout
    assert "test_some.py::test_quick" in done.stdout.split("slowest")[1]
    kept = json.loads((tmp_path / "durations.json").read_text())
    [(name, seconds)] = kept["tests"].items()
    assert name.endswith("test_some.py::test_quick") and 0.2 <= seconds < 0.5
    assert kept["session"]["slower"] >= 0.5


def test_a_test_that_hangs_ends_by_name(tmp_path: Path) -> None:
    done = pytest_of(tmp_path, "-k", "hangs")
    assert "FAILED test_some.py::test_hangs" in done.stdout and "Timeout" in done.stdout
    assert "time.sleep(0.1)" in done.stdout  # where it hung


def test_a_process_that_crashes_shows_its_stack_and_the_test_s_name(tmp_path: Path) -> None:
    done = pytest_of(tmp_path, "-k", "crashes", "-n", "1")
    assert "crashed while running 'test_some.py::test_crashes'" in done.stdout
    assert "in test_crashes" in done.stdout + done.stderr


@pytest.fixture
def files() -> Mapping[str, str]:
    """The content hashes of a small tree."""
    return {"scripts/havoc/reader.py": "1", "docs/clusters.md": "2", "tests/test_chaos.py": "3", "lib/sparkcoil/png.py": "4"}


def test_a_family_is_touched_by_its_own_files_alone(files: Mapping[str, str]) -> None:
    passed = {family: [families.stamp(family, files)] for family in families.TESTS}
    assert families.touched(passed, files) == []
    assert families.touched(passed, {**files, "lib/sparkcoil/png.py": "5"}) == []
    assert families.touched(passed, {**files, "scripts/havoc/reader.py": "5"}) == ["chaos"]
    assert families.touched(passed, {**files, "tests/test_chaos.py": "5"}) == ["chaos"]
    assert families.touched(passed, {**files, "jobs/new.py": "1"}) == ["pages", "clusters"]


def test_a_family_that_has_never_passed_is_touched(files: Mapping[str, str]) -> None:
    assert families.touched({}, files) == [*families.TESTS]


def test_every_pattern_of_the_table_is_of_a_file_that_is_there() -> None:
    there = families.tracked_files()
    patterns = {pattern for family in families.TESTS for pattern in families.covered(family)}
    assert [each for each in sorted(patterns) if not any(families.fnmatch(path, each) for path in there)] == []


def test_a_long_test_outside_the_files_of_its_family_is_refused(tmp_path: Path) -> None:
    done = pytest_of(tmp_path, "--form", "short", text=TESTS.replace('"chaos"', '"family of its own"'))
    assert done.returncode != 0
    assert "test_some.py::test_long: expected a family of tests/families.py, found 'family of its own'" in done.stdout + done.stderr


def test_no_test_of_the_short_form_is_recorded_as_long_but_the_real_ones_of_promises(request: pytest.FixtureRequest) -> None:
    long = suite.recorded()["long"]
    unmarked = [item.nodeid for item in request.session.items if not suite.family_of(item) and not item.get_closest_marker("promise")]
    assert {each.partition("@")[0]: long[each] for each in unmarked if each in long} == {}


def test_a_process_that_is_left_is_seen_wherever_it_was_started(tmp_path: Path) -> None:
    marked = {**os.environ, leftovers.MARK: str(tmp_path)}
    listening = "import socket, time; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", listening], env=marked, start_new_session=True)
    try:
        deadline = time.monotonic() + 20
        while "listening on" not in "".join(leftovers.processes(tmp_path)) and time.monotonic() < deadline:
            time.sleep(0.1)
        [line] = leftovers.processes(tmp_path)
        assert f"process {process.pid}, listening on [" in line
    finally:
        process.kill()
        process.wait()
    assert [*leftovers.processes(tmp_path)] == []


def test_files_that_are_left_are_seen_but_for_pytest_s_own(tmp_path: Path) -> None:
    (tmp_path / "pytest-of-ada").mkdir()
    (tmp_path / "spark-1234").mkdir()
    assert [*leftovers.files(tmp_path)] == [f"file {tmp_path / 'spark-1234'}"]


def test_what_ends_soon_is_waited_for() -> None:
    looks = iter([["a process"], ["a process"], []])
    assert leftovers.wait_for_none(lambda: next(looks)) == []
