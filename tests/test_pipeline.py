"""Runs from a Delta table to a Delta table on a local session: what is scored, what is due again, what is refused."""

from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from runs import history, make_table, text_run

from sparkcoil import run, sink
from sparkcoil.errors import BudgetExceeded, ConfigError, ModelError, SourceError, SparkcoilError, TargetError

TEXTS = [(i, f"Return the socket number {i} of the event loop.") for i in range(40)]


@pytest.fixture(scope="module")
def scored(spark: SparkSession, text_model: str) -> str:
    """A table that a run has filled; tests only read it."""
    make_table(spark, "read_only", [*TEXTS, (40, None), (41, ""), (42, "socket " * 3000), (43, TEXTS[0][1])])
    run(spark, text_run(text_model, "read_only", "read_only_scored", tracking="mlflow"))
    return "read_only_scored"


@pytest.mark.promise("one row out for each row in")
def test_every_row_has_a_prediction_or_an_error(spark: SparkSession, scored: str) -> None:
    table = spark.table(scored)
    assert table.count() == table.select("id").distinct().count() == 44
    assert table.where("(status = 'ok') != (prediction IS NOT NULL) OR (status = 'failed') != (error IS NOT NULL)").count() == 0
    assert {row["id"]: row["error"]["code"] for row in table.where("status = 'failed'").collect()} == {40: "null_input"}


def test_the_table_has_the_documented_columns(spark: SparkSession, scored: str) -> None:
    assert [f"{field.name} {field.dataType.simpleString()}" for field in spark.table(scored).schema] == [
        "id bigint",
        "prediction struct<label:string,score:double,scores:array<struct<label:string,score:double>>>",
        "status string",
        "error struct<stage:string,code:string,message:string,retryable:boolean,attempts:int>",
        "warnings array<string>",
        "input_hash string",
        "model_uri string",
        "model_version string",
        "model_digest string",
        "run_id string",
        "scored_at timestamp",
    ]


def test_warnings_tell_blank_and_truncated_texts(spark: SparkSession, scored: str) -> None:
    warnings = {row["id"]: row["warnings"] for row in spark.table(scored).where("id >= 40").collect()}
    assert warnings == {40: [], 41: ["blank_input"], 42: ["truncated"], 43: []}


def test_the_model_is_named_by_version_and_not_by_alias(spark: SparkSession, scored: str) -> None:
    row = spark.table(scored).select("model_uri", "model_version", F.length("model_digest").alias("digits")).distinct().collect()
    assert [each.asDict() for each in row] == [{"model_uri": "models:/docstring_topic/1", "model_version": "1", "digits": 64}]


def test_nothing_due_commits_nothing(spark: SparkSession, text_model: str, scored: str) -> None:
    before = history(spark, scored)
    report = run(spark, text_run(text_model, "read_only", scored))
    assert (report.status, report.rows["due"], report.throughput) == ("nothing_due", 0, {})
    assert history(spark, scored) == before


@pytest.mark.promise("a rerun scores only what is new or changed")
def test_only_new_and_changed_rows_are_scored_again(spark: SparkSession, text_model: str) -> None:
    make_table(spark, "growing", TEXTS)
    config = text_run(text_model, "growing", "growing_scored")
    first = run(spark, config)
    spark.sql("UPDATE growing SET body = 'Parse the XML document.' WHERE id < 3")
    spark.sql("INSERT INTO growing VALUES (100, 'Send a mail message.')")
    second = run(spark, config)
    assert (first.rows["ok"], second.rows["due"], second.rows["ok"]) == (40, 4, 4)
    by_run = {row["run_id"]: row["count"] for row in spark.table("growing_scored").groupBy("run_id").count().collect()}
    assert by_run == {first.run_id: 37, second.run_id: 4}
    assert run(spark, config).status == "nothing_due"


def test_other_options_make_every_row_due(spark: SparkSession, text_model: str, scored: str) -> None:
    make_table(spark, "options", TEXTS[:5])
    run(spark, text_run(text_model, "options", "options_scored"))
    report = run(spark, text_run(text_model, "options", "options_scored", model={"uri": text_model, "options": {"top_k": 1}}))
    assert report.rows["due"] == 5
    assert spark.table("options_scored").where("size(prediction.scores) = 1").count() == 5


