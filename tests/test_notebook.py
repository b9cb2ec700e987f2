"""The doors for notebooks and SQL give what a run gives."""

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from runs import make_table, text_run

from sparkcoil import register, run, score, scoring_udf
from sparkcoil.errors import ConfigError, SourceError

ROWS = [(i, f"Parse the XML document number {i}.") for i in range(12)] + [(12, None)]


@pytest.fixture(scope="module")
def expected(spark: SparkSession, text_model: str) -> list[tuple]:
    """What a run gives for the rows."""
    make_table(spark, "doors", ROWS)
    run(spark, text_run(text_model, "doors", "doors_scored", rows={"max_failed_share": 1.0}))
    return comparable(spark.table("doors_scored"))


def comparable(frame) -> list[tuple]:
    rows = frame.select("id", "prediction.label", "status", "error", "warnings").orderBy("id").collect()
    return [tuple(row) for row in rows]


def test_score_gives_the_prediction_table(spark: SparkSession, text_model: str, expected: list[tuple]) -> None:
    scored = score(spark.table("doors"), text_model, keys=["id"], columns={"text": "body"})
    assert scored.dtypes == spark.table("doors_scored").dtypes
    assert comparable(scored) == expected


def test_score_gives_a_row_for_each_row_also_for_equal_duplicates(spark: SparkSession, text_model: str) -> None:
    frame = spark.createDataFrame([ROWS[0], ROWS[0], ROWS[1]], "id BIGINT, body STRING")
    assert score(frame, text_model, keys=["id"], columns={"text": "body"}).count() == 3


def test_score_refuses_a_key_with_different_inputs(spark: SparkSession, text_model: str) -> None:
    frame = spark.createDataFrame([(1, "a"), (1, "b")], "id BIGINT, body STRING")
    with pytest.raises(SourceError, match=r"such as \(id=1\)"):
        score(frame, text_model, keys=["id"], columns={"text": "body"})


def test_score_takes_options(spark: SparkSession, text_model: str) -> None:
    frame = spark.createDataFrame(ROWS[:2], "id BIGINT, body STRING")
    scored = score(frame, text_model, keys=["id"], columns={"text": "body"}, options={"top_k": 2})
    assert {row["n"] for row in scored.select(F.size("prediction.scores").alias("n")).collect()} == {2}


def test_a_single_key_needs_no_list(spark: SparkSession, text_model: str, expected: list[tuple]) -> None:
    frame = spark.createDataFrame([(1, "de", "a text")], "id BIGINT, lang STRING, body STRING")
    assert score(frame, text_model, keys="id", columns={"text": "body"}, keep="lang").columns[:3] == ["id", "lang", "prediction"]


def test_score_speaks_of_its_own_arguments(spark: SparkSession, text_model: str) -> None:
    frame = spark.createDataFrame([(1, "a text")], "id BIGINT, body STRING")
    with pytest.raises(ConfigError) as wrong:
        score(frame, text_model, keys="id", columns={"txt": "body"}, options={"topk": 1})
    with pytest.raises(SourceError) as missing:
        score(frame, text_model, keys="idd", columns={"text": "bodyy"})
    assert str(wrong.value).splitlines() == [
        "score(): 3 problems",
        "  - options.topk: unknown key; did you mean 'top_k'?",
        "  - columns.txt: unknown input; did you mean 'text'?",
        "  - columns.text: missing, and text-classification needs it",
    ]
    assert str(missing.value).splitlines() == [
        "the source is not what the call says",
        "  - keys: no column 'idd'; did you mean 'id'?",
        "  - columns.text: 'bodyy' is no column or expression of the source: no column 'bodyy'; did you mean 'body'?",
    ]


def test_run_takes_no_path(spark: SparkSession) -> None:
    with pytest.raises(ConfigError, match=r"config: expected a RunConfig, found str; load_config\(path\) reads a run file"):
        run(spark, "conf/docstrings-topic.yaml")  # type: ignore[arg-type]


def test_the_udf_gives_the_same_with_real_nulls(spark: SparkSession, text_model: str, expected: list[tuple]) -> None:
    topic = scoring_udf(spark, text_model)
    frame = spark.table("doors").select("id", topic("body").alias("scored")).select("id", "scored.*")
    assert comparable(frame) == expected
    assert frame.where("prediction IS NULL").count() == 1


def test_the_udf_refuses_columns_that_do_not_fit(spark: SparkSession, text_model: str) -> None:
    topic = scoring_udf(spark, text_model)
    with pytest.raises(ConfigError, match=r"txt: unknown input; did you mean 'text'\?"):
        topic(txt="body")
    with pytest.raises(ConfigError, match="text: missing, and text-classification needs it"):
        topic()
    with pytest.raises(ConfigError, match="3 columns for 2 inputs"):
        topic("a", "b", "c")


def test_a_filter_above_the_udf_does_not_run_the_model_again(spark: SparkSession, text_model: str) -> None:
    topic = scoring_udf(spark, text_model)
    frame = spark.table("doors").select("id", topic("body").alias("scored")).where("scored.status = 'ok' AND scored.prediction.score > 0")
    assert frame._jdf.queryExecution().executedPlan().toString().count("ArrowEvalPython") == 1
    assert frame.count() == 12


def test_sql_gives_the_same(spark: SparkSession, text_model: str, expected: list[tuple]) -> None:
    register(spark, "topic", text_model)
    frame = spark.sql("SELECT id, scored.* FROM (SELECT id, topic(body) AS scored FROM doors)")
    assert comparable(frame) == expected


def test_sql_functions_have_plain_names(spark: SparkSession, text_model: str) -> None:
    with pytest.raises(ConfigError, match="sql_name: expected a plain word"):
        register(spark, "topic; DROP TABLE doors", text_model)
