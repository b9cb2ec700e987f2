"""What scripts/chaos does, in short: rows survive kills, and its oracle and its reader see what they are there to see."""

import importlib
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pytest
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

# Slow enough that each kill comes while there is something to disturb.
ROWS, ROW_SECONDS = 1_000, 0.03

pytestmark = pytest.mark.usefixtures("scratch")
SCHEMA = pa.schema({"id": pa.int64(), "prediction": pa.struct({"echo": pa.string()}), "status": pa.string()})


@pytest.fixture(scope="module")
def chaos() -> Iterator[ModuleType]:
    """The script as a module."""
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(Path(__file__).parents[1] / "scripts")
        before = [*sys.path]
        yield importlib.import_module("chaos")
        sys.path[:] = before


@pytest.fixture
def asked(chaos: ModuleType, jars: None, tmp_path: Path) -> Any:
    """A small table under one kill, in local mode."""
    return chaos.Asked(tmp_path / "scene", chaos.LOCAL, ROWS, 1, ROW_SECONDS, random.Random(7))


@pytest.fixture
def finished(chaos: ModuleType, tmp_path: Path) -> Any:
    """The scene of a finished run of 40 rows in two chunks, without Spark."""
    from havoc import scene

    place = scene.made(tmp_path / "scene", 40, {}, batching={})
    DeltaTable.create(str(place.target), SCHEMA)
    for number in (0, 1):
        append(place, range(20 * number, 20 * number + 20), number)
    return place


def append(place: Any, ids: Iterator[int] | range, number: int) -> None:
    rows = [{"id": i, "prediction": {"echo": place.hashes[i]}, "status": "ok"} for i in ids]
    named = CommitProperties(app_transactions=[Transaction(f"sparkcoil-{'0' * 32}-{number}", 1)])
    write_deltalake(str(place.target), pa.Table.from_pylist(rows, SCHEMA), mode="append", commit_properties=named)


def assert_holds(found: Any) -> None:
    assert found.problems == []
    assert (found.lost, found.duplicated, found.mismatched) == (0, 0, 0)
    assert (found.rows, found.kills) == (ROWS, 1)


@pytest.mark.long("chaos")
@pytest.mark.timeout(900)
def test_a_job_whose_workers_are_killed_ends_with_every_row(chaos: ModuleType, asked: Any) -> None:
    found = chaos.FAMILIES["workers"](asked)
    assert_holds(found)
    assert found.runs == 1


@pytest.mark.long("chaos")
@pytest.mark.timeout(900)
def test_a_job_whose_driver_is_killed_is_finished_by_the_same_command(chaos: ModuleType, asked: Any) -> None:
    found = chaos.FAMILIES["drivers"](asked)
    assert_holds(found)
    assert found.runs == 2
    assert found.notes["reader_polls"] > found.notes["reader_versions"] > 1


def test_the_oracle_passes_a_target_that_is_right(finished: Any) -> None:
    assert finished.verdict().holds


def test_the_oracle_sees_every_way_of_spoiling_a_target(finished: Any) -> None:
    from havoc import controls

    assert controls.caught(finished) == dict.fromkeys(controls.CONTROLS, True)
    assert finished.verdict().holds


@pytest.mark.long("chaos")
@pytest.mark.timeout(900)
def test_the_oracle_sees_what_is_wrong_with_jobs_that_are_written_naively(finished: Any, jars: None) -> None:
    from havoc import controls

    assert controls.caught_naive(finished) == {name: True for name, _ in controls.NAIVE.values()}


def test_a_chunk_that_is_committed_twice_is_not_expected(finished: Any) -> None:
    append(finished, range(0), 1)
    assert len(finished.verdict().commits) == 1


def test_the_reader_sees_a_chunk_that_is_there_in_part(finished: Any) -> None:
    from havoc.reader import Reader

    reader = Reader(finished)
    reader.look()
    assert reader.problems == []
    DeltaTable(str(finished.target)).delete("id = 9")
    reader.look()
    assert reader.problems == [
        "version 3: 39 rows after 40",
        "version 3: of 1 texts only some rows are there, which are always in one chunk",
    ]


def test_rows_that_failed_are_wrong(finished: Any) -> None:
    DeltaTable(str(finished.target)).update(predicate="id = 3", updates={"status": "'failed'"})
    assert finished.verdict().mismatched == 1


def test_one_row_in_ten_has_the_text_of_another(finished: Any) -> None:
    assert (finished.rows, finished.texts) == (40, 36)


def test_kills_are_spread_over_the_run(chaos: ModuleType) -> None:
    from havoc import victims

    moments = [*victims.moments(1_000, 9, random.Random(0))]
    assert [int(each // 100) for each in moments] == [*range(9)]


def test_the_page_says_of_each_family_whether_it_held(chaos: ModuleType, tmp_path: Path) -> None:
    from havoc import page
    from havoc.families import Found

    held = Found("workers", 100, 2, 1, 0, 0, 0, recomputed_per_kill=12.4, seconds=90.0).as_dict()
    broken = Found("twice", 100, 0, 4, 0, 3, 0, recomputed_per_kill=None, seconds=60.0, problems=["pair 1: done and done"]).as_dict()
    for each in (held, broken):
        page.keep(tmp_path, {**each, "environment": {"cpus": 2}})
    lines = (tmp_path / "chaos.md").read_text().splitlines()
    assert "| workers | 100 | 2 | 1 | 0 | 0 | 0 | 12 | 1.5 | yes |" in lines
    assert "| twice | 100 | 0 | 4 | 0 | 3 | 0 |  | 1.0 | **no** |" in lines
    assert "- `twice`: pair 1: done and done" in lines


def test_the_page_is_what_was_found_last(chaos: ModuleType) -> None:
    from havoc import page

    assert (chaos.RESULTS / "chaos.md").read_text() == page.page(page.read(chaos.RESULTS))
