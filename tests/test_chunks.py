"""How what is due gets into the target: known predictions are copied, and only the rest meets the model."""

import pytest
from pyspark.sql import SparkSession
from runs import copy_scored, history, make_table, text_run

from sparkcoil import run
from sparkcoil.errors import BudgetExceeded, SourceError, TargetError

TEXTS = [(i, f"text number {i % 5}") for i in range(20)]


@pytest.fixture(scope="module")
def first(spark: SparkSession, text_model: str) -> str:
    """A table of five different texts, scored; gives its name, by which the target is named too."""
    make_table(spark, "five_texts", TEXTS)
    assert run(spark, text_run(text_model, "five_texts", "five_texts_scored")).throughput["computed_rows"] == 5
    return "five_texts"


@pytest.fixture
def scored(spark: SparkSession, first: str, request: pytest.FixtureRequest) -> str:
    """The test's own copy of that table and its target; gives its name."""
    return copy_scored(spark, first, request.node.name)


def by_id(spark: SparkSession, table: str) -> dict[int, tuple[object, ...]]:
    return {row["id"]: (row["input_hash"], row["prediction"], row["status"]) for row in spark.table(table).collect()}


def test_new_rows_with_known_inputs_are_copied(spark: SparkSession, text_model: str, scored: str) -> None:
    spark.sql(f"INSERT INTO {scored} SELECT id + 100, body FROM {scored} WHERE id < 8")
    spark.sql(f"INSERT INTO {scored} VALUES (200, 'a new text')")
    report = run(spark, text_run(text_model, scored, f"{scored}_scored"))
    assert (report.rows["due"], report.rows["copied"], report.rows["ok"], report.throughput["computed_rows"]) == (9, 8, 9, 1)
    found = by_id(spark, f"{scored}_scored")
    assert all(found[i + 100] == found[i] for i in range(8))
    assert (len(found), spark.table(f"{scored}_scored").count()) == (29, 29)
    assert run(spark, text_run(text_model, scored, f"{scored}_scored")).status == "nothing_due"


def test_with_only_known_inputs_the_model_is_asked_nothing(spark: SparkSession, text_model: str, scored: str) -> None:
    spark.sql(f"UPDATE {scored} SET body = 'text number 3' WHERE id = 1")
    report = run(spark, text_run(text_model, scored, f"{scored}_scored"))
    assert (report.rows["copied"], report.rows["ok"], report.throughput, report.status) == (1, 1, {}, "done")
    assert history(spark, f"{scored}_scored") == 3
    found = by_id(spark, f"{scored}_scored")
    assert (found[1], len(found)) == (found[3], 20)


def test_rows_under_other_keys_of_a_table_made_anew_are_copied(spark: SparkSession, text_model: str, scored: str) -> None:
    make_table(spark, f"{scored}_anew", [(i + 1000, text) for i, text in TEXTS])
    report = run(spark, text_run(text_model, f"{scored}_anew", f"{scored}_scored"))
    assert (report.rows["due"], report.rows["copied"], report.rows["ok"]) == (20, 20, 20)
    assert spark.table(f"{scored}_scored").count() == 40


def test_what_failed_before_is_not_copied(spark: SparkSession, text_model: str, scored: str) -> None:
    spark.sql(f"INSERT INTO {scored} VALUES (300, NULL)")
    accepting = {"rows": {"max_failed_share": 1.0}}
    assert run(spark, text_run(text_model, scored, f"{scored}_scored", **accepting)).rows["failed"] == 1
    spark.sql(f"INSERT INTO {scored} VALUES (301, NULL)")
    report = run(spark, text_run(text_model, scored, f"{scored}_scored", **accepting))
    assert (report.rows["copied"], report.rows["failed"]) == (0, 1)


