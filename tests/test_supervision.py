"""Rows that end or hang the process of the model, which a child process takes upon itself, without Spark."""

import hashlib
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from sparkcoil import digest, supervision, testing, udf
from sparkcoil.engines import Placement
from sparkcoil.errors import RowError, SparkcoilError
from sparkcoil.scoring import Record
from sparkcoil.spec import Spec
from sparkcoil.weights import Weights

SECRET = "hunter2"
BAD = {
    3: ("crash", ("model", "crash", False)),
    20: ("exit", ("model", "crash", False)),
    31: ("kill", ("model", "oom", True)),
    40: ("hang", ("model", "timeout", True)),
    41: ("lost-device", ("model", "crash", False)),
    50: ("fail", ("model", "model_error", True)),
}
TEXTS = [f"text {i}" + (f" {SECRET} <{BAD[i][0]}>" if i in BAD else "") for i in range(100)]


class Scored(NamedTuple):
    """The records of a window, what it cost, how often each text was computed, and what the processes wrote to stderr."""

    records: list[Record]
    note: Mapping[str, Any]
    computed: Mapping[str, int]
    said: str


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def spec(folder: Path, *, timeout: float = 2, **options: Any) -> Spec:
    """Return the spec of the model for tests, made in a folder."""
    testing.write_checkpoint(folder / "model")
    return Spec("echo", options, Placement("cpu", "auto"), Weights(digest.of_folder(folder), str(folder), None), {}, timeout=timeout)


def rows(*texts: str) -> list[dict[str, bytes]]:
    return [{"text": each.encode()} for each in texts]


@contextmanager
def errors_in(file: Path) -> Iterator[None]:
    """Let what processes write to stderr go to a file within the block."""
    kept = os.dup(2)
    with file.open("wb") as target:
        os.dup2(target.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Scored:
    """A hundred rows, of which some end their process."""
    folder = tmp_path_factory.mktemp("scored")
    with errors_in(folder / "stderr"):
        one = supervision.supervisor(spec(folder / "echo", log=str(folder / "log")))
        records, note = one.score(rows(*TEXTS))
    return Scored(records, note, testing.times_computed(folder / "log"), (folder / "stderr").read_text())


@pytest.mark.promise("a row that takes its process with it fails alone")
def test_each_row_that_ends_its_process_is_failed_with_a_code_for_how(scored: Scored) -> None:
    failed = {i: each.error for i, each in enumerate(scored.records) if each.error}
    assert {i: (e.stage, e.code, e.retryable) for i, e in failed.items()} == {i: expected for i, (_, expected) in BAD.items()}


def test_every_other_row_has_its_own_prediction(scored: Scored) -> None:
    found = {i: each.prediction["echo"] for i, each in enumerate(scored.records) if each.prediction}
    assert found == {i: sha256(text) for i, text in enumerate(TEXTS) if i not in BAD}


def test_the_model_is_loaded_once_for_each_of_them_and_for_the_rows_that_they_came_with(scored: Scored) -> None:
    assert scored.note["loads"] == 1 + 1 + 5
    assert scored.note["load_seconds"] > 0


def test_rows_that_came_with_none_of_them_are_computed_once(scored: Scored) -> None:
    assert {scored.computed[sha256(text)] for text in TEXTS[supervision.ROWS_AT_ONCE :]} == {1}
    assert max(scored.computed[sha256(text)] for text in TEXTS) == 2


def test_a_window_notes_what_it_cost(scored: Scored) -> None:
    assert (scored.note["rows"], scored.note["computed_rows"], scored.note["unit"], scored.note["device"]) == (100, 100, "tokens", "cpu")
    assert scored.note["worker"] == os.getpid()
    assert scored.note["forwards"] == 64 - 5 + 1


def test_the_stack_of_what_crashed_or_hung_is_logged_and_nothing_of_a_row(scored: Scored) -> None:
    assert "Segmentation fault" in scored.said
    assert "in hang" in scored.said
    assert SECRET not in scored.said
    assert SECRET not in "".join(f"{each.error!r} {each.error}" for each in scored.records)


def test_a_row_that_has_ended_a_process_is_not_tried_again_and_a_quiet_window_costs_no_load(tmp_path: Path) -> None:
    one = supervision.supervisor(spec(tmp_path / "echo"))
    assert one.score(rows("a <exit>"))[1]["loads"] == 2
    records, note = one.score(rows("a <exit>", "b", "b"))
    assert [each.error and each.error.code for each in records] == ["crash", None, None]
    assert (note["rows"], note["computed_rows"], note["loads"]) == (3, 1, 1)
    records, note = one.score(rows("c"))
    assert (note["loads"], one.score([])[0]) == (0, [])


def test_a_child_ends_with_the_one_who_asks(tmp_path: Path) -> None:
    one = supervision.supervisor(spec(tmp_path / "echo"))
    prediction = one.score(rows("a"))[0][0].prediction
    assert prediction is not None
    assert prediction["worker"] != os.getpid()
    os.kill(prediction["worker"], 0)
    del one
    with pytest.raises(ProcessLookupError):
        os.kill(prediction["worker"], 0)


def test_a_child_whose_worker_is_killed_ends_too(tmp_path: Path) -> None:
    spec(tmp_path / "echo").save(tmp_path)
    code = f"""
import os, pathlib
from sparkcoil import supervision
from sparkcoil.spec import read_spec
one = supervision.supervisor(read_spec(pathlib.Path({str(tmp_path)!r})))
print(one.score([{{"text": b"a"}}])[0][0].prediction["worker"], flush=True)
os.kill(os.getpid(), 9)
"""
    child = int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stdout)
    deadline = time.monotonic() + 30
    while Path(f"/proc/{child}").exists() and "zombie" not in Path(f"/proc/{child}/status").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_model_that_cannot_be_loaded_is_refused_and_no_row_is_blamed(tmp_path: Path) -> None:
    found = spec(tmp_path / "echo")
    wrong = Spec("text-classification", {}, found.placement, found.weights, {})
    with pytest.raises(SparkcoilError, match=r"^ValueError: "):
        supervision.supervisor(wrong).score(rows("a"))


def test_a_batch_over_the_limit_ends_the_worker_at_the_first_attempt_with_its_stack(tmp_path: Path) -> None:
    spec(tmp_path / "echo", timeout=1).save(tmp_path)
    code = f"""
import pathlib
from sparkcoil.scorer import Scorer
from sparkcoil.spec import read_spec
one = Scorer(read_spec(pathlib.Path({str(tmp_path)!r})))
print(one.score([{{"text": b"a"}}])[0][0].prediction["echo"], flush=True)
one.score([{{"text": b"{SECRET} <hang>"}}])
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout.strip()) == (1, sha256("a"))
    assert "Timeout (0:00:01)!" in ended.stderr
    assert "in hang" in ended.stderr
    assert SECRET not in ended.stderr


def test_a_rows_error_is_the_same_in_another_process() -> None:
    found = pickle.loads(pickle.dumps(RowError("model", "oom", "told", retryable=True)))
    assert (found.stage, found.code, found.message, found.retryable) == ("model", "oom", "told", True)


@pytest.mark.parametrize(
    ("master", "configured", "expected"),
    [
        ("local", None, 1),
        ("local[2]", "9", 1),
        ("local[*,4]", None, 4),
        ("spark://here:7077", None, 4),
        ("yarn", "1", 1),
        ("local-cluster[2,1,1024]", "2", 2),
    ],
)
def test_how_often_spark_tries_a_task_is_known(master: str, configured: str | None, expected: int) -> None:
    assert udf.tries(master, configured) == expected
