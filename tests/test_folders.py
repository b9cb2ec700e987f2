"""Folders of files as Spark lists them, with the empty files that it leaves out."""

from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession

from sparkcoil import folders

NAMES = ("a b%20é.jpg", "empty ü.jpg", "length=0; none.jpg", "z.txt")
FULL = NAMES[0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder in which all files but one are empty."""
    for name in NAMES:
        (tmp_path / name).write_bytes(b"full" if name == FULL else b"")
    return tmp_path


def listed(spark: SparkSession, path: Path | str, **options: str) -> DataFrame:
    return folders.with_empty_files(spark.read.format("binaryFile").options(**options).load(str(path)))


def contents(frame: DataFrame) -> dict[str, bytes]:
    return {row["path"].rsplit("/", 1)[1]: bytes(row["content"]) for row in frame.collect()}


def test_empty_files_are_rows_with_no_bytes(spark: SparkSession, folder: Path) -> None:
    assert contents(spark.read.format("binaryFile").load(str(folder))) == {FULL: b"full"}
    assert contents(listed(spark, folder)) == {name: b"full" if name == FULL else b"" for name in NAMES}


def test_they_say_of_themselves_what_spark_says_of_others(spark: SparkSession, folder: Path) -> None:
    plain = spark.read.format("binaryFile").load(str(folder))
    frame = listed(spark, folder)
    assert frame.schema == plain.schema
    for row in frame.select("path", "length", "modificationTime").collect():
        file = Path(row["path"].removeprefix("file:"))
        assert (row["length"], row["modificationTime"].timestamp()) == (file.stat().st_size, int(file.stat().st_mtime * 1000) / 1000)


def test_only_files_that_are_asked_for_are_rows(spark: SparkSession, folder: Path) -> None:
    assert set(contents(listed(spark, folder, pathGlobFilter="*.jpg"))) == set(NAMES[:3])
    assert set(contents(listed(spark, f"{folder}/e*"))) == {NAMES[1]}


def test_they_have_the_values_that_their_folders_give_to_columns(spark: SparkSession, folder: Path) -> None:
    for day, name in (("1", "full"), ("2", "empty"), ("__HIVE_DEFAULT_PARTITION__", "none")):
        (folder / "by" / f"day={day}").mkdir(parents=True)
        (folder / "by" / f"day={day}" / name).write_bytes(b"full" if name == "full" else b"")
    found = listed(spark, folder / "by").select("day", "length").collect()
    assert sorted(found, key=str) == [(1, 4), (2, 0), (None, 0)]


def test_a_folder_without_empty_files_is_as_spark_reads_it(spark: SparkSession, folder: Path) -> None:
    plain = spark.read.format("binaryFile").load(str(folder / FULL.replace(" ", "?")))
    assert folders.with_empty_files(plain) is plain
