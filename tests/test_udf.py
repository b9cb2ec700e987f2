"""How inputs cross to the workers."""

from dataclasses import replace

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from sparkcoil import functions, ledger, tasks, udf

INVALID = "CAST(X'ff61' AS STRING)"


def sent(spark: SparkSession, expression: str) -> object:
    """Return a value as a worker would get it."""
    frame = spark.range(1).select(F.expr(expression).alias("value"))
    row = frame.select(udf.as_sent(F.col("value"), frame.schema["value"].dataType).alias("value")).head()
    assert row is not None
    return row["value"]


def test_text_crosses_as_bytes_whatever_it_holds(spark: SparkSession) -> None:
    assert sent(spark, INVALID) == b"\xffa"


def test_valid_strings_in_arrays_and_structs_cross_as_they_are(spark: SparkSession) -> None:
    assert sent(spark, "array('a', NULL)") == ["a", None]
    assert sent(spark, "array(named_struct('role', 'user', 'n', 1))")[0].asDict() == {"role": "user", "n": 1}


def test_an_invalid_string_deep_in_a_value_makes_it_null_and_ends_no_worker(spark: SparkSession) -> None:
    assert sent(spark, f"array('a', {INVALID})") is None
    assert sent(spark, f"array(named_struct('role', 'user', 'content', {INVALID}))") is None


def test_values_without_text_are_left_alone(spark: SparkSession) -> None:
    assert sent(spark, "array(1, 2)") == [1, 2]
    assert sent(spark, "named_struct('n', 1)").asDict() == {"n": 1}


# A prediction with bytes at every depth, and a field that is only called so.
DEEP = "file BINARY, parts ARRAY<STRUCT<label: STRING, score: DOUBLE, mask: BINARY>>, inner STRUCT<binary: STRING, files: ARRAY<BINARY>>"
BYTES = b"\x00\xff\n"
FULL = {
    "file": BYTES,
    "parts": [{"label": "a", "score": None, "mask": BYTES}, {"label": "b", "score": 0.5, "mask": b""}],
    "inner": {"binary": "AAAA", "files": [BYTES, b"\x01"]},
}


def test_bytes_at_any_depth_of_a_prediction_leave_the_worker_as_text_and_arrive_as_bytes(spark: SparkSession) -> None:
    task = replace(tasks.load("echo"), prediction=DEEP)
    sent = [task.sent(FULL), task.sent({**FULL, "file": None, "parts": []})]
    wire = f"e STRUCT<r: STRUCT<prediction: STRUCT<{', '.join(ledger.colon_separated(task.wire))}>, status: STRING>>"
    frame = spark.createDataFrame([({"r": {"prediction": each, "status": "ok"}},) for each in sent], wire)
    in_sql = functions.expression("f", task, on_error="null")
    found = frame.select(udf.arrived(F.col("e.r.prediction"), task).alias("columns"), F.expr(in_sql).alias("sql"))
    documented = spark.createDataFrame([], f"p STRUCT<{', '.join(ledger.colon_separated(DEEP))}>").schema["p"].dataType
    assert {each.dataType.simpleString() for each in found.schema} == {documented.simpleString()}
    for row, expected in zip(found.collect(), [FULL, {**FULL, "file": None, "parts": []}], strict=True):
        assert [each.asDict(recursive=True) for each in row] == [expected, expected]
