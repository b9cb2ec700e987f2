"""Sources that are no Delta table: read as they were written, refused with a sentence where they cannot be."""

from pathlib import Path

import pandas
import pytest
from pyspark.sql import SparkSession

from sparkcoil import due, source, tasks
from sparkcoil.errors import SourceError
from sparkcoil.sections import SourceConfig

TEXTS = ['she said "no"', "two\nlines", 'a "quoted\nbreak", and a comma', "back\\slash", ""]


def at(path: Path, **fields: object) -> SourceConfig:
    return SourceConfig.model_validate({"path": str(path), "keys": ["id"], "columns": {"text": "body"}, **fields})


def test_csv_is_read_as_pandas_writes_it(spark: SparkSession, tmp_path: Path) -> None:
    pandas.DataFrame({"id": range(len(TEXTS)), "body": TEXTS}).to_csv(tmp_path / "in.csv", index=False)
    rows = source.pin(spark, at(tmp_path / "in.csv", format="csv")).frame.collect()
    assert {int(row["id"]): row["body"] or "" for row in rows} == dict(enumerate(TEXTS))


def test_reader_options_win_over_the_defaults(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("1;a\n2;b\n")
    options = {"sep": ";", "header": False, "inferSchema": True}
    frame = source.pin(spark, at(tmp_path / "in.csv", format="csv", options=options)).frame
    assert [tuple(row) for row in frame.collect()] == [(1, "a"), (2, "b")]


def test_a_file_of_another_format_is_refused_with_its_name(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("id,body\n1,a\n")
    with pytest.raises(SourceError, match=r"^source: /.*in.csv: \[FAILED_READ_FILE.*in.csv.*") as caught:
        source.pin(spark, at(tmp_path / "in.csv", format="parquet"))
    assert "\n" not in str(caught.value)


def test_a_value_that_cannot_be_read_is_refused_and_not_quoted(spark: SparkSession) -> None:
    frame = spark.sql("SELECT CAST(body AS INT) AS id, 'hash' AS input_hash FROM VALUES ('canary-9b1f') AS rows(body)")
    with pytest.raises(SourceError, match=r"source: its rows cannot be read: \[CAST_INVALID_INPUT\]") as caught:
        due.find(frame, None, ["id"], model_digest="d", retry_failed=False)
    assert "canary" not in str(caught.value)


def test_wrong_keys_and_wrong_inputs_are_reported_at_once(spark: SparkSession) -> None:
    frame = spark.createDataFrame([(1, "a", "en")], "id INT, body STRING, lang STRING")
    with pytest.raises(SourceError) as caught:
        source.checked_inputs(
            frame, ["idd"], ["lange"], columns={"text": "upper(bodyy)", "text_pair": "id"}, task=tasks.load("text-classification")
        )
    assert str(caught.value).splitlines() == [
        "the source is not what the run file says",
        "  - source.keys: no column 'idd'; did you mean 'id'?",
        "  - target.keep: no column 'lange'; did you mean 'lang'?",
        "  - source.columns.text: 'upper(bodyy)' is no column or expression of the source: no column 'bodyy'; did you mean 'body'?",
        "  - source.columns.text_pair: expected string, found int in 'id'",
    ]


def test_an_expression_that_is_no_sql_is_refused_in_one_clause(spark: SparkSession) -> None:
    frame = spark.createDataFrame([(1, "a")], "id INT, body STRING")
    with pytest.raises(
        SourceError, match=r"columns.text: 'upper\(body' is no column or expression of the source: \[PARSE_SYNTAX_ERROR\]"
    ) as caught:
        source.checked_inputs(
            frame, ["id"], [], columns={"text": "upper(body"}, task=tasks.load("text-classification"), wording=source.ARGUMENTS
        )
    assert "source.columns" not in str(caught.value)
    assert "run file" not in str(caught.value)


@pytest.mark.parametrize(
    ("task", "column", "expected"),
    [("image-classification", "image", "bytes or path"), ("audio-classification", "audio", "bytes or array or path")],
)
def test_a_struct_that_can_hold_no_file_is_refused(spark: SparkSession, task: str, column: str, expected: str) -> None:
    frame = spark.createDataFrame([], "id INT, cell STRUCT<data: BINARY, width: INT>, fits STRUCT<path: STRING>")
    found = f"columns.{column}: expected a struct with {expected}, found struct<data:binary,width:int> in 'cell'"
    with pytest.raises(SourceError, match=found):
        source.checked_inputs(frame, ["id"], [], columns={column: "cell"}, task=tasks.load(task))
    assert column in source.checked_inputs(frame, ["id"], [], columns={column: "fits"}, task=tasks.load(task))[0]
