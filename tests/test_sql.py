"""SQL functions of a model: what a failed row gives, and that every row is computed once, wherever Spark lets a function stand."""

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import SparkSession
from runs import make_table

from sparkcoil import register, scoring_udf, testing
from sparkcoil.errors import ConfigError

TEXTS = {i: f"text {i}" for i in range(8)}
RIGHT = {i: testing.hash_of(text) for i, text in TEXTS.items()}
ONCE = dict.fromkeys(RIGHT.values(), 1)
PREDICTIONS = {"hashed": "p.prediction", "hashed_or_null": "p", "hashed_or_raise": "p"}


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model that gives hashes, with the folder `log` beside it, where it notes its calls."""
    folder = tmp_path_factory.mktemp("sql")
    testing.write_echo_model(folder / "echo", options={"log": str(folder / "log")})
    return folder / "echo"


@pytest.fixture(scope="module")
def functions(spark: SparkSession, echo: Path) -> None:
    """The model as three SQL functions, and a table that has a row without a text."""
    register(spark, "hashed", str(echo))
    register(spark, "hashed_or_null", str(echo), on_error="null")
    register(spark, "hashed_or_raise", str(echo), on_error="raise")
    make_table(spark, "documents", [*TEXTS.items(), (8, None)])
    spark.createDataFrame([(1, "canary-9b1f <fail>")], "id BIGINT, body STRING").createOrReplaceTempView("bad_documents")


@pytest.fixture
def computed(functions: None, echo: Path) -> Callable[[], Mapping[str, int]]:
    """How often each text was computed since the test began, by its hash."""
    log = echo.with_name("log")
    before = testing.times_computed(log)
    return lambda: dict(Counter(testing.times_computed(log)) - before)


def found(spark: SparkSession, statement: str) -> dict[int, str | None]:
    return {row["id"]: row["echo"] for row in spark.sql(statement).collect()}


def test_a_failed_row_gives_null_where_that_is_asked_for(spark: SparkSession, functions: None) -> None:
    assert found(spark, "SELECT id, hashed_or_null(body).echo AS echo FROM documents") == {**RIGHT, 8: None}
    assert spark.sql("SELECT hashed_or_null(body) AS p FROM documents").dtypes == [("p", "struct<echo:string,worker:bigint>")]


def test_a_failed_row_ends_the_query_where_that_is_asked_for_by_stage_and_code_alone(spark: SparkSession, functions: None) -> None:
    with pytest.raises(PySparkException) as raised:
        spark.sql("SELECT id, hashed_or_raise(body).echo AS echo FROM bad_documents").collect()
    assert "sparkcoil: hashed_or_raise: a row failed with model/model_error" in str(raised.value)
    assert "canary" not in str(raised.value)


def test_a_failed_row_whose_result_is_not_used_ends_nothing(spark: SparkSession, functions: None) -> None:
    assert spark.sql("SELECT id FROM (SELECT id, hashed_or_raise(body) AS p FROM bad_documents)").count() == 1


@pytest.mark.parametrize("function", PREDICTIONS)
def test_fields_and_filters_above_a_function_compute_each_row_once(
    spark: SparkSession, computed: Callable[[], Mapping[str, int]], function: str
) -> None:
    scored = f"SELECT id, {function}(body) AS p FROM documents WHERE body IS NOT NULL"
    echo, worker = (f"{PREDICTIONS[function]}.{field}" for field in ("echo", "worker"))
    assert found(spark, f"SELECT id, {echo}, {worker} FROM ({scored}) WHERE {echo} > '' AND {worker} > 0") == RIGHT
    assert computed() == ONCE


def test_a_column_gives_the_same_as_a_sql_function(spark: SparkSession, echo: Path, functions: None) -> None:
    documents, bad = spark.table("documents"), spark.table("bad_documents")
    hashed = scoring_udf(spark, str(echo), on_error="null")
    rows = documents.select("id", hashed("body").alias("p")).select("id", "p.echo").collect()
    assert {row["id"]: row["echo"] for row in rows} == {**RIGHT, 8: None}
    hashed = scoring_udf(spark, str(echo), on_error="raise")
    assert documents.where("id < 8").select(hashed("body")["echo"]).count() == 8
    with pytest.raises(PySparkException, match="sparkcoil: scoring_udf: a row failed with model/model_error"):
        bad.select(hashed("body")["echo"]).collect()


def test_another_word_for_failed_rows_is_refused(spark: SparkSession, echo: Path) -> None:
    with pytest.raises(ConfigError, match=r"on_error: expected struct, null or raise, found 'nul'; did you mean 'null'\?"):
        register(spark, "hashed", str(echo), on_error="nul")  # type: ignore[arg-type]


def test_a_temporary_view_holds_a_function(spark: SparkSession, computed: Callable[[], Mapping[str, int]]) -> None:
    spark.sql("CREATE OR REPLACE TEMPORARY VIEW hashes AS SELECT id, hashed_or_null(body).echo AS echo FROM documents")
    assert found(spark, "SELECT * FROM hashes WHERE echo IS NOT NULL") == RIGHT
    assert computed() == ONCE


def test_spark_keeps_no_function_in_a_permanent_view(spark: SparkSession, functions: None) -> None:
    with pytest.raises(AnalysisException, match="INVALID_TEMP_OBJ_REFERENCE"):
        spark.sql("CREATE VIEW permanent_hashes AS SELECT id, hashed_or_null(body).echo AS echo FROM documents")


def test_a_merge_computes_each_row_of_its_source_once(spark: SparkSession, computed: Callable[[], Mapping[str, int]]) -> None:
    make_table(spark, "merged", [(i, "old") for i in (0, 1, 99)], "id BIGINT, echo STRING")
    spark.sql(
        "MERGE INTO merged USING (SELECT id, hashed_or_null(body).echo AS echo FROM documents) new ON merged.id = new.id "
        "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
    )
    assert found(spark, "SELECT * FROM merged") == {**RIGHT, 8: None, 99: "old"}
    assert computed() == ONCE


def test_a_stream_computes_each_row_once(spark: SparkSession, computed: Callable[[], Mapping[str, int]], tmp_path: Path) -> None:
    stream = spark.readStream.table("documents").selectExpr("id", "hashed_or_null(body).echo AS echo")
    writer = stream.writeStream.trigger(availableNow=True).option("checkpointLocation", str(tmp_path / "checkpoint"))
    writer.toTable("streamed_hashes").awaitTermination()
    assert found(spark, "SELECT * FROM streamed_hashes") == {**RIGHT, 8: None}
    assert computed() == ONCE
