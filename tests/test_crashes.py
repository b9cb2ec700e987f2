"""A job on a real cluster over rows that crash or hang the model: they fail, each for its reason, and all others are scored."""

import hashlib
import json
from pathlib import Path

import cluster
import jobs
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from sparkcoil import testing

ROWS = 500
CRASHING, HANGING = (7, 123, 340), (60, 250, 451)
MARKERS = {**dict.fromkeys(CRASHING, " <crash>"), **dict.fromkeys(HANGING, " <hang>")}


def test_rows_that_crash_or_hang_the_model_fail_alone(spark: SparkSession, home: Path, tmp_path: Path) -> None:
    texts = [f"text {i}{MARKERS.get(i, '')}" for i in range(ROWS)]
    spark.createDataFrame(list(enumerate(texts)), "id BIGINT, body STRING").write.format("delta").save(str(tmp_path / "in"))
    run = {
        "name": "crashes",
        "model": {"uri": testing.write_echo_model(tmp_path / "echo"), "options": {"log": str(tmp_path / "log")}},
        "source": {"path": str(tmp_path / "in"), "keys": ["id"], "columns": {"text": "body"}},
        "target": {"path": str(tmp_path / "out")},
        "batching": {"batch_timeout_seconds": 3, "partitions": 3},
    }
    (tmp_path / "run.yaml").write_text(json.dumps(run))
    (tmp_path / "cluster").mkdir()
    with cluster.standalone(tmp_path / "cluster") as master:
        ended = jobs.score(tmp_path / "run.yaml", "--set", f"spark.spark.master={master}", cwd=tmp_path)
    assert ended.code == 0, ended.said[-3000:]
    assert {each["code"]: each["rows"] for each in ended.report["failures"]} == {"crash": 3, "timeout": 3}
    scored = DeltaTable(str(tmp_path / "out")).to_pandas().set_index("id")
    assert sorted(scored.index) == list(range(ROWS))
    errors = scored[scored["status"] == "failed"]["error"]
    expected = {**dict.fromkeys(CRASHING, ("model", "crash")), **dict.fromkeys(HANGING, ("model", "timeout"))}
    assert {i: (each["stage"], each["code"]) for i, each in errors.items()} == expected
    fine = scored[scored["status"] == "ok"]["prediction"]
    hashes = {i: hashlib.sha256(text.encode()).hexdigest() for i, text in enumerate(texts) if i not in MARKERS}
    assert {i: each["echo"] for i, each in fine.items()} == hashes
    logs = [ended.said, *(file.read_text(errors="replace") for file in (tmp_path / "cluster").rglob("std*"))]
    assert "in hang" in "".join(logs)
    assert [text for i, text in enumerate(texts) if i in MARKERS and any(text in log for log in logs)] == []
    # At the first attempt, with those that it came with, and by itself.
    computed = testing.times_computed(tmp_path / "log")
    assert max(computed[each] for each in hashes.values()) <= 3
