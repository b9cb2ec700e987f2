"""A driver killed in mid-run, and the same command again: every row is there once."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import jobs
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from sparkcoil import lease


@pytest.fixture
def conf(spark: SparkSession, text_model: str, tmp_path: Path) -> Path:
    """A run of 300 rows in 6 chunks."""
    rows = [(i, f"Send message number {i} to the mailbox.") for i in range(300)]
    spark.createDataFrame(rows, "id BIGINT, body STRING").write.format("delta").save(str(tmp_path / "in"))
    file = tmp_path / "run.yaml"
    sections = {
        "name": "killed",
        "model": {"uri": text_model},
        "source": {"path": str(tmp_path / "in"), "keys": ["id"], "columns": {"text": "body"}},
        "target": {"path": str(tmp_path / "out")},
        "batching": {"chunk_rows": 50},
    }
    file.write_text(json.dumps(sections))
    return file


def commits(folder: Path) -> int:
    return len(list((folder / "out" / "_delta_log").glob("*.json")))


def test_a_killed_run_is_finished_by_the_next_one(conf: Path) -> None:
    folder = conf.parent
    with (folder / "log").open("w") as log:
        victim = subprocess.Popen(jobs.command(conf), cwd=folder, stdout=log, stderr=log)
    deadline = time.monotonic() + 120
    while commits(folder) < 3:
        assert victim.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(victim.pid, signal.SIGKILL)
    victim.wait()
    ended = jobs.score(conf, cwd=folder)
    assert ended.code == 0, ended.said[-3000:]
    assert 0 < ended.report["rows"]["due"] < 300
    ids = DeltaTable(str(folder / "out")).to_pandas()["id"]
    assert sorted(ids) == list(range(300))
    assert sorted(each.name for each in folder.iterdir() if each.name.startswith(".")) == []


def test_a_second_run_on_a_held_target_exits_5_and_names_the_first(spark: SparkSession, conf: Path) -> None:
    with lease.held(spark, str(conf.parent / "out"), "the-first-run"):
        ended = jobs.score(conf, cwd=conf.parent)
    assert ended.code == 5
    assert f"run the-first-run, process {os.getpid()} on" in ended.report["message"]
    assert not (conf.parent / "out").exists()
