"""Runs on a local session held against the native pipeline, row by row, for several batch sizes."""

from pathlib import Path

import oracle
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from runs import make_table, text_run

from sparkcoil import run

TEXTS, FILES = 101, 50


@pytest.fixture(scope="module")
def texts(spark: SparkSession, examples: Path) -> list[str]:
    """Docstrings in a table of their own, under their position as key."""
    bodies = pd.read_parquet(examples / "docstrings" / "docstrings.parquet")["body"].sample(TEXTS, random_state=5)
    make_table(spark, "equal_texts", list(enumerate(bodies)))
    return list(bodies)


@pytest.fixture(scope="module")
def labels(examples: Path, texts: list[str]) -> list[list[dict]]:
    """What the native pipeline says of each text by itself."""
    return oracle.labels(examples / "models" / "docstring_topic", texts)


@pytest.fixture(scope="module")
def transcripts(spark: SparkSession, examples: Path) -> list[str]:
    """What the native pipeline hears in each recording by itself; the recordings are in a table of their own."""
    files = sorted((examples / "keypad" / "recordings").iterdir())[-FILES:]
    make_table(spark, "equal_files", [(i, file.read_bytes()) for i, file in enumerate(files)], "id BIGINT, content BINARY")
    return oracle.transcripts(examples / "models" / "keypad", files)


@pytest.mark.parametrize("rows", [1, 7])
def test_labels_and_scores_are_equal(spark: SparkSession, text_model: str, labels: list[list[dict]], rows: int) -> None:
    run(spark, text_run(text_model, "equal_texts", f"equal_texts_{rows}", batching={"max_batch_rows": rows}))
    scored = spark.table(f"equal_texts_{rows}").orderBy("id").collect()
    assert [row["prediction"]["label"] for row in scored] == [native[0]["label"] for native in labels]
    for row, native in zip(scored, labels, strict=True):
        assert [each["score"] for each in row["prediction"]["scores"]] == pytest.approx([each["score"] for each in native], abs=1e-4)


@pytest.mark.parametrize("rows", [1, 7])
def test_transcripts_are_equal(spark: SparkSession, audio_model: str, transcripts: list[str], rows: int) -> None:
    source = {"table": "equal_files", "keys": ["id"], "columns": {"audio": "content"}}
    run(spark, text_run(audio_model, "-", f"equal_files_{rows}", source=source, batching={"max_batch_rows": rows}))
    assert [row["prediction"]["text"] for row in spark.table(f"equal_files_{rows}").orderBy("id").collect()] == transcripts
