"""Champion and challenger: two models over the same rows in one pass, and how far they agree."""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyspark
import pytest
import torch
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType
from runs import history, make_table, text_run
from safetensors.torch import load_file, save_file

from sparkcoil import RunReport, comparison, contest, digest, ledger, log_model, plan, run, tasks, testing
from sparkcoil.engines import Placement
from sparkcoil.errors import ConfigError, ModelError, TargetError
from sparkcoil.scorer import CHALLENGED, Scorer
from sparkcoil.spec import Spec
from sparkcoil.weights import Weights

TEXTS = [(i, f"Return the sum of the {i % 40} numbers, or raise a KeyError.") for i in range(50)]


@pytest.fixture(scope="module")
def other_model(examples: Path, home: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URI of the docstring classifier with noise in its last layer, so that it says something else of some rows."""
    folder = tmp_path_factory.mktemp("other")
    for file in (examples / "models" / "docstring_topic").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    weights = load_file(folder / "model.safetensors")
    last = next(name for name in weights if name.startswith("classifier") and name.endswith("weight"))
    noise = torch.randn(weights[last].shape, generator=torch.Generator().manual_seed(3))
    weights[last] = weights[last] + weights[last].std() * noise
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return log_model(folder, task="text-classification").uri


@pytest.fixture(scope="module")
def reported(spark: SparkSession, text_model: str, other_model: str) -> RunReport:
    """The report of a run of both over rows of which one is NULL and ten have the text of others."""
    make_table(spark, "contest", [*TEXTS, (99, None)])
    return run(spark, text_run(text_model, "contest", "contest_scored", challenger={"uri": other_model}, rows={"max_failed_share": 1}))


@pytest.fixture(scope="module")
def both(spark: SparkSession, reported: RunReport) -> DataFrame:
    return spark.table("contest_scored").orderBy("id")


def test_one_pass_gives_what_two_runs_give(spark: SparkSession, text_model: str, other_model: str, both: DataFrame) -> None:
    names = ("prediction", "status", "error", "warnings", "model_uri", "model_version", "model_digest")
    lone = {"champion": (text_model, both.select("id", *names)), "challenger": (other_model, both.select("id", "challenger.*"))}
    for name, (uri, found) in lone.items():
        run(spark, text_run(uri, "contest", f"contest_{name}", rows={"max_failed_share": 1}))
        expected = spark.table(f"contest_{name}").orderBy("id").select("id", *names).collect()
        assert [row.asDict(recursive=True) for row in found.collect()] == [row.asDict(recursive=True) for row in expected]


def test_the_report_says_how_often_they_agree(reported: RunReport, both: DataFrame) -> None:
    told = reported.challenger
    assert told is not None
    ok = both.where("status = 'ok'")
    agree = ok.where("prediction.label = challenger.prediction.label").count()
    assert 0 < agree < 50
    assert (told["compared"], told["agree"], told["agreement"], told["both_failed"]) == (50, agree, round(agree / 50, 4), 1)
    apart = ok.select(F.avg(F.abs(F.col("prediction.score") - F.col("challenger.prediction.score")))).head()
    assert apart is not None
    assert told["mean_distance"] == pytest.approx(apart[0], abs=1e-6)
    labels = ok.groupBy("prediction.label", F.col("challenger.prediction.label").alias("other")).count().collect()
    assert {(each["champion"], each["challenger"]): each["rows"] for each in told["labels"]} == {tuple(row)[:2]: row[2] for row in labels}
    assert json.loads(reported.to_json())["challenger"]["uri"] == told["uri"]
    assert reported.throughput["worker_seconds"]["challenger"] > 0


def test_a_challenger_makes_no_row_due_and_copied_rows_have_none(
    spark: SparkSession, text_model: str, other_model: str, both: DataFrame
) -> None:
    assert run(spark, text_run(text_model, "contest", "contest_scored", challenger={"uri": text_model})).status == "nothing_due"
    spark.sql("INSERT INTO contest SELECT id + 1000, body FROM contest WHERE id = 1 UNION ALL SELECT 2000, 'A new text.'")
    run(spark, text_run(text_model, "contest", "contest_scored", challenger={"uri": other_model}, rows={"max_failed_share": 1}))
    asked = {row[0]: row[1] for row in spark.table("contest_scored").where("id > 999").select("id", "challenger.status").collect()}
    assert asked == {1001: None, 2000: "ok"}
    spark.sql("UPDATE contest SET body = concat(body, ' Or none.') WHERE id = 2000")
    report = run(spark, text_run(text_model, "contest", "contest_scored", rows={"max_failed_share": 1}))
    asked = {row[0]: row[1] for row in spark.table("contest_scored").where("id IN (2, 2000)").select("id", "challenger.status").collect()}
    assert (report.rows["due"], report.challenger, asked) == (1, None, {2: "ok", 2000: None})


def test_a_share_of_different_inputs_is_asked_and_equal_ones_alike(spark: SparkSession, text_model: str, other_model: str) -> None:
    make_table(spark, "shared", TEXTS)
    config = text_run(text_model, "shared", "shared_scored", challenger={"uri": other_model, "share": 0.5})
    assert plan(spark, config).rows["due"] == 50
    report = run(spark, config)
    asked = spark.table("shared_scored").groupBy("input_hash").agg(F.count_distinct(F.col("challenger").isNull()).alias("kinds"))
    assert asked.where("kinds > 1").count() == 0
    count = spark.table("shared_scored").where("challenger IS NOT NULL").count()
    assert report.challenger is not None
    assert report.challenger["compared"] == count
    assert 10 < count < 40


def test_a_target_without_the_column_is_refused_unless_columns_are_added(spark: SparkSession, text_model: str, other_model: str) -> None:
    make_table(spark, "later", TEXTS[:3])
    run(spark, text_run(text_model, "later", "later_scored"))
    make_table(spark, "later", TEXTS[:5])
    challenger = {"uri": other_model}
    with pytest.raises(TargetError, match=r"column challenger: expected .*, found no such column"):
        run(spark, text_run(text_model, "later", "later_scored", challenger=challenger))
    before = history(spark, "later_scored")
    run(spark, text_run(text_model, "later", "-", challenger=challenger, target={"table": "later_scored", "add_columns": True}))
    found = spark.table("later_scored").orderBy("id").select("challenger.status").collect()
    assert [row[0] for row in found] == [None, None, None, "ok", "ok"]
    assert history(spark, "later_scored") == before + 2


def test_predictions_without_a_name_are_compared_by_all_but_their_numbers(spark: SparkSession) -> None:
    entities = tasks.load("token-classification")
    kind = f"STRUCT<{', '.join(ledger.colon_separated(entities.prediction))}>"
    parsed = spark.createDataFrame([], f"prediction {kind}").schema["prediction"].dataType
    assert isinstance(parsed, StructType)
    made = [
        f"from_json('{json.dumps({'entities': [entity(label, score)]})}', '{kind}')"
        for label, score in (("A", 0.5), ("A", 0.75), ("B", 0.5))
    ]
    for other, expected in ((made[1], True), (made[2], False)):
        frame = spark.sql(f"SELECT {made[0]} AS prediction, named_struct('prediction', {other}) AS challenger")
        assert frame.select(comparison.same(parsed)).head()[0] is expected  # type: ignore[index]


def entity(label: str, score: float) -> dict[str, object]:
    return {"entity": label, "text": "x", "score": score, "start": 0, "end": 1}


def test_embeddings_are_compared_by_their_cosine_and_are_never_equal(spark: SparkSession) -> None:
    frame = spark.sql(
        "SELECT named_struct('embedding', array(1.0F, 0.0F)) AS prediction, "
        "named_struct('prediction', named_struct('embedding', array(3.0F, 4.0F))) AS challenger"
    )
    kind = frame.schema["prediction"].dataType
    assert isinstance(kind, StructType)
    assert frame.select(comparison.same(kind), comparison.distance(kind)).head() == (None, pytest.approx(0.4))
    zeros = spark.sql(
        "SELECT named_struct('embedding', array(0.0F, 0.0F)) AS prediction, "
        "named_struct('prediction', named_struct('embedding', array(3.0F, 4.0F))) AS challenger"
    )
    assert zeros.select(comparison.distance(kind)).head() == (None,)


def test_it_is_not_asked_where_spark_tries_the_task_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    specs = [testing.write_checkpoint(tmp_path / name / "model").parent for name in ("one", "other")]
    one, other = (Spec("echo", {}, Placement("cpu", "auto"), Weights(digest.of_folder(each), str(each), None), {}) for each in specs)
    frame = pd.DataFrame({"text": [b"a", b"b"], CHALLENGED: [True, False]})
    answers = [each["challenger"] for each in Scorer(replace(one, challenger=other)).predict(frame)["r"]]
    assert [(each["status"], each["prediction"]["echo"]) for each in answers] == [("ok", testing.hash_of("a")), (None, None)]
    again = Scorer(replace(other, challenger=None))
    monkeypatch.setattr(pyspark.TaskContext, "get", classmethod(lambda _: SecondAttempt()))
    said, _ = again.answers([{"text": b"a"}, {"text": b"b"}], [True, False])
    assert [(each["status"], each["error"]["code"]) for each in said] == [("failed", "skipped"), (None, None)]
    assert again.scoring is None


class SecondAttempt:
    """What Spark tells of a task that it tries for the second time."""

    def attemptNumber(self) -> int:
        return 1


def test_a_challenger_that_cannot_score_is_refused_before_the_first_row(spark: SparkSession, text_model: str, audio_model: str) -> None:
    make_table(spark, "uncontested", TEXTS[:3])
    with pytest.raises(ModelError, match="automatic-speech-recognition"):
        run(spark, text_run(text_model, "uncontested", "uncontested_scored", challenger={"uri": audio_model}))
    with pytest.raises(ConfigError, match=r"challenger\.options\.topk: unknown key"):
        run(spark, text_run(text_model, "uncontested", "uncontested_scored", challenger={"uri": text_model, "options": {"topk": 2}}))
    assert not spark.catalog.tableExists("uncontested_scored")


def test_the_answers_of_many_chunks_are_kept_as_one_of_each_kind() -> None:
    pair = {"outcome": "compared", "same": True, "champion": "a", "challenger": "a", "rows": 3, "measured": 2, "distance": 0.5}
    other = {**pair, "same": False, "challenger": "b", "rows": 1, "measured": 0, "distance": None}
    found = contest.merged([*contest.merged([pair, other]), pair, other])
    assert [(each["challenger"], each["rows"]) for each in found] == [("a", 6), ("b", 2)]
    told = contest.summed(found)
    assert (told["compared"], told["agree"], told["agreement"], told["mean_distance"]) == (8, 6, 0.75, 0.25)
