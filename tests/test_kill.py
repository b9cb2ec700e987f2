"""A job whose driver is killed, the same command again, and once more: every row is there once, and the third run costs next to nothing."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import jobs
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from sparkcoil import lease, testing

ROWS = 200

pytestmark = pytest.mark.usefixtures("scratch")


class Story(NamedTuple):
    """The run that finished a killed one, and one with nothing due: how each ended, the workers it started, the target's commits."""

    folder: Path
    started_by_killed: str
    finished: jobs.Ended
    commits: list[str]
    again: jobs.Ended
    started_by_again: str
    commits_after: list[str]


@pytest.fixture(scope="module")
def conf(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 200 rows in 4 chunks."""
    folder = tmp_path_factory.mktemp("killed")
    rows = [(i, f"Send message number {i} to the mailbox.") for i in range(ROWS)]
    spark.createDataFrame(rows, "id BIGINT, body STRING").write.format("delta").save(str(folder / "in"))
    file = folder / "run.yaml"
    sections = {
        "name": "killed",
        "model": {"uri": testing.write_echo_model(folder / "echo")},
        "source": {"path": str(folder / "in"), "keys": ["id"], "columns": {"text": "body"}},
        "target": {"path": str(folder / "out")},
        "batching": {"chunk_rows": 50},
    }
    file.write_text(json.dumps(sections))
    return file


@pytest.fixture(scope="module")
def noting_python(conf: Path) -> Path:
    """A Python for workers that notes in a file what it is started with."""
    python = conf.parent / "python"
    python.write_text(f'#!/bin/sh\necho "$@" >>{conf.parent / "started"}\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    return python


def commits(folder: Path) -> list[str]:
    return sorted(each.name for each in (folder / "out" / "_delta_log").glob("*.json"))


def started(folder: Path) -> str:
    """Return what workers were started with since this was asked last."""
    file = folder / "started"
    lines = file.read_text() if file.exists() else ""
    file.unlink(missing_ok=True)
    return lines


def kill_in_mid_run(conf: Path, python: Path) -> None:
    """Start the job, and kill its driver once some chunks are there."""
    with (conf.parent / "log").open("w") as log:
        environment = {**os.environ, "PYSPARK_PYTHON": str(python)}
        victim = subprocess.Popen(jobs.command(conf), cwd=conf.parent, stdout=log, stderr=log, env=environment)
    deadline = time.monotonic() + 120
    while len(commits(conf.parent)) < 3:
        assert victim.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(victim.pid, signal.SIGKILL)
    victim.wait()


@pytest.fixture(scope="module")
def story(spark: SparkSession, conf: Path, noting_python: Path) -> Story:
    """What came of the three runs: the first and the last are processes of their own."""
    folder = conf.parent
    kill_in_mid_run(conf, noting_python)
    by_killed = started(folder)
    finished, after = jobs.here("score", conf, cwd=folder), commits(folder)
    again = jobs.score(conf, cwd=folder, PYSPARK_PYTHON=str(noting_python))
    return Story(folder, by_killed, finished, after, again, started(folder), commits(folder))


# A lock of POSIX, which is what the JVM takes too; its holder prints a line once it has it.
HOLDER = """
import fcntl, json, os, socket, sys, time
file = open(sys.argv[1], "w")
fcntl.lockf(file, fcntl.LOCK_EX)
json.dump({"run_id": "the-first-run", "pid": os.getpid(), "host": socket.gethostname()}, file)
file.flush()
print("held", flush=True)
time.sleep(120)
"""


def test_a_second_run_on_a_held_target_exits_5_and_names_the_first(spark: SparkSession, conf: Path) -> None:
    target = conf.parent / "held"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(lease.lock_path(str(target)))], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        ended = jobs.here("score", conf, "--set", f"target.path={target}", cwd=conf.parent)
    finally:
        holder.kill()
        holder.communicate()
        lease.lock_path(str(target)).unlink()
    assert ended.code == 5
    assert f"run the-first-run, process {holder.pid} on" in ended.report["message"]
    assert not target.exists()


@pytest.mark.promise("one kill of a driver, and its rerun")
def test_a_killed_run_is_finished_by_the_next_one(story: Story) -> None:
    assert story.finished.code == 0, story.finished.said[-3000:]
    assert 0 < story.finished.report["rows"]["due"] < ROWS
    scored = DeltaTable(str(story.folder / "out")).to_pandas().set_index("id")["prediction"]
    assert sorted(scored.index) == list(range(ROWS))
    assert all(scored[i]["echo"] == testing.hash_of(f"Send message number {i} to the mailbox.") for i in range(ROWS))


def test_neither_leaves_a_stage_or_a_lock_behind(story: Story) -> None:
    assert sorted(each.name for each in story.folder.iterdir() if each.name.startswith(".")) == []


def test_a_run_with_nothing_due_starts_no_python_worker_and_commits_nothing(story: Story) -> None:
    assert (story.again.code, story.again.report["status"], story.again.report["rows"]["due"]) == (0, "nothing_due", 0)
    assert ("sparkcoil.daemon" in story.started_by_killed, story.started_by_again) == (True, "")
    assert story.commits_after == story.commits
