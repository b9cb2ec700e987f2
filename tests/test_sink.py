"""The target's identity: which columns its rows are keyed by is recorded with it, and held against each run."""

import os
from pathlib import Path

import pytest
from delta.tables import DeltaTable
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from runs import history, make_table, text_run

from sparkcoil import run, sink, tasks
from sparkcoil.errors import TargetError
from sparkcoil.sections import TargetConfig
from sparkcoil.sink import Target

TASK = tasks.load("text-classification")


def target(spark: SparkSession, *keys: str, keep: tuple[str, ...] = (), table: str) -> Target:
    frame = spark.createDataFrame([], "ticket_id BIGINT, customer STRING")
    return sink.expected(frame, keys, TargetConfig(table=table, keep=keep), TASK)


def test_other_keys_for_the_same_columns_are_refused(spark: SparkSession, text_model: str) -> None:
    make_table(spark, "tickets", [(1, "ada", "a text"), (2, "bob", "a text")], "ticket_id BIGINT, customer STRING, body STRING")
    narrow = {"table": "tickets", "keys": ["ticket_id"], "columns": {"text": "body"}}
    run(spark, text_run(text_model, "-", "-", source=narrow, target={"table": "tickets_scored", "keep": ["customer"]}))
    wide = text_run(text_model, "-", "-", source={**narrow, "keys": ["ticket_id", "customer"]}, target={"table": "tickets_scored"})
    message = (
        r"keys: expected ticket_id, customer, found ticket_id, by which its rows were scored; go back to those keys, or score into a new"
    )
    with pytest.raises(TargetError, match=message) as caught:
        run(spark, wide)
    assert caught.value.exit_code == 3
    assert spark.table("tickets_scored").count() == 2


def test_a_commit_is_found_again_without_a_look_at_the_history(
    spark: SparkSession, text_model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DeltaTable, "history", lambda *given: pytest.fail("the history was read"))
    make_table(spark, "found_again", [(1, "a text")])
    assert run(spark, text_run(text_model, "found_again", "found_again_scored")).rows["ok"] == 1


def test_a_kept_column_can_be_added_to_the_target_first(spark: SparkSession, text_model: str) -> None:
    make_table(spark, "grown", [(1, "a text", "en")], "id BIGINT, body STRING, lang STRING")
    run(spark, text_run(text_model, "grown", "grown_scored"))
    spark.sql("ALTER TABLE grown_scored ADD COLUMNS (lang STRING)")
    spark.sql("INSERT INTO grown VALUES (2, 'another text', 'de')")
    run(spark, text_run(text_model, "grown", "-", target={"table": "grown_scored", "keep": ["lang"]}))
    assert {row["id"]: row["lang"] for row in spark.table("grown_scored").collect()} == {1: None, 2: "de"}


def test_the_order_of_the_keys_does_not_matter(spark: SparkSession) -> None:
    sink.create(spark, target(spark, "ticket_id", "customer", table="ordered"))
    sink.check(spark, target(spark, "customer", "ticket_id", table="ordered"))


def test_keys_and_task_are_written_with_the_one_commit_that_makes_the_table(spark: SparkSession) -> None:
    sink.create(spark, target(spark, "ticket_id", table="made"))
    properties = spark.sql("DESCRIBE DETAIL made").select("properties").head()["properties"]
    assert (properties["sparkcoil.keys"], properties["sparkcoil.task"]) == ('["ticket_id"]', "text-classification")
    assert history(spark, "made") == 1


def test_a_relative_path_lies_in_the_folder_of_the_job(spark: SparkSession, tmp_path: Path) -> None:
    frame = spark.createDataFrame([], "ticket_id BIGINT")
    made = sink.expected(frame, ["ticket_id"], TargetConfig(path=os.path.relpath(tmp_path / "made")), TASK)
    sink.create(spark, made)
    sink.check(spark, made)
    assert (tmp_path / "made" / "_delta_log").is_dir()


def test_a_table_that_does_not_say_its_keys_is_taken_as_it_is(spark: SparkSession) -> None:
    sink.create(spark, target(spark, "ticket_id", keep=("customer",), table="older"))
    spark.sql("ALTER TABLE older UNSET TBLPROPERTIES ('sparkcoil.keys')")
    sink.check(spark, target(spark, "ticket_id", "customer", table="older"))


def test_what_the_model_says_of_itself_is_written_with_the_table(spark: SparkSession) -> None:
    frame = spark.createDataFrame([], "ticket_id BIGINT")
    noted = sink.expected(frame, ["ticket_id"], TargetConfig(table="noted"), TASK, {"license": "apache-2.0"})
    sink.create(spark, noted)
    properties = spark.sql("DESCRIBE DETAIL noted").select("properties").head()["properties"]
    assert properties["sparkcoil.model.license"] == "apache-2.0"


@pytest.mark.parametrize("replaces", [False, True])
def test_a_transaction_is_committed_once(spark: SparkSession, replaces: bool) -> None:
    made = target(spark, "ticket_id", table=f"committed_once_{replaces}".lower())
    sink.create(spark, made)
    lacking = [F.lit(None).cast(field.dataType).alias(field.name) for field in made.schema if field.name != "ticket_id"]
    for number in range(2):
        rows = spark.range(number, number + 1).select(F.col("id").alias("ticket_id"), *lacking)
        sink.publish(spark, made, rows, transaction="the same", note="a note", replaces=replaces)
    assert [row["ticket_id"] for row in sink.read(spark, made).collect()] == [0]
