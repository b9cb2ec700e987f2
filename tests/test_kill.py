"""A target that another run holds. What becomes of a run that is killed is in test_chaos.py."""

import json
import os
from pathlib import Path

import jobs
import pytest
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


def test_a_second_run_on_a_held_target_exits_5_and_names_the_first(spark: SparkSession, conf: Path) -> None:
    with lease.held(spark, str(conf.parent / "out"), "the-first-run"):
        ended = jobs.score(conf, cwd=conf.parent)
    assert ended.code == 5
    assert f"run the-first-run, process {os.getpid()} on" in ended.report["message"]
    assert not (conf.parent / "out").exists()
