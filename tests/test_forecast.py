"""What a run would do: counted and tried on Spark, with nothing written."""

import json
from pathlib import Path

import jobs
import pytest
from pyspark.sql import SparkSession
from runs import history, make_table, text_run

from sparkcoil import log_model, plan, preview, run
from sparkcoil.errors import RefusedError
from sparkcoil.forecast import within

TEXTS = [(i, f"Return the sum of the {i % 40} numbers.") for i in range(50)]


@pytest.fixture(scope="module")
def table(spark: SparkSession) -> str:
    make_table(spark, "planned", TEXTS)
    return "planned"


def test_of_a_new_target_every_row_is_due_and_equal_inputs_are_scored_once(spark: SparkSession, text_model: str, table: str) -> None:
    made = plan(spark, text_run(text_model, table, "planned_never"))
    assert {name: made.rows[name] for name in ("source", "keys", "due", "new", "to_score", "copied", "duplicates")} == {
        "source": 50, "keys": 50, "due": 50, "new": 50, "to_score": 40, "copied": 0, "duplicates": 10,
    }  # fmt: skip
    assert (made.unit, made.slots, made.chunks, made.failed_share) == ("tokens", 2, 1, 0.0)
    assert 0 < made.lengths["median"] <= made.lengths["longest"] < 100
    assert 0 < made.probe["rows"] <= 40
    assert made.seconds["score"] > 0
    assert made.seconds["total"] > made.seconds["score"] + made.seconds["publish"]
    assert made.model["device"] == "cpu"
    assert made.model["mebibytes"] > 0


def test_rows_that_fail_count_each_though_their_input_is_tried_once(spark: SparkSession, text_model: str) -> None:
    make_table(spark, "planned_nulls", [*TEXTS, *((100 + i, None) for i in range(50))])
    made = plan(spark, text_run(text_model, "planned_nulls", "planned_never"))
    assert (made.rows["to_score"], made.probe["rows"], made.probe["due"]) == (41, 41, 100)
    assert made.failed_share == 0.5
    assert "rows.max_failed_share is 5.0%" in str(made)


def test_nothing_is_written(spark: SparkSession, text_model: str, table: str, tmp_path: Path) -> None:
    config = text_run(text_model, table, "-", target={"path": str(tmp_path / "out")})
    plan(spark, config)
    assert preview(spark, config, count=3).count() == 3
    assert [*tmp_path.iterdir()] == []


def test_it_says_why_rows_are_due(spark: SparkSession, text_model: str, examples: Path) -> None:
    make_table(spark, "reasons", TEXTS)
    config = text_run(text_model, "reasons", "reasons_scored")
    run(spark, config)
    before = history(spark, "reasons_scored")
    nothing = plan(spark, config)
    assert (nothing.rows["due"], nothing.chunks, nothing.seconds["score"]) == (0, 0, 0)
    spark.sql("UPDATE reasons SET body = concat(body, ' Or none.') WHERE id < 3")
    spark.sql("INSERT INTO reasons VALUES (100, 'A text that is new.'), (101, 'Return the sum of the 7 numbers.')")
    made = plan(spark, config)
    assert {name: made.rows.get(name, 0) for name in ("due", "new", "changed", "copied", "to_score")} == {
        "due": 5, "new": 2, "changed": 3, "copied": 1, "to_score": 4,
    }  # fmt: skip
    other = log_model(examples / "models" / "docstring_topic", task="text-classification", options={"top_k": 2})
    assert plan(spark, text_run(other.uri, "reasons", "reasons_scored")).rows["other_model"] == 50
    assert history(spark, "reasons_scored") == before


def test_a_preview_is_what_a_run_writes(spark: SparkSession, text_model: str, table: str) -> None:
    config = text_run(text_model, table, "previewed", target={"table": "previewed", "keep": ["body"]})
    shown = preview(spark, config, count=4)
    assert shown.columns == ["id", "body", "prediction", "status", "error", "warnings"]
    run(spark, config)
    written = {row["id"]: row for row in spark.table("previewed").select(*shown.columns).collect()}
    for row in shown.collect():
        assert (row["prediction"]["label"], row["status"]) == (written[row["id"]]["prediction"]["label"], "ok")


def test_a_run_that_would_take_too_much_is_refused(spark: SparkSession, text_model: str, table: str) -> None:
    config = text_run(text_model, table, "planned_never", cost={"per_hour": 3_600})
    made = plan(spark, config)
    assert made.cost == pytest.approx(made.seconds["total"], rel=0.01)
    within(made, max_hours=1, max_cost=1_000)
    with pytest.raises(RefusedError, match=r"estimated at .*, over --max-cost 0.5"):
        within(made, max_hours=None, max_cost=0.5)
    with pytest.raises(RefusedError, match=r"over --max-hours 1e-05"):
        within(made, max_hours=1e-5, max_cost=None)
    with pytest.raises(RefusedError, match=r"cost.per_hour"):
        within(plan(spark, text_run(text_model, table, "planned_never")), max_hours=None, max_cost=5)


def test_the_job_shows_the_plan_and_refuses_what_is_too_long(spark: SparkSession, text_model: str, tmp_path: Path) -> None:
    spark.createDataFrame(TEXTS, "id BIGINT, body STRING").write.format("delta").save(str(tmp_path / "in"))
    sections = {
        "name": "told",
        "model": {"uri": text_model},
        "source": {"path": str(tmp_path / "in"), "keys": ["id"], "columns": {"text": "body"}},
        "target": {"path": str(tmp_path / "out")},
    }
    (tmp_path / "run.yaml").write_text(json.dumps(sections))
    ended = jobs.here("plan", tmp_path / "run.yaml", "--preview", "2", "--max-hours", "0.00001", cwd=tmp_path)
    assert (ended.code, ended.report["error"]) == (3, "RefusedError")
    assert [json.loads(line)["status"] for line in ended.lines[:2]] == ["ok", "ok"]
    assert "50 of 50 keys: 50 new" in ended.said
    assert not (tmp_path / "out").exists()
