"""The quickstart's runs on a standalone cluster with two workers, where spark_udf takes another path than in local mode."""

import json
from collections.abc import Iterator
from pathlib import Path

import cluster
import jobs
import oracle
import pandas as pd
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

TEXTS, FILES = 150, 60


@pytest.fixture(scope="module")
def tables(spark: SparkSession, examples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a part of both example tables, as Delta tables by path."""
    folder = tmp_path_factory.mktemp("tables")
    docstrings = pd.read_parquet(examples / "docstrings" / "docstrings.parquet").sample(TEXTS, random_state=3)
    spark.createDataFrame(docstrings).coalesce(1).write.format("delta").save(str(folder / "docstrings"))
    files = spark.read.format("binaryFile").load(str(examples / "keypad" / "recordings"))
    named = files.select(F.element_at(F.split("path", "/"), -1).alias("file"), "content").orderBy("file").limit(FILES)
    named.write.format("delta").save(str(folder / "recordings"))
    return folder


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a running cluster."""
    with cluster.standalone(tmp_path_factory.mktemp("cluster")) as url:
        yield url


def conf(folder: Path, name: str, model: str, keys: list[str], columns: dict[str, str]) -> Path:
    file = folder / f"{name}.yaml"
    sections = {
        "name": name,
        "model": {"uri": model},
        "source": {"path": str(folder / name), "keys": keys, "columns": columns},
        "target": {"path": str(folder / f"{name}_scored")},
    }
    file.write_text(json.dumps(sections))
    return file


def test_texts_equal_the_native_pipeline(master: str, tables: Path, examples: Path, text_model: str) -> None:
    file = conf(tables, "docstrings", text_model, ["module", "qualname"], {"text": "body"})
    ended = jobs.score(file, "--set", f"spark.spark.master={master}", "--set", "batching.max_batch_rows=7", cwd=tables)
    assert ended.code == 0, ended.said[-3000:]
    assert ended.report["throughput"]["model_loads"] <= 2
    texts = DeltaTable(str(tables / "docstrings")).to_pandas().set_index(["module", "qualname"])["body"]
    scored = DeltaTable(str(tables / "docstrings_scored")).to_pandas().set_index(["module", "qualname"])["prediction"]
    assert len(scored) == TEXTS
    for key, native in zip(texts.index, oracle.labels(examples / "models" / "docstring_topic", list(texts)), strict=True):
        assert scored[key]["label"] == native[0]["label"]
        assert [each["score"] for each in scored[key]["scores"]] == pytest.approx([each["score"] for each in native], abs=1e-4)


def test_recordings_equal_the_native_pipeline(master: str, tables: Path, examples: Path, audio_model: str) -> None:
    file = conf(tables, "recordings", audio_model, ["file"], {"audio": "content"})
    ended = jobs.score(file, "--set", f"spark.spark.master={master}", cwd=tables)
    assert ended.code == 0, ended.said[-3000:]
    scored = DeltaTable(str(tables / "recordings_scored")).to_pandas().set_index("file")["prediction"]
    files = [examples / "keypad" / "recordings" / name for name in scored.index]
    assert [each["text"] for each in scored] == oracle.transcripts(examples / "models" / "keypad", files)
