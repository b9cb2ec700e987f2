"""A run as a stream: what is new is scored once, whatever becomes of the stream's own memory."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from runs import make_table, text_run

from sparkcoil import RunReport, run, run_stream, stream
from sparkcoil.errors import BudgetExceeded, SourceError

TEXTS = [(i, f"text number {i}") for i in range(12)]


def streamed(spark: SparkSession, model: str, name: str, **sections: Any) -> list[RunReport]:
    """Score what a table has now, as a stream, and return its reports."""
    reports: list[RunReport] = []
    last = run_stream(spark, text_run(model, name, f"{name}_scored", mode="available_now", **sections), reported=reports.append)
    return reports or [last]


def scored(spark: SparkSession, name: str) -> dict[int, str]:
    """Return the hash of each row, and see that none is there twice."""
    rows = spark.table(f"{name}_scored").collect()
    assert len({row["id"] for row in rows}) == len(rows)
    return {row["id"]: row["input_hash"] for row in rows}


@pytest.mark.parametrize("feed", [False, True])
def test_new_and_changed_rows_are_scored_once(spark: SparkSession, text_model: str, feed: bool) -> None:
    name = f"streamed_{feed}".lower()
    make_table(spark, name, TEXTS)
    spark.sql(f"ALTER TABLE {name} SET TBLPROPERTIES (delta.enableChangeDataFeed = {str(feed).lower()})")
    # A feed that was switched on later begins there: what was in the table before is scored by a run.
    run(spark, text_run(text_model, name, f"{name}_scored"))
    before = scored(spark, name)
    spark.sql(f"INSERT INTO {name} VALUES (100, 'a new text')")
    spark.sql(f"UPDATE {name} SET body = 'first another text' WHERE id = 3")
    spark.sql(f"UPDATE {name} SET body = 'then a third one' WHERE id = 3")
    reports = [*streamed(spark, text_model, name)]
    assert sum(each.rows["ok"] for each in reports) == 2
    after = scored(spark, name)
    assert {i for i in after if after[i] != before.get(i)} == {3, 100}
    assert sum(each.rows["due"] for each in streamed(spark, text_model, name)) == 0


def test_a_checkpoint_that_is_lost_skips_nothing_and_doubles_nothing(spark: SparkSession, text_model: str, tmp_path: Path) -> None:
    make_table(spark, "streamed_lost", TEXTS)
    settings = {"stream": {"checkpoint": str(tmp_path / "checkpoint")}}
    assert streamed(spark, text_model, "streamed_lost", **settings)[-1].rows["ok"] == 12
    spark.sql("INSERT INTO streamed_lost VALUES (100, 'a new text')")
    shutil.rmtree(tmp_path / "checkpoint")
    reports = streamed(spark, text_model, "streamed_lost", **settings)
    assert sum(each.rows["due"] for each in reports) == 1
    assert len(scored(spark, "streamed_lost")) == 13


def test_over_the_error_budget_the_stream_ends_and_goes_on_from_there(spark: SparkSession, text_model: str) -> None:
    make_table(spark, "streamed_bad", [*TEXTS, (50, None), (51, None)])
    with pytest.raises(BudgetExceeded, match=r"rows.max_failed_share: 2 of 14 due rows failed"):
        streamed(spark, text_model, "streamed_bad")
    assert scored(spark, "streamed_bad") == {}
    assert streamed(spark, text_model, "streamed_bad", rows={"max_failed_share": 0.5})[-1].rows["failed"] == 2


def test_a_stream_of_what_is_no_delta_table_is_refused(spark: SparkSession, text_model: str, tmp_path: Path) -> None:
    make_table(spark, "streamed_files", TEXTS).write.parquet(str(tmp_path / "files"))
    source = {"path": str(tmp_path / "files"), "format": "parquet", "keys": ["id"], "columns": {"text": "body"}}
    with pytest.raises(SourceError, match="mode: available_now asks for a Delta table"):
        streamed(spark, text_model, "streamed_files", source=source)


def test_a_stream_that_goes_on_scores_what_comes(spark: SparkSession, text_model: str) -> None:
    make_table(spark, "streamed_on", TEXTS)
    reports: list[RunReport] = []
    config = text_run(text_model, "streamed_on", "streamed_on_scored", mode="stream", stream={"every": 0.1})
    query = stream.start(spark, config, run, reports.append, lambda error: None)
    try:
        query.processAllAvailable()
        spark.sql("INSERT INTO streamed_on VALUES (100, 'a new text')")
        query.processAllAvailable()
    finally:
        query.stop()
    assert [each.rows["ok"] for each in reports if each.rows["ok"]] == [12, 1]
    assert len(scored(spark, "streamed_on")) == 13