def test_identical_inputs_are_computed_once(spark: SparkSession, text_model: str) -> None:
    make_table(spark, "repeated", [(i, f"text {i % 7}") for i in range(300)])
    report = run(spark, text_run(text_model, "repeated", "repeated_scored", batching={"window_rows": 10, "partitions": 3}))
    assert (report.rows["ok"], report.throughput["computed_rows"]) == (300, 7)
    per_text = spark.table("repeated_scored").groupBy(F.col("id") % 7).agg(F.countDistinct("prediction").alias("n"))
    assert {row["n"] for row in per_text.collect()} == {1}


def test_equal_duplicates_of_a_key_collapse(spark: SparkSession, text_model: str) -> None:
    make_table(spark, "twice", [*TEXTS[:4], *TEXTS[:2]])
    report = run(spark, text_run(text_model, "twice", "twice_scored"))
    assert (report.rows["source"], report.rows["keys"], report.rows["ok"]) == (6, 4, 4)
    assert spark.table("twice_scored").count() == 4


def test_a_key_with_different_inputs_is_refused_by_name(spark: SparkSession, text_model: str) -> None:
    make_table(spark, "unequal", [(1, "a"), (1, "b"), (2, "c")])
    with pytest.raises(SourceError, match=r"1 keys for rows with different inputs, such as \(id=1\)"):
        run(spark, text_run(text_model, "unequal", "unequal_scored"))
    assert not spark.catalog.tableExists("unequal_scored")


def test_a_null_key_is_refused_by_name(spark: SparkSession, text_model: str) -> None:
    make_table(spark, "nameless", [("m", None, "a"), ("m", "f", "b")], "module STRING, name STRING, body STRING")
    source = {"table": "nameless", "keys": ["module", "name"], "columns": {"text": "body"}}
    with pytest.raises(SourceError, match=r"1 keys with NULL in them, such as \(module='m', name=None\)"):
        run(spark, text_run(text_model, "nameless", "nameless_scored", source=source))


def test_past_the_error_budget_nothing_is_published(spark: SparkSession, text_model: str) -> None:
    make_table(spark, "poor", [(i, None if i < 3 else "text") for i in range(10)])
    config = text_run(text_model, "poor", "poor_scored", rows={"max_failed_share": 0.2})
    with pytest.raises(BudgetExceeded, match=r"3 of 10 due rows failed, over the allowed share of 0.2: input/null_input") as caught:
        run(spark, config)
    assert spark.table("poor_scored").count() == 0
    assert caught.value.report.failures == [{"stage": "input", "code": "null_input", "rows": 3, "example": '{"id":0}'}]
    assert caught.value.report.exit_code == 4


def test_failed_rows_are_tried_again_only_on_request(spark: SparkSession, text_model: str) -> None:
    make_table(spark, "retried", [(1, None), (2, "text")])
    config = text_run(text_model, "retried", "retried_scored", rows={"max_failed_share": 1.0})
    run(spark, config)
    assert run(spark, config).rows["due"] == 0
    report = run(spark, config, retry_failed=True)
    assert report.rows["due"] == 1
    assert {row["id"]: row["error"] and row["error"]["attempts"] for row in spark.table("retried_scored").collect()} == {1: 2, 2: None}


def test_chunks_are_published_one_by_one(spark: SparkSession, text_model: str) -> None:
    make_table(spark, "chunked", TEXTS)
    report = run(spark, text_run(text_model, "chunked", "chunked_scored", batching={"chunk_rows": 20}))
    assert report.rows["ok"] == spark.table("chunked_scored").count() == 40
    assert spark.sql("DESCRIBE HISTORY chunked_scored").where("operation = 'WRITE'").count() == 2


