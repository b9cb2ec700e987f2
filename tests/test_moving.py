"""docs/moving.md: the code before and after gives what the page says, on a table with a missing text and a long one."""

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
import runs
import yaml
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from ways import NO_REQUIREMENTS

from sparkcoil import RunConfig, run

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "moving.md").read_text()
UDF_BEFORE, UDF_AFTER, PANDAS_BEFORE, PANDAS_AFTER, SQL_AFTER = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
ROWS = [(1, "Parse a message and return its headers."), (2, None), (3, "run the loop until the task is done " * 200)]


@pytest.fixture(scope="module")
def moving(spark: SparkSession, examples: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """The session within a database that has the page's table, and the page's model as MLflow itself logs it."""
    from transformers import pipeline

    native = pipeline("text-classification", model=str(examples / "models" / "docstring_topic"))
    logged = mlflow.transformers.log_model(native, name="topics", registered_model_name="topics", **NO_REQUIREMENTS)
    mlflow.MlflowClient().set_registered_model_alias("topics", "champion", str(logged.registered_model_version))
    spark.sql("CREATE DATABASE moving")
    spark.sql("USE moving")
    runs.make_table(spark, "messages", ROWS)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("mlflow")))  # MLflow's plain spark_udf never removes what it packs
        yield spark
    spark.sql("USE default")


def done(code: str, spark: SparkSession, checkpoint: Path | str = "") -> None:
    exec(compile(code, "docs/moving.md", "exec"), {"__name__": "page", "spark": spark, "checkpoint": str(checkpoint)})


def shown(printed: str) -> dict[int, list[str]]:
    """Return the cells of a shown table by the first of each row."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in printed.splitlines() if re.match(r"\|\s*\d", line)]
    return {int(key): cells for key, *cells in lines}


def test_plain_spark_udf_loses_the_missing_text_and_all_but_the_label(moving: SparkSession) -> None:
    done(UDF_BEFORE, moving)
    found = moving.table("messages_topic")
    assert dict(found.dtypes)["topic"] == "string"
    assert sorted(row.id for row in found.select("id").collect()) == [1, 3]


@pytest.mark.parametrize(
    ("kept", "left_out"), [("", '.where("body IS NOT NULL")'), ('"body"', 'F.substring("body", 1, 500)')], ids=["a NULL", "a long text"]
)
def test_plain_spark_udf_ends_the_job_over(moving: SparkSession, kept: str, left_out: str) -> None:
    assert left_out in UDF_BEFORE
    with pytest.raises(PySparkException):
        done(UDF_BEFORE.replace(left_out, kept), moving)


def test_score_has_a_row_for_each_row(moving: SparkSession, capsys: pytest.CaptureFixture[str]) -> None:
    done(UDF_AFTER, moving)
    rows = shown(capsys.readouterr().out)
    assert {key: (cells[2], cells[3]) for key, cells in rows.items()} == {1: ("ok", "[]"), 2: ("failed", "[]"), 3: ("ok", "[truncated]")}


def test_the_run_scores_the_same_rows_and_then_none(moving: SparkSession) -> None:
    config = RunConfig.model_validate(yaml.safe_load(re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0]))
    first, second = run(moving, config), run(moving, config)
    assert (first.rows["ok"], first.rows["failed"]) == (2, 1)
    assert (second.status, second.rows["due"]) == ("nothing_due", 0)


def test_the_pandas_udf_gives_a_missing_text_a_label(moving: SparkSession, examples: Path) -> None:
    done(PANDAS_BEFORE, moving, examples / "models" / "docstring_topic")
    labels = {row.id: row.topic.label for row in moving.table("messages_topic").collect()}
    assert set(labels) == {1, 2, 3}
    assert all(labels.values())


@pytest.mark.parametrize("code", [PANDAS_AFTER, SQL_AFTER], ids=["scoring_udf", "SQL"])
def test_an_expression_says_which_row_failed(moving: SparkSession, capsys: pytest.CaptureFixture[str], code: str) -> None:
    done(code, moving)
    rows = shown(capsys.readouterr().out)
    assert {key: cells[1] for key, cells in rows.items()} == {1: "ok", 2: "failed", 3: "ok"}
    assert rows[2][0] == "NULL"
