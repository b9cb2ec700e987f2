"""Statements of SQL in a text or a file, and the job that does them."""

import json
from pathlib import Path

import jobs
import pytest
from pyspark.sql import SparkSession

from sparkcoil import statements, testing
from sparkcoil.errors import ConfigError, SparkcoilError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT 1", ["SELECT 1"]),
        ("SELECT 1;\n SELECT 2 ;", ["SELECT 1", "SELECT 2"]),
        ("SELECT 'a;b', \"c;d\", `e;f`", ["SELECT 'a;b', \"c;d\", `e;f`"]),
        (r"SELECT 'it\'s; it'; SELECT 2", [r"SELECT 'it\'s; it'", "SELECT 2"]),
        ("-- first; of all\nSELECT 4 / 2 - 1 /* one; two */; -- last", ["SELECT 4 / 2 - 1"]),
        ("SELECT /*+ BROADCAST(t) */ 1", ["SELECT /*+ BROADCAST(t) */ 1"]),
    ],
)
def test_semicolons_end_statements_but_within_texts_names_and_comments(text: str, expected: list[str]) -> None:
    assert list(statements.split(text)) == expected


def test_a_name_that_ends_in_sql_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "two.sql").write_text("SELECT 1; SELECT 2")
    assert statements.read(str(tmp_path / "two.sql")) == ["SELECT 1", "SELECT 2"]
    with pytest.raises(ConfigError, match=r"no file nowhere\.sql"):
        statements.read("nowhere.sql")
    with pytest.raises(ConfigError, match="expected a statement, found none"):
        statements.read(" ; -- nothing")


def test_functions_are_given_as_name_and_uri() -> None:
    assert statements.models(["topic=models:/topic@champion"]) == {"topic": "models:/topic@champion"}
    with pytest.raises(ConfigError) as wrong:
        statements.models(["topic", "to pic=models:/topic", "topic="])
    assert len(wrong.value.problems) == 4


def test_a_statement_that_spark_refuses_is_named_with_what_is_wrong(spark: SparkSession) -> None:
    with pytest.raises(ConfigError, match=r"statement 2: \[UNRESOLVED_COLUMN"):
        statements.do(spark, ["SELECT 1", "SELECT nothing"], {}, on_error="struct", rows=1, shown=print)


def test_a_failed_row_ends_the_job_by_its_stage_and_code(spark: SparkSession, tmp_path: Path) -> None:
    uri = testing.write_echo_model(tmp_path / "echo")
    shown: list[str] = []
    asked = ["SELECT hashed(CAST(id AS STRING)).echo AS echo FROM range(2)", "SELECT hashed(CAST(NULL AS STRING)).echo"]
    with pytest.raises(SparkcoilError) as ended:
        statements.do(spark, asked, {"hashed": uri}, on_error="raise", rows=20, shown=shown.append)
    assert str(ended.value) == "statement 2: hashed: a row failed with input/null_input"
    assert [json.loads(line)["echo"] for line in shown] == [testing.hash_of("0"), testing.hash_of("1")]


def test_the_job_prints_rows_and_how_it_ended(spark: SparkSession, tmp_path: Path) -> None:
    uri = testing.write_echo_model(tmp_path / "echo")
    statement = (
        "CREATE TEMPORARY VIEW v AS SELECT hashed(CAST(id AS STRING)).echo AS echo FROM range(9); SELECT count(DISTINCT echo) AS n FROM v"
    )
    ended = jobs.here("sql", statement, "--function", f"hashed={uri}", "--on-error", "null", cwd=tmp_path)
    assert ended.code == 0, ended.said[-3000:]
    assert [json.loads(line) for line in ended.lines] == [{"n": 9}, {"exit_code": 0, "statements": 2}]