def test_rows_that_left_the_source_stay_unless_they_are_to_be_removed(spark: SparkSession, text_model: str, scored: str) -> None:
    spark.sql(f"DELETE FROM {scored} WHERE id IN (3, 4)")
    assert run(spark, text_run(text_model, scored, f"{scored}_scored")).rows["removed"] == 0
    removing = text_run(text_model, scored, "-", target={"table": f"{scored}_scored", "deletes": "remove"})
    report = run(spark, removing)
    assert (report.status, report.rows["due"], report.rows["removed"]) == ("done", 0, 2)
    assert sorted(by_id(spark, f"{scored}_scored")) == sorted({i for i, _ in TEXTS} - {3, 4})
    assert run(spark, removing).status == "nothing_due"


def test_a_source_that_is_all_but_empty_removes_nothing_unless_told_to(spark: SparkSession, text_model: str, scored: str) -> None:
    spark.sql(f"DELETE FROM {scored} WHERE id > 4")
    target = {"table": f"{scored}_scored", "deletes": "remove"}
    with pytest.raises(SourceError, match=r"target.max_deletes_share: 15 of 20 rows have left the source, over the allowed share of 0.5"):
        run(spark, text_run(text_model, scored, "-", target=target))
    assert spark.table(f"{scored}_scored").count() == 20
    assert run(spark, text_run(text_model, scored, "-", target={**target, "max_deletes_share": 1.0})).rows["removed"] == 15


def test_new_rows_come_and_old_ones_go_in_one_run(spark: SparkSession, text_model: str, scored: str) -> None:
    spark.sql(f"DELETE FROM {scored} WHERE id = 3")
    spark.sql(f"INSERT INTO {scored} VALUES (300, 'a new text')")
    removing = text_run(text_model, scored, "-", target={"table": f"{scored}_scored", "deletes": "remove"})
    report = run(spark, removing)
    assert (report.rows["due"], report.rows["ok"], report.rows["removed"]) == (1, 1, 1)
    assert sorted(by_id(spark, f"{scored}_scored")) == sorted({*(i for i, _ in TEXTS), 300} - {3})
    assert run(spark, removing).status == "nothing_due"


def test_a_source_that_gives_other_rows_the_next_time_removes_nothing(spark: SparkSession, text_model: str, scored: str) -> None:
    source = {"query": f"SELECT * FROM {scored}", "keys": ["id"], "columns": {"text": "body"}}
    config = text_run(text_model, "-", "-", source=source, target={"table": f"{scored}_scored", "deletes": "remove"})
    with pytest.raises(
        TargetError, match=r"target.deletes: remove asks for a source that is a Delta table, read as it stands; found query"
    ):
        run(spark, config)


def test_rows_that_failed_with_a_code_are_scored_again(spark: SparkSession, text_model: str, scored: str) -> None:
    spark.sql(f"INSERT INTO {scored} VALUES (300, NULL)")
    config = text_run(text_model, scored, f"{scored}_scored", rows={"max_failed_share": 1.0})
    run(spark, config)
    assert run(spark, config, retry_failed=["timeout"]).rows["due"] == 0
    assert run(spark, config, retry_failed=["timeout", "null_input"]).rows["due"] == 1
    assert run(spark, config, retry_failed=True).rows["due"] == 1
    attempts = spark.table(f"{scored}_scored").where("id = 300").select("error.attempts").head()
    assert attempts is not None and attempts[0] == 3


def test_a_run_whose_first_rows_all_fail_stops_there(spark: SparkSession, text_model: str, scored: str) -> None:
    make_table(spark, f"{scored}_bad", [(i, None) for i in range(60)])
    budget = {"max_failed_share": 0.9, "stop_after": 10}
    with pytest.raises(BudgetExceeded, match=r"rows.stop_after: the first \d+ of 60 due rows all failed: input/null_input") as caught:
        run(spark, text_run(text_model, f"{scored}_bad", f"{scored}_into", rows=budget, batching={"chunk_rows": 10}))
    assert caught.value.report.rows["unpublished"] == 60
    assert str(caught.value) == caught.value.report.exceeded


def test_other_options_copy_nothing(spark: SparkSession, text_model: str, scored: str) -> None:
    model = {"uri": text_model, "options": {"top_k": 1}}
    report = run(spark, text_run("-", scored, f"{scored}_scored", model=model))
    assert (report.rows["due"], report.rows["copied"], report.throughput["computed_rows"]) == (20, 0, 5)
