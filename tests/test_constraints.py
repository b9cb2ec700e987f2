"""A target's CHECK and NOT NULL: rows that break them fail, the others go in, and nothing of a row is in a message or a log."""

import pytest
from delta.tables import DeltaTable
from pyspark.sql import SparkSession
from pyspark.sql.types import StructType
from runs import copy_scored, make_table, text_run

from sparkcoil import run
from sparkcoil.errors import BudgetExceeded

ACCEPTING = {"rows": {"max_failed_share": 1.0}}


@pytest.fixture(scope="module")
def first(spark: SparkSession, text_model: str) -> str:
    """A table of forty rows, and a target that already takes its rows; gives the source's name."""
    make_table(spark, "forty", [(0, "text number 0")])
    run(spark, text_run(text_model, "forty", "forty_scored"))
    spark.sql("INSERT INTO forty SELECT id, concat('secret text ', id) FROM range(1, 40)")
    return "forty"


@pytest.fixture
def constrained(spark: SparkSession, first: str, request: pytest.FixtureRequest) -> str:
    """The test's own copy of that table and its target; gives the source's name."""
    return copy_scored(spark, first, request.node.name)


def test_rows_that_break_a_check_fail_and_the_others_go_in(
    spark: SparkSession, text_model: str, constrained: str, capfd: pytest.CaptureFixture[str]
) -> None:
    check = "status = 'failed' OR id % 10 <> 3 OR prediction IS NULL"
    spark.sql(f"ALTER TABLE {constrained}_scored ADD CONSTRAINT no_threes CHECK ({check})")
    report = run(spark, text_run(text_model, constrained, f"{constrained}_scored", **ACCEPTING))
    assert (report.rows["ok"], report.rows["failed"], report.rows["unpublished"]) == (35, 4, 0)
    scored = spark.table(f"{constrained}_scored")
    failed = scored.where("status = 'failed'").select("id", "error", "prediction").collect()
    assert sorted(row["id"] for row in failed) == [3, 13, 23, 33]
    assert {(row["error"]["stage"], row["error"]["code"], row["prediction"]) for row in failed} == {("output", "constraint", None)}
    assert all("no_threes" in row["error"]["message"] for row in failed)
    assert (scored.count(), scored.select("id").distinct().count()) == (40, 40)
    assert "secret text" not in "".join(capfd.readouterr())
    assert run(spark, text_run(text_model, constrained, f"{constrained}_scored")).status == "nothing_due"


def test_rows_that_break_a_check_even_as_failed_ones_stay_out_and_are_due_again(
    spark: SparkSession, text_model: str, constrained: str
) -> None:
    spark.sql(f"ALTER TABLE {constrained}_scored ADD CONSTRAINT small CHECK (id < 38)")
    report = run(spark, text_run(text_model, constrained, f"{constrained}_scored", **ACCEPTING))
    assert (report.rows["ok"], report.rows["failed"], report.rows["unpublished"]) == (37, 0, 2)
    assert [(each["code"], each["rows"]) for each in report.failures] == [("constraint", 2)]
    spark.sql(f"ALTER TABLE {constrained}_scored DROP CONSTRAINT small")
    assert run(spark, text_run(text_model, constrained, f"{constrained}_scored")).rows["ok"] == 2


def test_rows_that_break_a_constraint_count_for_the_error_budget(spark: SparkSession, text_model: str, constrained: str) -> None:
    spark.sql(f"ALTER TABLE {constrained}_scored ADD CONSTRAINT even CHECK (status = 'failed' OR id % 2 = 0)")
    with pytest.raises(BudgetExceeded, match=r"rows\.max_failed_share: 20 of 39 due rows failed.*output/constraint"):
        run(spark, text_run(text_model, constrained, f"{constrained}_scored"))
    assert spark.table(f"{constrained}_scored").count() == 1


def test_a_kept_column_that_takes_no_null_or_no_long_text_fails_the_rows_that_have_one(spark: SparkSession, text_model: str) -> None:
    rows = [(1, "a", "en"), (2, "b", None), (3, "c", "de"), (4, "d", "secret language")]
    make_table(spark, "demanding", rows, "id BIGINT, body STRING, lang STRING")
    run(spark, text_run(text_model, "demanding", "-", target={"table": "demanding_first", "keep": ["lang"]}))
    columns = [each for each in spark.table("demanding_first").schema if each.name not in ("id", "lang")]
    made = DeltaTable.create(spark).tableName("demanding_scored").addColumn("id", "BIGINT", nullable=False)
    made.addColumn("lang", "VARCHAR(4)", nullable=False).addColumns(StructType(columns)).execute()
    target = {"table": "demanding_scored", "keep": ["lang"]}
    report = run(spark, text_run(text_model, "demanding", "-", target=target, **ACCEPTING))
    assert (report.rows["ok"], report.rows["unpublished"], spark.table("demanding_scored").count()) == (2, 2, 2)
    assert [(each["code"], each["rows"]) for each in report.failures] == [("constraint", 2)]


def test_columns_that_delta_fills_may_be_there(spark: SparkSession, text_model: str) -> None:
    make_table(spark, "filled", [(i, f"text number {i}") for i in range(12)])
    run(spark, text_run(text_model, "filled", "filled_first"))
    builder = DeltaTable.create(spark).tableName("filled_scored").addColumns(spark.table("filled_first").schema)
    builder.addColumn("day", "DATE", generatedAlwaysAs="CAST(scored_at AS DATE)", nullable=False).partitionedBy("day").execute()
    spark.sql("ALTER TABLE filled_scored ADD CONSTRAINT recent CHECK (day > '2020-01-01')")
    config = text_run(text_model, "filled", "filled_scored")
    assert run(spark, config).rows["ok"] == 12
    spark.sql("UPDATE filled SET body = concat(body, '!') WHERE id < 3")
    spark.sql("INSERT INTO filled VALUES (50, 'a new text')")
    assert run(spark, config).rows["ok"] == 4
    found = spark.table("filled_scored")
    assert (found.count(), found.where("day = CAST(scored_at AS DATE)").count()) == (13, 13)
