"""The quickstart's runs on a standalone cluster with two workers, where spark_udf takes another path than in local mode."""

import hashlib
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

from sparkcoil import testing

TEXTS, FILES = 60, 60
CRASH_ROWS = 500
CRASHING, HANGING = (7, 123, 340), (60, 250, 451)
MARKERS = {**dict.fromkeys(CRASHING, " <crash>"), **dict.fromkeys(HANGING, " <hang>")}

pytestmark = pytest.mark.usefixtures("scratch")


@pytest.fixture(scope="module")
def tables(spark: SparkSession, examples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a part of the example's texts, as a Delta table by path."""
    folder = tmp_path_factory.mktemp("tables")
    docstrings = pd.read_parquet(examples / "docstrings" / "docstrings.parquet").sample(TEXTS, random_state=3)
    spark.createDataFrame(docstrings).coalesce(1).write.format("delta").save(str(folder / "docstrings"))
    return folder


@pytest.fixture(scope="module")
def recordings(spark: SparkSession, examples: Path, tables: Path) -> Path:
    """The same folder with a part of the example's recordings, too."""
    files = spark.read.format("binaryFile").load(str(examples / "keypad" / "recordings"))
    named = files.select(F.element_at(F.split("path", "/"), -1).alias("file"), "content").orderBy("file").limit(FILES)
    named.write.format("delta").save(str(tables / "recordings"))
    return tables


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the cluster's processes log and work."""
    return tmp_path_factory.mktemp("cluster")


@pytest.fixture(scope="module")
def master(workers: Path) -> Iterator[str]:
    """The URL of a running cluster."""
    with cluster.standalone(workers) as url:
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


@pytest.mark.promise("one standalone cluster")
def test_texts_equal_the_native_pipeline(master: str, tables: Path, examples: Path, text_model: str) -> None:
    file = conf(tables, "docstrings", text_model, ["module", "qualname"], {"text": "body"})
    # One executor: the recordings have both workers.
    settings = [f"spark.spark.master={master}", "spark.spark.cores.max=1", "batching.max_batch_rows=7"]
    ended = jobs.score(file, *(word for setting in settings for word in ("--set", setting)), cwd=tables)
    assert ended.code == 0, ended.said[-3000:]
    assert ended.report["throughput"]["model_loads"] <= 2
    texts = DeltaTable(str(tables / "docstrings")).to_pandas().set_index(["module", "qualname"])["body"]
    scored = DeltaTable(str(tables / "docstrings_scored")).to_pandas().set_index(["module", "qualname"])["prediction"]
    assert len(scored) == TEXTS
    for key, native in zip(texts.index, oracle.labels(examples / "models" / "docstring_topic", list(texts)), strict=True):
        assert scored[key]["label"] == native[0]["label"]
        assert [each["score"] for each in scored[key]["scores"]] == pytest.approx([each["score"] for each in native], abs=1e-4)


@pytest.mark.long("clusters")
def test_recordings_equal_the_native_pipeline(master: str, recordings: Path, examples: Path, audio_model: str) -> None:
    file = conf(recordings, "recordings", audio_model, ["file"], {"audio": "content"})
    ended = jobs.score(file, "--set", f"spark.spark.master={master}", cwd=recordings)
    assert ended.code == 0, ended.said[-3000:]
    scored = DeltaTable(str(recordings / "recordings_scored")).to_pandas().set_index("file")["prediction"]
    files = [examples / "keypad" / "recordings" / name for name in scored.index]
    assert [each["text"] for each in scored] == oracle.transcripts(examples / "models" / "keypad", files)


@pytest.mark.long("clusters")
def test_rows_that_crash_or_hang_the_model_fail_alone(master: str, spark: SparkSession, home: Path, tmp_path: Path, workers: Path) -> None:
    texts = [f"text {i}{MARKERS.get(i, '')}" for i in range(CRASH_ROWS)]
    spark.createDataFrame(list(enumerate(texts)), "id BIGINT, body STRING").write.format("delta").save(str(tmp_path / "in"))
    run = {
        "name": "crashes",
        "model": {"uri": testing.write_echo_model(tmp_path / "echo"), "options": {"log": str(tmp_path / "log")}},
        "source": {"path": str(tmp_path / "in"), "keys": ["id"], "columns": {"text": "body"}},
        "target": {"path": str(tmp_path / "out")},
        "batching": {"batch_timeout_seconds": 3, "partitions": 3},
    }
    (tmp_path / "run.yaml").write_text(json.dumps(run))
    ended = jobs.score(tmp_path / "run.yaml", "--set", f"spark.spark.master={master}", cwd=tmp_path)
    assert ended.code == 0, ended.said[-3000:]
    assert {each["code"]: each["rows"] for each in ended.report["failures"]} == {"crash": 3, "timeout": 3}
    scored = DeltaTable(str(tmp_path / "out")).to_pandas().set_index("id")
    assert sorted(scored.index) == list(range(CRASH_ROWS))
    errors = scored[scored["status"] == "failed"]["error"]
    expected = {**dict.fromkeys(CRASHING, ("model", "crash")), **dict.fromkeys(HANGING, ("model", "timeout"))}
    assert {i: (each["stage"], each["code"]) for i, each in errors.items()} == expected
    fine = scored[scored["status"] == "ok"]["prediction"]
    hashes = {i: hashlib.sha256(text.encode()).hexdigest() for i, text in enumerate(texts) if i not in MARKERS}
    assert {i: each["echo"] for i, each in fine.items()} == hashes
    logs = [ended.said, *(file.read_text(errors="replace") for file in workers.rglob("std*"))]
    assert "in hang" in "".join(logs)
    assert [text for i, text in enumerate(texts) if i in MARKERS and any(text in log for log in logs)] == []
    # At the first attempt, with those that it came with, and by itself.
    computed = testing.times_computed(tmp_path / "log")
    assert max(computed[each] for each in hashes.values()) <= 3
