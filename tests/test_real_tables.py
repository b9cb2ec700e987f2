"""Tables as people have them, scored by the job: names that need quotes, schemas that are missing, headers with blanks, odd files."""

import json
import re
from pathlib import Path
from typing import Any

import jobs
import pytest
import yaml
from jobs import Ended
from pyspark.sql import SparkSession
from runs import make_table

from sparkcoil import testing

COUNTED = "SELECT id, prediction.completion_tokens AS tokens FROM optional_scored"
SOURCE: dict[str, Any] = {"keys": ["id"], "columns": {"text": "body"}}


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of a model that gives the hash of a text."""
    return str(testing.write_echo_model(tmp_path_factory.mktemp("model") / "echo"))


def score(folder: Path, model: str, source: dict[str, Any], target: dict[str, Any], **sections: Any) -> Ended:
    """Return how the job ends that scores a source into a target."""
    run = {
        "name": "real",
        "tracking": "none",
        "model": {"uri": model},
        "source": {**SOURCE, **source},
        "target": target,
        **sections,
    }
    conf = folder / "real.yaml"
    conf.write_text(yaml.safe_dump(run))
    return jobs.here("score", conf, cwd=folder)


def refused(ended: Ended) -> str:
    """Return what a job said that was refused before its first row."""
    assert ended.code == 3, ended.said
    return ended.said


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("no_such_schema.scored", r"create the schema first"),
        ("no_such_catalog.db.scored", r"spark\.sql\.catalog\.NAME"),
        ("`my-table`", r"letters, digits and _ alone"),
    ],
)
def test_a_target_that_cannot_be_is_refused_with_the_way_out(spark: SparkSession, echo: str, tmp_path: Path, table: str, said: str) -> None:
    make_table(spark, "plain", [(1, "a text")])
    assert re.search(said, refused(score(tmp_path, echo, {"table": "plain"}, {"table": table})))


@pytest.mark.long("runs")
def test_a_target_that_only_grows_takes_new_rows_and_refuses_changes(spark: SparkSession, echo: str, tmp_path: Path) -> None:
    make_table(spark, "growing_only", [(1, "a text")])
    assert score(tmp_path, echo, {"table": "growing_only"}, {"table": "growing_only_scored"}).code == 0
    spark.sql("ALTER TABLE growing_only_scored SET TBLPROPERTIES ('delta.appendOnly' = 'true')")
    spark.sql("INSERT INTO growing_only VALUES (2, 'another')")
    ended = score(tmp_path, echo, {"table": "growing_only"}, {"table": "growing_only_scored"})
    assert (ended.code, ended.report["rows"]["ok"]) == (0, 1), ended.said
    spark.sql("UPDATE growing_only SET body = 'changed' WHERE id = 1")
    said = refused(score(tmp_path, echo, {"table": "growing_only"}, {"table": "growing_only_scored"}))
    assert "'delta.appendOnly' = 'false'" in said and "1 of its own would change" in said


@pytest.mark.long("runs")
def test_a_column_of_a_type_that_the_target_does_not_know_yet_is_refused_with_what_enables_it(
    spark: SparkSession, echo: str, tmp_path: Path
) -> None:
    spark.sql("CREATE TABLE local_times (id BIGINT, body STRING, at TIMESTAMP_NTZ) USING delta")
    spark.sql("INSERT INTO local_times VALUES (1, 'a text', TIMESTAMP_NTZ'2026-01-01 00:00:00')")
    assert score(tmp_path, echo, {"table": "local_times"}, {"table": "local_times_scored"}).code == 0
    target = {"table": "local_times_scored", "keep": ["at"], "add_columns": True}
    ended = score(tmp_path, echo, {"table": "local_times"}, target)
    if ended.code:
        assert "delta.feature.timestampNtz" in refused(ended)
        spark.sql("ALTER TABLE local_times_scored SET TBLPROPERTIES ('delta.feature.timestampNtz' = 'supported')")
        assert score(tmp_path, echo, {"table": "local_times"}, target).code == 0
    assert "at" in spark.table("local_times_scored").columns


def test_columns_of_a_csv_header_are_keys_and_kept_under_their_own_names(spark: SparkSession, echo: str, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("Customer ID,Price (EUR),body\n1,2.5,a text\n2,3.5,another\n")
    source = {"path": str(tmp_path / "in.csv"), "format": "csv", "keys": ["Customer ID"]}
    target = {"path": str(tmp_path / "scored"), "keep": ["Price (EUR)"]}
    ended = score(tmp_path, echo, source, target)
    assert (ended.code, ended.report["rows"]["ok"]) == (0, 2), ended.said
    scored = spark.read.format("delta").load(str(tmp_path / "scored"))
    assert {(row["Customer ID"], row["Price (EUR)"]) for row in scored.collect()} == {("1", "2.5"), ("2", "3.5")}
    (tmp_path / "in.csv").write_text("Customer ID,Price (EUR),body\n1,2.5,a text\n2,3.5,changed\n")
    ended = score(tmp_path, echo, source, target)
    assert (ended.code, ended.report["rows"]["ok"]) == (0, 1), ended.said
    assert score(tmp_path, echo, source, target).report["status"] == "nothing_due"


@pytest.mark.long("runs")
def test_a_source_with_mapped_columns_is_read_as_any_other(spark: SparkSession, echo: str, tmp_path: Path) -> None:
    spark.sql("CREATE TABLE mapped (id BIGINT, `the body` STRING) USING delta TBLPROPERTIES ('delta.columnMapping.mode' = 'name')")
    spark.sql("INSERT INTO mapped VALUES (1, 'a text')")
    spark.sql("ALTER TABLE mapped RENAME COLUMN `the body` TO `a body`")
    source = {"table": "mapped", "columns": {"text": "a body"}}
    ended = score(tmp_path, echo, source, {"table": "mapped_scored", "keep": ["a body"]})
    assert (ended.code, ended.report["rows"]["ok"]) == (0, 1), ended.said
    assert score(tmp_path, echo, source, {"table": "mapped_scored", "keep": ["a body"]}).report["status"] == "nothing_due"


def test_a_line_that_is_no_json_is_refused_with_its_file(spark: SparkSession, echo: str, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "good.json").write_text(json.dumps({"id": 1, "body": "a text"}))
    (folder / "bad.json").write_text('{"id": 2, "body": "canary\n')
    said = refused(score(tmp_path, echo, {"path": str(folder), "format": "json"}, {"path": str(tmp_path / "scored")}))
    assert "bad.json is malformed" in said and "canary" not in said
    source = {"path": str(folder), "format": "json", "options": {"mode": "DROPMALFORMED"}}
    assert score(tmp_path, echo, source, {"path": str(tmp_path / "scored")}).report["rows"]["ok"] == 1


def test_a_key_in_other_letters_gets_the_hint_that_columns_get(spark: SparkSession, echo: str, tmp_path: Path) -> None:
    make_table(spark, "lettered", [(1, "a text")])
    said = refused(score(tmp_path, echo, {"table": "lettered", "keys": ["ID"]}, {"table": "lettered_scored"}))
    assert "no column 'ID'; did you mean 'id'?" in said


@pytest.mark.parametrize(
    "format", ["json", *(pytest.param(each, marks=pytest.mark.long("runs")) for each in ("csv", "text", "parquet", "orc"))]
)
def test_what_spark_knows_of_a_file_can_be_a_key(spark: SparkSession, echo: str, tmp_path: Path, format: str) -> None:
    for text in ("a text", "another"):
        writer = spark.createDataFrame([(text,)], "value STRING").coalesce(1).write.mode("append").format(format)
        writer.options(**({"header": "true"} if format == "csv" else {})).save(str(tmp_path / "in"))
    source = {
        "path": str(tmp_path / "in"),
        "format": format,
        "keys": ["_metadata.file_name"],
        "columns": {"text": "value"},
    }
    ended = score(tmp_path, echo, source, {"path": str(tmp_path / "scored")})
    assert (ended.code, ended.report["rows"]["keys"]) == (0, 2), ended.said
    assert score(tmp_path, echo, source, {"path": str(tmp_path / "scored")}).report["status"] == "nothing_due"


def test_an_option_that_is_null_in_a_row_is_the_default(spark: SparkSession, tmp_path: Path, examples: Path) -> None:
    import tiny_models

    from sparkcoil.registry import write_model

    write_model(
        tiny_models.tiny_causal(tmp_path / "built") / "model", tmp_path / "logged", task="llm/v1/completions", options={"max_tokens": 5}
    )
    rows = [(1, "once upon", None, None, None), (2, "a time", 3, 0.0, "END")]
    make_table(spark, "optional", rows, "id BIGINT, body STRING, tokens INT, warmth DOUBLE, ends STRING")
    columns = {"prompt": "body", "max_tokens": "tokens", "temperature": "warmth", "stop": "ends"}
    ended = score(tmp_path, str(tmp_path / "logged"), {"table": "optional", "columns": columns}, {"table": "optional_scored"})
    assert (ended.code, ended.report["rows"]["ok"], ended.report["failures"]) == (0, 2, []), ended.said
    tokens = {row["id"]: row["tokens"] for row in spark.sql(COUNTED).collect()}
    assert tokens[1] <= 5 and tokens[2] <= 3


@pytest.mark.long("runs")
def test_weights_that_are_written_over_while_they_are_in_use_end_the_run(
    spark: SparkSession, text_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    from sparkcoil import models, sink

    artifact = Path(shutil.copytree(models.resolve(text_model).path, tmp_path / "artifact"))
    (artifact / "model" / "notes.txt").write_text("another digest, which no worker has loaded yet")
    make_table(spark, "overwritten", [(i, f"text {i}") for i in range(40)])
    publish = sink.publish

    def published(*given: Any, **named: Any) -> None:
        publish(*given, **named)
        file = next((artifact / "model").glob("*.safetensors"))
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(content)  # in place, as a retraining into the same folder does

    monkeypatch.setattr(sink, "publish", published)
    chunks = {"batching": {"chunk_rows": 20}}
    said = refused(score(tmp_path, str(artifact), {"table": "overwritten"}, {"table": "overwritten_scored"}, **chunks))
    # By a worker that has loaded the model, or by one that loads it now.
    assert re.search(r"were written while the model was in use|is not the run's: expected digest", said)
    assert 0 < spark.table("overwritten_scored").count() < 40