def test_a_chunk_that_its_commit_does_not_hold_ends_the_run(spark: SparkSession, text_model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make_table(spark, "lost", TEXTS)
    publish = sink.publish
    monkeypatch.setattr(sink, "publish", lambda spark, target, rows, **named: publish(spark, target, rows.limit(3), **named))
    with pytest.raises(SparkcoilError, match="target: lost_scored: expected a commit of 40 rows, found a commit of 3 rows; run it again"):
        run(spark, text_run(text_model, "lost", "lost_scored"))
    monkeypatch.setattr(sink, "publish", lambda *given, **named: None)
    with pytest.raises(SparkcoilError, match="expected a commit of 37 rows, found no such commit"):
        run(spark, text_run(text_model, "lost", "lost_scored"))
    monkeypatch.undo()
    assert run(spark, text_run(text_model, "lost", "lost_scored")).rows["ok"] == 37


def test_kept_columns_and_an_sql_expression_and_a_filter(spark: SparkSession, text_model: str) -> None:
    make_table(spark, "wide", [(1, "a", "en"), (2, "b", "de"), (3, "c", None)], "id BIGINT, body STRING, lang STRING")
    source = {"table": "wide", "keys": ["id"], "columns": {"text": "upper(body)"}, "where": "lang = 'en'"}
    run(spark, text_run(text_model, "wide", "wide_scored", source=source, target={"table": "wide_scored", "keep": ["lang"]}))
    assert [(row["id"], row["lang"]) for row in spark.table("wide_scored").collect()] == [(1, "en")]


def test_paths_work_as_tables_do(spark: SparkSession, text_model: str, tmp_path: Path) -> None:
    spark.createDataFrame(TEXTS[:3], "id BIGINT, body STRING").write.json(str(tmp_path / "in"))
    source = {"path": str(tmp_path / "in"), "format": "json", "keys": ["id"], "columns": {"text": "body"}}
    config = text_run(text_model, "-", "-", source=source, target={"path": str(tmp_path / "out")})
    assert run(spark, config).rows["ok"] == 3
    assert run(spark, config).status == "nothing_due"
    assert spark.read.format("delta").load(str(tmp_path / "out")).count() == 3
    assert [each.name for each in tmp_path.iterdir() if each.name not in ("in", "out")] == []
    assert not (tmp_path / "out" / "_sparkcoil").exists()


def test_an_older_version_of_the_source_can_be_asked_for(spark: SparkSession, text_model: str) -> None:
    make_table(spark, "versioned", TEXTS[:2])
    spark.sql("INSERT INTO versioned VALUES (9, 'later')")
    source = {"table": "versioned", "version": 0, "keys": ["id"], "columns": {"text": "body"}}
    report = run(spark, text_run(text_model, "versioned", "versioned_scored", source=source))
    assert (report.source["version"], report.rows["ok"]) == (0, 2)


def test_an_empty_source_gives_an_empty_table_of_the_same_schema(spark: SparkSession, text_model: str, scored: str) -> None:
    make_table(spark, "empty", [])
    assert run(spark, text_run(text_model, "empty", "empty_scored")).status == "nothing_due"
    assert spark.table("empty_scored").schema == spark.table(scored).schema


def test_a_missing_table_is_refused_with_the_nearest_name(spark: SparkSession, text_model: str, scored: str) -> None:
    with pytest.raises(SourceError, match=r"source: read_onl: .*did you mean 'read_only'\?"):
        run(spark, text_run(text_model, "read_onl", "x_scored"))


def test_missing_columns_and_wrong_types_are_refused(spark: SparkSession, text_model: str, scored: str) -> None:
    source = {"table": "read_only", "keys": ["idd"], "columns": {"text": "body"}}
    with pytest.raises(SourceError, match=r"source.keys: no column 'idd'; did you mean 'id'\?"):
        run(spark, text_run(text_model, "-", "x_scored", source=source))
    source = {"table": "read_only", "keys": ["id"], "columns": {"text": "id"}}
    with pytest.raises(SourceError, match=r"source.columns.text: expected string, found bigint in 'id'"):
        run(spark, text_run(text_model, "-", "x_scored", source=source))
    source = {"table": "read_only", "keys": ["id"], "columns": {"text": "bodyy"}}
    with pytest.raises(SourceError, match=r"source.columns.text: 'bodyy' is no column .*did you mean 'body'\?"):
        run(spark, text_run(text_model, "-", "x_scored", source=source))
    assert not spark.catalog.tableExists("x_scored")


def test_a_target_with_another_schema_is_refused(spark: SparkSession, text_model: str, scored: str) -> None:
    make_table(spark, "occupied", [(1, "x")])
    with pytest.raises(TargetError, match=r"column prediction: expected struct<.*>, found no such column"):
        run(spark, text_run(text_model, "read_only", "occupied"))
    assert spark.table("occupied").count() == 1


def test_unknown_options_are_refused_with_the_nearest_name(spark: SparkSession, text_model: str, scored: str) -> None:
    with pytest.raises(ConfigError, match=r"model.options.topk: unknown key; did you mean 'top_k'\?"):
        run(spark, text_run(text_model, "read_only", "x_scored", model={"uri": text_model, "options": {"topk": 1}}))


def test_a_model_of_another_task_is_refused(spark: SparkSession, text_model: str, scored: str) -> None:
    columns = {"table": "read_only", "keys": ["id"], "columns": {"audio": "body"}}
    config = text_run(text_model, "-", "x_scored", task="automatic-speech-recognition", source=columns)
    with pytest.raises(ModelError, match=r"the run file says automatic-speech-recognition, .* was logged for text-classification"):
        run(spark, config)


def test_the_run_is_an_mlflow_run_with_its_source_and_model(spark: SparkSession, text_model: str, scored: str) -> None:
    import mlflow

    run_id = spark.table(scored).select("run_id").head()["run_id"]
    listed = mlflow.search_runs(filter_string=f"tags.`sparkcoil.run_id` = '{run_id}'", output_format="list")[0]
    found = mlflow.get_run(listed.info.run_id)  # a search leaves the models out
    assert found.data.metrics["rows.ok"] == 43
    assert found.data.params["model.uri"] == "models:/docstring_topic/1"
    assert {each.dataset.name for each in found.inputs.dataset_inputs} == {"read_only", scored}
    assert len(found.inputs.model_inputs) == 1


def test_a_run_is_not_logged_to_mlflow_where_its_file_asks_for_none(spark: SparkSession, text_model: str) -> None:
    import mlflow

    make_table(spark, "unlogged", TEXTS[:2])
    report = run(spark, text_run(text_model, "unlogged", "unlogged_scored", tracking="none"))
    assert report.rows["ok"] == 2
    assert mlflow.search_runs(filter_string=f"tags.`sparkcoil.run_id` = '{report.run_id}'", output_format="list") == []


def test_no_shuffle_lies_above_the_model(spark: SparkSession, text_model: str) -> None:
    from sparkcoil import chunks, pinned, rows, udf

    make_table(spark, "planned", TEXTS)
    this = pinned.prepared(spark, text_run(text_model, "planned", "planned_scored"))
    function, _ = udf.scoring_function(spark, this.selection, this.config.batching)
    chosen = rows.with_attempts(this.rows, None, ["id"])
    plan = chunks.scored_chunk(this, chosen, function, 2)._jdf.queryExecution().executedPlan().toString()
    assert plan.count("ArrowEvalPython") == 1
    assert "Exchange" in plan
    assert "Exchange" not in plan.split("ArrowEvalPython")[0]


def test_a_query_that_gives_other_rows_later_is_read_once(spark: SparkSession, text_model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make_table(spark, "moving", TEXTS)
    publish = sink.publish

    def published(*given: object, **named: object) -> None:
        publish(*given, **named)
        spark.sql("UPDATE moving SET body = concat(body, '!')")

    monkeypatch.setattr(sink, "publish", published)
    source = {"query": "SELECT * FROM moving", "keys": ["id"], "columns": {"text": "body"}}
    report = run(spark, text_run(text_model, "-", "moving_scored", source=source, batching={"chunk_rows": 20}))
    assert (report.rows["ok"], report.rows["unpublished"]) == (40, 0)
    assert sorted(row["id"] for row in spark.table("moving_scored").collect()) == list(range(40))


def test_an_expression_of_time_is_evaluated_once(spark: SparkSession, text_model: str) -> None:
    make_table(spark, "timed", TEXTS)
    columns = {"text": "concat(body, cast(current_timestamp() AS STRING))"}
    source = {"table": "timed", "keys": ["id"], "columns": columns}
    report = run(spark, text_run(text_model, "-", "timed_scored", source=source, batching={"chunk_rows": 20}))
    assert (report.rows["ok"], report.rows["unpublished"]) == (40, 0)
    assert sorted(row["id"] for row in spark.table("timed_scored").collect()) == list(range(40))


def test_a_target_that_is_the_source_is_refused(spark: SparkSession, text_model: str, scored: str) -> None:
    source = {"table": scored, "keys": ["id"], "columns": {"text": "prediction.label"}}
    with pytest.raises(TargetError, match="read_only_scored is the source itself"):
        run(spark, text_run(text_model, "-", scored, source=source))


def test_a_query_that_is_no_select_is_refused_undone(spark: SparkSession, text_model: str) -> None:
    make_table(spark, "untouched", TEXTS[:2])
    source = {"query": "INSERT INTO untouched VALUES (9, 'x')", "keys": ["id"], "columns": {"text": "body"}}
    with pytest.raises(SourceError):
        run(spark, text_run(text_model, "-", "x_scored", source=source))
    assert spark.table("untouched").count() == 2
