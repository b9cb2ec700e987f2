"""The model for tests: it gives the hash of each text, misbehaves where a text says so, and notes what it was called with."""

import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jobs
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from sparkcoil import engines, testing
from sparkcoil.batching import Budget
from sparkcoil.engines import Placement
from sparkcoil.engines.echo import DEEDS
from sparkcoil.scoring import Record, Scoring
from sparkcoil.tasks.echo import TASK

ROOT = Path(__file__).parents[1]


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def scoring(folder: Path, batch: int = 4, **options: Any) -> Scoring:
    chosen = TASK.options(**options)
    engine = engines.load("echo", folder, chosen, Placement("cpu", "auto"))
    return Scoring(TASK, engine, chosen, Budget(engine.budget.size, batch))


def told(records: Sequence[Record]) -> list[Any]:
    """What became of each row: its hash, or the stage and code of its error."""
    return [(each.error.stage, each.error.code) if each.error else (each.prediction or {})["echo"] for each in records]


def rows(*texts: str) -> list[dict[str, bytes]]:
    return [{"text": each.encode()} for each in texts]


@pytest.mark.parametrize(
    ("marker", "expected"),
    [
        ("<fail>", ("model", "model_error")),
        ("<nan>", ("output", "non_finite")),
        ("<wrong-count>", ("model", "model_error")),
        ("<oom>", ("model", "oom")),
        ("<oom:2>", None),
        ("<slow:0.1>", None),
        ("<unknown>", None),
    ],
)
def test_a_marker_concerns_its_row_alone(tmp_path: Path, marker: str, expected: tuple[str, str] | None) -> None:
    texts = ["one", "two", f"three {marker} words", "four", "five", ""]
    found = told(scoring(tmp_path).score(rows(*texts))[0])
    assert found == [sha256(each) if marker not in each or expected is None else expected for each in texts]


def test_memory_runs_out_as_often_as_a_row_says(tmp_path: Path) -> None:
    _, stats = scoring(tmp_path, batch=8).score(rows("<oom:2>", *"abcdefg"))
    assert stats.out_of_memory == 2


def test_no_error_quotes_the_row(tmp_path: Path) -> None:
    records, _ = scoring(tmp_path).score(rows("hunter2 <fail>", "hunter2 <wrong-count>", "hunter2 <oom>"))
    assert all(each.error and "hunter2" not in f"{each.error!r} {each.error}" for each in records)


def test_it_takes_the_time_that_it_is_told_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    scoring(tmp_path, row_seconds=0.25, batch_seconds=1).score(rows("a", "b <slow:7>"))
    assert slept == [1.5, 7]


def test_every_row_of_every_call_is_noted_before_anything_goes_wrong(tmp_path: Path) -> None:
    log = tmp_path / "log"
    one = scoring(tmp_path, batch=2, log=str(log))
    one.score(rows("a", "b", "c <fail>", "b"))
    # The longest goes first, with one other, and both once more by themselves.
    assert testing.times_computed(log) == {sha256("a"): 2, sha256("b"): 1, sha256("c <fail>"): 2}
    scoring(tmp_path, log=str(log)).score(rows("b", "d"))
    assert testing.times_computed(log) == {sha256("a"): 2, sha256("b"): 2, sha256("c <fail>"): 2, sha256("d"): 1}


def test_every_marker_is_documented() -> None:
    page = (ROOT / "docs" / "testing.md").read_text()
    assert [name for name in (*DEEDS, "nan", "wrong-count", "oom:2", "slow:1.5") if f"| `<{name}>` |" not in page] == []


def test_a_job_on_it_scores_every_row_once_or_says_why_not(spark: SparkSession, tmp_path: Path) -> None:
    texts = [f"text {i}" + {7: " <fail>", 30: " <nan>", 55: " <wrong-count>", 80: " <oom:1>"}.get(i, "") for i in range(120)]
    spark.createDataFrame(list(enumerate(texts)), "id BIGINT, body STRING").write.format("delta").save(str(tmp_path / "in"))
    run = {
        "name": "trial",
        "model": {"uri": testing.write_echo_model(tmp_path / "echo"), "options": {"log": str(tmp_path / "log")}},
        "source": {"path": str(tmp_path / "in"), "keys": ["id"], "columns": {"text": "body"}},
        "target": {"path": str(tmp_path / "out")},
        "batching": {"max_batch_rows": 8},
    }
    (tmp_path / "run.yaml").write_text(json.dumps(run))
    first, second = (jobs.here("score", tmp_path / "run.yaml", cwd=tmp_path) for _ in range(2))
    assert (first.code, second.code) == (0, 0), first.said[-3000:]
    assert {each["code"]: each["rows"] for each in first.report["failures"]} == {"model_error": 2, "non_finite": 1}
    assert second.report["rows"]["due"] == 0
    scored = DeltaTable(str(tmp_path / "out")).to_pandas().set_index("id")
    assert sorted(scored.index[scored["status"] == "failed"]) == [7, 30, 55]
    fine = scored[scored["status"] == "ok"]["prediction"]
    assert {i: each["echo"] for i, each in fine.items()} == {i: sha256(text) for i, text in enumerate(texts) if i not in (7, 30, 55)}
    computed = testing.times_computed(tmp_path / "log")
    assert {sha256(each) for each in texts} <= set(computed)
    # The rows with markers are the longest: of each of two tasks, they are in the first batch.
    assert list(computed.values()).count(1) >= 120 - 2 * 8
