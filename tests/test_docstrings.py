"""The table of docstrings is what the example's training and tests rely on."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "make_docstrings.py"

pytestmark = pytest.mark.long("scripts")
COLUMNS = ["module", "qualname", "package", "body", "split"]


def make(folder: Path) -> pa.Table:
    subprocess.run([sys.executable, SCRIPT, folder], check=True, capture_output=True)
    return pq.read_table(folder / "docstrings.parquet")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    return make(tmp_path_factory.mktemp("docstrings"))


@pytest.fixture(scope="module")
def rows(table: pa.Table) -> list[dict[str, str]]:
    return table.to_pylist()


def test_columns_are_text_and_only_the_body_may_be_null(table: pa.Table) -> None:
    assert [(field.name, field.type, field.nullable) for field in table.schema] == [(name, pa.string(), name == "body") for name in COLUMNS]


def test_keys_are_unique(rows: list[dict[str, str]]) -> None:
    assert len({(row["module"], row["qualname"]) for row in rows}) == len(rows)


def test_there_are_at_least_5000_texts(rows: list[dict[str, str]]) -> None:
    assert sum(bool(row["body"].strip()) for row in rows) >= 5000


def test_at_least_10_packages_have_50_texts(rows: list[dict[str, str]]) -> None:
    counts = Counter(row["package"] for row in rows if row["body"].strip())
    assert sum(count >= 50 for count in counts.values()) >= 10


def test_the_package_is_the_first_part_of_the_module(rows: list[dict[str, str]]) -> None:
    assert all(row["package"] == row["module"].split(".")[0] for row in rows)


def test_no_tests_and_no_installed_packages_are_among_them(rows: list[dict[str, str]]) -> None:
    assert not {"test", "tests", "site-packages", "numpy", "pytest"} & {part for row in rows for part in row["module"].split(".")}


def test_about_a_fifth_is_held_out(rows: list[dict[str, str]]) -> None:
    splits = Counter(row["split"] for row in rows)
    assert set(splits) == {"train", "held_out"}
    assert 0.15 < splits["held_out"] / len(rows) < 0.25


def test_no_body_is_in_both_splits(rows: list[dict[str, str]]) -> None:
    train, held_out = ({row["body"] for row in rows if row["split"] == split} for split in ("train", "held_out"))
    assert not train & held_out


def test_duplicates_are_among_them(rows: list[dict[str, str]]) -> None:
    counts = Counter(row["body"] for row in rows if row["body"].strip())
    assert sum(count > 1 for count in counts.values()) >= 10


def test_empties_are_among_them(rows: list[dict[str, str]]) -> None:
    assert 0 < sum(not row["body"].strip() for row in rows) <= 200


def test_a_text_over_10000_characters_is_among_them(rows: list[dict[str, str]]) -> None:
    assert any(len(row["body"]) > 10_000 for row in rows)


def test_another_run_makes_an_identical_table(table: pa.Table, tmp_path: Path) -> None:
    assert make(tmp_path) == table
