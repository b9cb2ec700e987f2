"""A source with a change data feed: a rerun reads what has changed, and all of it wherever the feed does not tell."""

import pytest
from pyspark.sql import SparkSession
from runs import copy_scored, make_table, text_run

from sparkcoil import changes, pinned, run
from sparkcoil.errors import SourceError

ON = "ALTER TABLE {} SET TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')"


@pytest.fixture(scope="module")
def first(spark: SparkSession, text_model: str) -> str:
    """A scored table with a feed; gives its name."""
    make_table(spark, "fed", [(i, f"text number {i}") for i in range(20)])
    spark.sql(ON.format("fed"))
    run(spark, text_run(text_model, "fed", "fed_scored"))
    return "fed"


@pytest.fixture
def fed(spark: SparkSession, first: str, request: pytest.FixtureRequest) -> str:
    """The test's own copy of that table and its target; gives its name."""
    return copy_scored(spark, first, request.node.name)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether the feed told what has changed, each time that it was asked."""
    told: list[bool] = []
    since = changes.since

    def asked(*given: object) -> changes.Changes | None:
        found = since(*given)  # type: ignore[arg-type]
        told.append(found is not None)
        return found

    monkeypatch.setattr(changes, "since", asked)
    return told


def same(spark: SparkSession, source: str, model: str) -> bool:
    """Tell whether the target has the rows of the whole source as they are now."""
    wanted = pinned.prepared(spark, text_run(model, source, f"{source}_scored")).rows.select("id", "input_hash")
    found = spark.table(f"{source}_scored").where("status = 'ok'").select("id", "input_hash")
    return not wanted.exceptAll(found).take(1) and found.count() == found.select("id").distinct().count()


def test_only_what_has_changed_is_read(spark: SparkSession, text_model: str, fed: str, said: list[bool]) -> None:
    spark.sql(f"UPDATE {fed} SET body = concat(body, '!') WHERE id IN (3, 4)")
    spark.sql(f"UPDATE {fed} SET body = concat(body, '?') WHERE id = 4")
    spark.sql(f"INSERT INTO {fed} VALUES (100, 'a new text'), (101, 'another')")
    spark.sql(f"DELETE FROM {fed} WHERE id IN (7, 101)")
    report = run(spark, text_run(text_model, fed, f"{fed}_scored"))
    assert said == [True]
    assert (report.rows["source"], report.rows["due"], report.rows["ok"]) == (20, 3, 3)
    assert same(spark, fed, text_model)
    assert run(spark, text_run(text_model, fed, f"{fed}_scored")).status == "nothing_due"


def test_a_run_after_one_that_read_the_feed_reads_it_too(spark: SparkSession, text_model: str, fed: str, said: list[bool]) -> None:
    for number in range(2):
        spark.sql(f"UPDATE {fed} SET body = concat(body, '{number}') WHERE id < 3")
        assert run(spark, text_run(text_model, fed, f"{fed}_scored")).rows["due"] == 3
    assert said == [True, True]
    assert same(spark, fed, text_model)


def test_rows_that_come_to_meet_the_condition_are_due(spark: SparkSession, text_model: str, fed: str, said: list[bool]) -> None:
    source = {"table": fed, "keys": ["id"], "columns": {"text": "body"}, "where": "body NOT LIKE '%hidden%'"}
    config = text_run(text_model, "-", f"{fed}_filtered", source=source)
    spark.sql(f"UPDATE {fed} SET body = concat('hidden ', body) WHERE id < 5")
    assert run(spark, config).rows["source"] == 15
    spark.sql(f"UPDATE {fed} SET body = concat('seen ', id) WHERE id < 2")
    spark.sql(f"UPDATE {fed} SET body = 'hidden' WHERE id = 10")
    report = run(spark, config)
    assert (said, report.rows["due"], report.rows["source"]) == ([True], 2, 16)


def test_a_second_row_under_a_key_is_refused_as_ever(spark: SparkSession, text_model: str, fed: str, said: list[bool]) -> None:
    spark.sql(f"INSERT INTO {fed} VALUES (3, 'another text under a key that is there')")
    with pytest.raises(SourceError, match=r"1 keys for rows with different inputs, such as \(id=3\)"):
        run(spark, text_run(text_model, fed, f"{fed}_scored"))
    assert said == [False]


def test_a_row_whose_elder_under_the_same_key_is_deleted_after_it_came_is_scored(
    spark: SparkSession, text_model: str, fed: str, said: list[bool]
) -> None:
    spark.sql(f"INSERT INTO {fed} VALUES (3, 'its new text')")
    spark.sql(f"DELETE FROM {fed} WHERE id = 3 AND body <> 'its new text'")
    assert run(spark, text_run(text_model, fed, f"{fed}_scored")).rows["due"] == 1
    assert said == [False]
    assert same(spark, fed, text_model)


def test_a_source_that_was_overwritten_is_scored_as_it_is(spark: SparkSession, text_model: str, fed: str) -> None:
    spark.createDataFrame([(i, f"text {i % 3}") for i in range(10)], "id BIGINT, body STRING").write.format("delta").mode(
        "overwrite"
    ).saveAsTable(fed)
    report = run(spark, text_run(text_model, fed, f"{fed}_scored"))
    assert (report.rows["source"], report.rows["due"]) == (10, 10)
    assert same(spark, fed, text_model)


def test_without_a_feed_for_all_of_the_time_everything_is_read(spark: SparkSession, text_model: str, fed: str, said: list[bool]) -> None:
    spark.sql(f"ALTER TABLE {fed} SET TBLPROPERTIES ('delta.enableChangeDataFeed' = 'false')")
    spark.sql(f"INSERT INTO {fed} VALUES (100, 'a new text')")
    spark.sql(ON.format(fed))
    report = run(spark, text_run(text_model, fed, f"{fed}_scored"))
    assert (said, report.rows["due"], report.rows["source"]) == ([False], 1, 21)


def test_a_retry_of_failed_rows_reads_everything(spark: SparkSession, text_model: str, fed: str, said: list[bool]) -> None:
    spark.sql(f"INSERT INTO {fed} VALUES (100, NULL)")
    accepting = text_run(text_model, fed, f"{fed}_scored", rows={"max_failed_share": 1.0})
    assert run(spark, accepting).rows["failed"] == 1
    spark.sql(f"INSERT INTO {fed} VALUES (101, 'a new text')")
    assert run(spark, accepting, retry_failed=True).rows["due"] == 2
    assert said == [True]
