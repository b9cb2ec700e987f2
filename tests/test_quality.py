"""Publishing at the end of a run: all at once, past the gates, and what was staged before a kill is not scored again."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from runs import history, make_table, text_run

from sparkcoil import quality, run, staging, tasks
from sparkcoil.errors import BudgetExceeded, SparkcoilError, TargetError
from sparkcoil.sections import TargetConfig
from sparkcoil.settings import GatesConfig

TEXTS = [(i, f"text number {i}") for i in range(40)]
IN_CHUNKS = {"batching": {"chunk_rows": 10}}


@contextmanager
def failing_after(monkeypatch: pytest.MonkeyPatch, chunks: int) -> Iterator[None]:
    """Let the stage fail after some chunks, as a full disk would."""
    write = staging.write_chunk

    def written(frame: DataFrame, *given: object, chunk: int, **named: object) -> DataFrame:
        if chunk == chunks:
            raise OSError("No space left on device")
        return write(frame, *given, chunk=chunk, **named)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(staging, "write_chunk", written)
        with pytest.raises(SparkcoilError, match=r"no space left on a device; the run writes to .* for the target"):
            yield


@pytest.mark.promise("all at once, by one commit")
def test_what_is_published_at_the_end_comes_by_one_commit_that_adds_and_replaces(spark: SparkSession, text_model: str) -> None:
    make_table(spark, "ended", TEXTS)
    config = text_run(text_model, "ended", "-", target={"table": "ended_scored", "publish": "end"}, batching={"chunk_rows": 20})
    report = run(spark, config)
    assert (report.rows["ok"], report.rows["unpublished"], spark.table("ended_scored").count()) == (40, 0, 40)
    assert history(spark, "ended_scored") == 2
    spark.sql("UPDATE ended SET body = concat(body, '!') WHERE id < 20")
    spark.sql("INSERT INTO ended SELECT id + 100, concat(body, '?') FROM ended")
    report = run(spark, config)
    assert (report.rows["due"], report.rows["ok"], spark.table("ended_scored").count()) == (60, 60, 80)
    assert history(spark, "ended_scored") == 3
    assert run(spark, text_run(text_model, "ended", "ended_scored")).status == "nothing_due"


@pytest.mark.long("runs")
@pytest.mark.parametrize("publish", ["chunk", "end"])
def test_what_a_run_has_staged_that_did_not_end_is_not_scored_again(
    spark: SparkSession, text_model: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, publish: str
) -> None:
    make_table(spark, "halted", TEXTS)
    target = {"path": str(tmp_path / "scored"), "publish": publish}
    config = text_run(text_model, "halted", "-", target=target, **IN_CHUNKS)
    with failing_after(monkeypatch, 2):
        run(spark, config)
    there = spark.read.format("delta").load(str(tmp_path / "scored")).count()
    with failing_after(monkeypatch, 3 if publish == "end" else 1):  # of what is left to do
        run(spark, config)
    report = run(spark, config)
    scored = spark.read.format("delta").load(str(tmp_path / "scored"))
    assert (scored.count(), scored.select("id").distinct().count(), scored.where("status = 'ok'").count()) == (40, 40, 40)
    assert (there > 0) is (publish == "chunk")
    assert report.throughput["computed_rows"] < (40 if publish == "end" else 20)
    assert not (tmp_path / "scored" / "_sparkcoil").exists()


def test_what_was_staged_by_other_options_is_removed(
    spark: SparkSession, text_model: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    make_table(spark, "halted_otherwise", TEXTS)
    target = {"path": str(tmp_path / "scored"), "publish": "end"}
    with failing_after(monkeypatch, 1):
        run(spark, text_run(text_model, "halted_otherwise", "-", target=target, batching={"chunk_rows": 20}))
    other = {"uri": text_model, "options": {"top_k": 1}}
    report = run(spark, text_run("-", "halted_otherwise", "-", model=other, target=target, batching={"chunk_rows": 20}))
    assert (report.rows["copied"], report.throughput["computed_rows"]) == (0, 40)


def test_a_gate_that_does_not_hold_publishes_nothing_and_costs_nothing_again(spark: SparkSession, text_model: str) -> None:
    make_table(spark, "gated", TEXTS)
    target = {"table": "gated_scored", "publish": "end", "gates": ["count(*) > 1", "avg(prediction.score) > 1.0"]}
    with pytest.raises(BudgetExceeded, match=r"target\.gates\.1: avg\(prediction\.score\) > 1\.0 does not hold") as caught:
        run(spark, text_run(text_model, "gated", "-", target=target))
    assert (caught.value.report.rows["unpublished"], caught.value.report.exit_code) == (40, 4)
    assert spark.table("gated_scored").count() == 0
    opened = {**target, "gates": ["avg(prediction.score) <= 1.0", "count_if(status = 'failed') = 0"]}
    report = run(spark, text_run(text_model, "gated", "-", target=opened))
    assert (report.rows["ok"], report.rows["copied"], report.throughput) == (40, 40, {})


def test_a_gate_that_is_no_condition_is_refused_before_the_first_row(spark: SparkSession, text_model: str) -> None:
    make_table(spark, "misgated", TEXTS[:2])
    gates = ["avg(prediction.scor) > 1", "avg(prediction.score)", "prediction.score > 0"]
    target = {"table": "misgated_scored", "publish": "end", "gates": gates}
    with pytest.raises(TargetError) as caught:
        run(spark, text_run(text_model, "misgated", "-", target=target))
    said = str(caught.value)
    assert all(f"target.gates.{index}" in said for index in range(3)), said
    assert "expected a condition, found double" in said


def test_gates_ask_for_a_publish_at_the_end() -> None:
    with pytest.raises(ValueError, match="publish: end"):
        TargetConfig.model_validate({"table": "t", "gates": ["count(*) > 0"]})


def test_over_the_budget_what_was_scored_is_kept_for_the_run_that_accepts_it(spark: SparkSession, text_model: str) -> None:
    make_table(spark, "kept", [(i, None if i < 5 else f"text {i}") for i in range(20)])
    target = {"table": "kept_scored", "publish": "end"}
    with pytest.raises(BudgetExceeded):
        run(spark, text_run(text_model, "kept", "-", target=target, rows={"max_failed_share": 0.1}))
    report = run(spark, text_run(text_model, "kept", "-", target=target, rows={"max_failed_share": 0.5}))
    assert (report.rows["ok"], report.rows["failed"], report.rows["copied"]) == (15, 5, 15)


LOOP = "and so it goes on and so it goes on and so it goes on"


def test_faults_are_counted_of_the_rows_that_are_ok(spark: SparkSession) -> None:
    german = "Der Zug nach Norden hatte wieder Verspätung, und niemand auf dem Bahnsteig war überrascht."
    texts = [german, " \n", "a short text", LOOP, LOOP.replace("so it", "thus it", 1)]
    rows = [*(((text,), "ok", ["truncated"] * (text == LOOP)) for text in texts), (None, "failed", ["truncated"])]
    gates = {"max_failed_share": 0, "max_empty_share": 0, "max_truncated_share": 0, "max_repetition_share": 0, "language": "en"}
    frame = spark.createDataFrame(rows, "prediction STRUCT<text: STRING>, status STRING, warnings ARRAY<STRING>")
    found = quality.counted(frame, GatesConfig.model_validate(gates), tasks.load("text-generation"))
    assert (found.rows, found.ok, found.judged) == (6, 5, 3)
    assert found.faults == {"max_failed_share": 1, "max_empty_share": 1, "max_truncated_share": 1, "max_repetition_share": 2, "language": 1}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one two three four five six seven eight nine ten", False),
        ("no no no no no", True),
        ("no no no no", False),  # one run of four words, which is there once
        (" one two three four five one two three four six seven eight nine ten ", False),  # 1 of 11
        ("one two three four one two three four one", True),  # 2 of 6
        ("", False),
        (None, None),
    ],
)
def test_a_text_repeats_itself_where_runs_of_four_words_come_again(spark: SparkSession, text: str | None, expected: bool | None) -> None:
    row = spark.range(1).select(quality.repeats_itself(F.lit(text).cast("string"))).head()
    assert row is not None and row[0] is expected


def test_a_prediction_is_empty_by_its_own_field(spark: SparkSession) -> None:
    fields = "entities ARRAY<STRING>, embedding ARRAY<FLOAT>, audio BINARY, answer STRING"
    full, empty = (["x"], [0.0, 0.1], b"x", "x"), ([], [0.0, 0.0], b"", None)
    frame = spark.createDataFrame([full, empty], fields)
    names = frame.columns
    found = [tuple(row) for row in frame.select(*(quality.is_empty(name, F.col(name)) for name in names)).collect()]
    assert sorted(found) == [(False,) * 4, (True,) * 4]


def test_all_red_gates_are_said_at_once_and_leave_the_target_as_it_was(spark: SparkSession, text_model: str) -> None:
    make_table(spark, "judged", [(i, f"text number {i}") for i in range(60)])
    target, gates = {"table": "judged_scored", "publish": "end"}, {"max_label_share": 0.1, "max_label_drift": 0.2, "max_failed_share": 0.0}
    accepting = {"rows": {"max_failed_share": 1.0}, "target": target}
    first = run(spark, text_run(text_model, "judged", "-", gates={**gates, "max_label_share": 1.0}, **accepting))
    most = max(row["count"] for row in spark.table("judged_scored").groupBy("prediction.label").count().collect())
    assert [(each["gate"], each["holds"], each["found"]) for each in first.gates] == [
        ("max_failed_share", True, 0.0),
        ("max_label_share", True, pytest.approx(most / 60)),
        ("max_label_drift", True, None),
    ]
    spark.sql("UPDATE judged_scored SET prediction.label = 'elsewhere'")  # so that the labels of the next run are others
    spark.sql("INSERT INTO judged SELECT id + 100, if(id = 0, NULL, concat(body, '!')) FROM judged")
    before = history(spark, "judged_scored")
    with pytest.raises(BudgetExceeded) as caught:
        run(spark, text_run(text_model, "judged", "-", gates=gates, **accepting))
    said, report = str(caught.value), caught.value.report
    assert (report.exit_code, report.rows["unpublished"], history(spark, "judged_scored")) == (4, 60, before)
    assert "gates.max_failed_share: 0 allowed, 1 of 60 rows failed, a share of 0.01667; gates.max_label_share: 0.1 allowed, label '" in said
    assert "; gates.max_label_drift: 0.2 allowed, a population stability index of " in said and f"60 of run {first.run_id}" in said
    assert [each["holds"] for each in report.gates] == [False] * 3
    opened = run(spark, text_run(text_model, "judged", "-", gates={"max_failed_share": 0.1}, **accepting))
    assert (opened.rows["ok"], opened.rows["failed"], opened.rows["copied"]) == (59, 1, 59)
