"""How inputs cross to the workers."""

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from sparkcoil import udf

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
