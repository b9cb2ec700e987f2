"""Recordings leave the workers as bytes, through every door."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
import soundfile
import tiny_speech
import transformers
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from runs import make_table, text_run

from sparkcoil import engines, log_model, register, run, score, scoring_udf
from sparkcoil.engines import Placement
from sparkcoil.errors import ModelError
from sparkcoil.registry import write_model
from sparkcoil.scoring import Scoring
from sparkcoil.sections import ModelConfig
from sparkcoil.selection import select
from sparkcoil.udf import RECORDINGS_AT_ONCE, in_windows

ROWS = [(0, "where was she born"), (1, None), (2, "so it goes"), (3, "12")]


@pytest.fixture(scope="module")
def voice(home: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URI of a tiny voice."""
    checkpoint = tiny_speech.tiny_voice(tmp_path_factory.mktemp("voice")) / "model"
    return log_model(checkpoint, task="text-to-speech", name="voice", input_example={"text": ["so it goes"]}).uri


@pytest.fixture(scope="module")
def table(spark: SparkSession, voice: str) -> DataFrame:
    """The table that a run makes of the rows."""
    make_table(spark, "lines", ROWS)
    run(spark, text_run(voice, "lines", "lines_spoken", rows={"max_failed_share": 1.0}))
    return spark.table("lines_spoken")


def comparable(frame: DataFrame) -> list[Any]:
    return [tuple(row) for row in frame.select("id", "prediction", "status", "error", "warnings").orderBy("id").collect()]


def test_the_table_has_the_bytes_of_files_that_open_with_the_rate_and_the_duration_that_are_said(table: DataFrame) -> None:
    assert table.schema["prediction"].dataType.simpleString() == "struct<audio:binary,sampling_rate:int,duration:double>"
    first, null, last, number = comparable(table)
    assert [each[3] and each[3]["code"] for each in (first, null, last, number)] == [None, "null_input", None, "no_tokens"]
    assert null[1] is number[1] is None
    for _, prediction, *_ in (first, last):
        info = soundfile.info(io.BytesIO(prediction["audio"]))
        assert (info.samplerate, info.frames / info.samplerate) == (prediction["sampling_rate"], prediction["duration"])


def test_every_door_gives_what_a_run_gives(spark: SparkSession, voice: str, table: DataFrame) -> None:
    lines = spark.table("lines")
    speak = scoring_udf(spark, voice)
    register(spark, "speak", voice)
    doors = (
        score(lines, voice, keys="id", columns={"text": "body"}),
        lines.select("id", speak("body").alias("scored")).select("id", "scored.*"),
        spark.sql("SELECT id, scored.* FROM (SELECT id, speak(body) AS scored FROM lines)"),
    )
    assert [each.schema["prediction"].dataType for each in doors] == [table.schema["prediction"].dataType] * 3
    assert [comparable(each) for each in doors] == [comparable(table)] * 3


def test_recordings_leave_the_workers_in_windows_that_arrow_can_hold(spark: SparkSession, voice: str) -> None:
    rows = 2 * RECORDINGS_AT_ONCE + 5
    many = spark.range(0, rows, 1, 1).selectExpr(
        "id", "concat('so it goes ', substring('abcdefghijklmnopqrstuvwxyz', id % 26, 3), id) AS body"
    )
    speak = scoring_udf(spark, voice)
    records = many.select("id", speak("body").alias("scored")).orderBy("id").collect()
    assert [each["id"] for each in records] == list(range(rows))
    assert {each["scored"]["status"] for each in records} == {"ok"}
    alone = many.where("id = 100").select(speak("body").alias("scored")).collect()[0]["scored"]
    assert records[100]["scored"]["prediction"] == alone["prediction"]


def test_results_come_in_windows(spark: SparkSession) -> None:
    @F.pandas_udf("struct<n: int>")
    def sizes(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        return (pd.DataFrame({"n": [len(batch)] * len(batch)}) for batch in batches)

    frame = spark.range(0, 10, 1, 1).select(in_windows(sizes, 4)(F.struct("id")).alias("window"))
    assert [row["window"]["n"] for row in frame.collect()] == [4, 4, 4, 4, 4, 4, 4, 4, 2, 2]


def test_mlflow_itself_gives_base64(voice: str, table: DataFrame) -> None:
    found = mlflow.pyfunc.load_model(voice).predict(pd.DataFrame({"text": [text for _, text in ROWS]}))
    audio = [row[1] and row[1]["audio"] for row in comparable(table)]
    assert [base64.b64decode(each) or None for each in found["audio"]] == [each and bytes(each) for each in audio]
    assert found["status"].tolist() == ["ok", "failed", "ok", "failed"]


@pytest.mark.parametrize("task", ["text-to-audio", "text-to-speech"])
def test_a_pipeline_that_mlflow_has_logged_speaks_as_the_checkpoint_does(tmp_path: Path, task: str) -> None:
    checkpoint = tiny_speech.tiny_voice(tmp_path / "tiny") / "model"
    pipeline: Any = transformers.pipeline("text-to-audio", model=str(checkpoint), device="cpu")
    mlflow.transformers.save_model(pipeline, str(tmp_path / "theirs"), task=task, pip_requirements=["mlflow"])
    write_model(checkpoint, tmp_path / "ours", task=task)
    theirs, ours = (spoken(tmp_path / name) for name in ("theirs", "ours"))
    assert theirs == ours
    assert [each is None for each in theirs] == [False, False, True]


def spoken(artifact: Path) -> list[Any]:
    """Return what a logged model makes of the rows that can be spoken."""
    found = select(ModelConfig(uri=str(artifact)), name="test", task=None, columns={"text": "body"})
    engine = engines.load(engines.name_of(found.task, artifact), artifact, found.effective.options, Placement("cpu", "auto"))
    scoring = Scoring(found.task, engine, found.effective.options, engine.budget)
    return [each.prediction for each in scoring.score([{"text": text.encode()} for _, text in ROWS if text])[0]]


def test_a_speaker_that_the_model_has_not_ends_a_run_before_its_first_row(spark: SparkSession, voice: str, table: DataFrame) -> None:
    with pytest.raises(ModelError, match="speaker_id: expected a speaker 0, since the model has one speaker; found 4"):
        run(spark, text_run(voice, "lines", "lines_refused", model={"uri": voice, "options": {"speaker_id": 4}}))
