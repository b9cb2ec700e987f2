"""How what is due gets into the target: known predictions are copied, and only the rest meets the model."""

import pytest
from pyspark.sql import SparkSession
from runs import history, make_table, text_run

from sparkcoil import run

TEXTS = [(i, f"text number {i % 5}") for i in range(20)]


@pytest.fixture
def scored(spark: SparkSession, text_model: str, request: pytest.FixtureRequest) -> str:
    """A table of five different texts, scored; gives its name, by which the target is named too."""
    name = request.node.name.lower()[:60]
    make_table(spark, name, TEXTS)
    assert run(spark, text_run(text_model, name, f"{name}_scored")).throughput["computed_rows"] == 5
    return name


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


def test_other_options_copy_nothing(spark: SparkSession, text_model: str, scored: str) -> None:
    model = {"uri": text_model, "options": {"top_k": 1}}
    report = run(spark, text_run("-", scored, f"{scored}_scored", model=model))
    assert (report.rows["due"], report.rows["copied"], report.throughput["computed_rows"]) == (20, 0, 5)
