"""A run is looked at while it goes on; one run serves most facts."""

import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pyspark.sql import SparkSession
from runs import make_table, text_run

from sparkcoil import run, testing
from sparkcoil.errors import SourceError
from sparkcoil.report import RunReport
from sparkcoil.status import Status

ROWS = 160


class Watched(NamedTuple):
    """A run: what its status file said again and again, with how many rows the model had been handed by then, and its report."""

    seen: list[tuple[dict[str, Any], int]]
    report: RunReport
    file: Path
    logged: list[str]
    uri: str


class Poller(threading.Thread):
    """Reads a status file again and again, and then how much the model has been handed."""

    def __init__(self, file: Path, log: Path) -> None:
        super().__init__()
        self.file, self.log, self.over = file, log, threading.Event()
        self.seen: list[tuple[dict[str, Any], int]] = []

    def run(self) -> None:
        while not self.over.wait(0.2):
            if self.file.exists():
                self.seen.append((json.loads(self.file.read_text()), len(testing.times_computed(self.log))))


def broken(status: Status) -> None:
    raise RuntimeError("canary-9b1f")


@pytest.fixture(scope="module")
def watched(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Two chunks of slow rows, shown to a function that fails, too."""
    folder = tmp_path_factory.mktemp("watched")
    uri = testing.write_echo_model(folder / "echo", options={"row_seconds": 0.1, "log": str(folder / "log")})
    make_table(spark, "watched", [(i, f"row {i}") for i in range(ROWS)])
    batching = {"chunk_rows": ROWS // 2, "max_batch_rows": 4}
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("sparkcoil.monitor").addHandler(handler)
    poller = Poller(folder / "status.json", folder / "log")
    spark.sparkContext.setJobDescription("mine")
    poller.start()
    report = run(spark, text_run(uri, "watched", "watched_scored", batching=batching), progress=broken, status_file=poller.file)
    poller.over.set()
    poller.join()
    yield Watched(poller.seen, report, poller.file, said, uri)
    spark.sparkContext.setLocalProperty("spark.job.description", None)  # type: ignore[arg-type]


def test_rows_move_within_a_chunk_and_never_back(watched: Watched) -> None:
    done = [status["rows"]["done"] for status, _ in watched.seen if status["rows"]]
    assert done == sorted(done)
    first = {status["rows"]["done"] for status, _ in watched.seen if status["stage"] == "score" and status["chunk"] == 1}
    assert {each for each in first if 0 < each < ROWS // 2 - 20}


def test_no_row_is_shown_as_done_that_the_model_has_not_been_handed(watched: Watched) -> None:
    assert [pair for pair in watched.seen if pair[0]["rows"].get("done", 0) > pair[1]] == []


def test_tasks_and_the_slowest_partition_are_seen(watched: Watched) -> None:
    tasks = [status["tasks"] for status, _ in watched.seen if status["tasks"] and status["rows"]["done"]]
    assert any(each["slowest"] in (0, 1) and each["slowest_seconds"] > 0 and each["running"] <= each["total"] for each in tasks)


def test_the_time_to_go_and_the_rates_are_there_once_rows_are_done(watched: Watched) -> None:
    rates = [status for status, _ in watched.seen if status["rows_per_second"] and not status["exit_code"]]
    assert rates
    assert all(status["eta_seconds"] is not None for status in rates if status["state"] == "running")
    assert [status["unit"] for status in rates if status["chunk"] == 2][-1:] == ["tokens"]


def test_the_file_ends_as_the_report_does(watched: Watched) -> None:
    last, report = json.loads(watched.file.read_text()), watched.report
    assert (last["state"], last["exit_code"], last["run_id"]) == ("done", 0, report.run_id)
    assert last["rows"] == {"due": ROWS, "done": ROWS, "copied": 0, "failed": 0, "published": ROWS}
    assert last["rows_per_second"] == report.throughput["rows_per_second"]


def test_a_function_that_fails_is_logged_once_without_its_words(watched: Watched) -> None:
    assert watched.logged == ["progress is not shown in full, and the run goes on: RuntimeError"]


def test_jobs_say_what_they_are_for_and_can_be_found_by_the_run(watched: Watched, spark: SparkSession) -> None:
    store, tracker = spark.sparkContext._jsc.sc().statusStore(), spark.sparkContext._jsc.sc().statusTracker()
    ours = [store.job(number).description().get() for number in tracker.getJobIdsForTag(f"sparkcoil-{watched.report.run_id}")]
    for expected in ("test: try the model", "test: chunk 1: score about 80 rows", "test: chunk 2: publish about 80 rows"):
        assert [each for each in ours if each.startswith(expected)], ours  # Delta adds words of its own


def test_afterwards_the_thread_has_its_own_description_and_no_tag(watched: Watched, spark: SparkSession) -> None:
    context = spark.sparkContext
    assert context.getLocalProperty("spark.job.description") == "mine"
    assert (context.getLocalProperty("sparkcoil.listener"), list(context.getJobTags())) == (None, [])
    assert "sparkcoil-monitor" not in {each.name for each in threading.enumerate()}


def test_a_run_with_nothing_due_says_so(watched: Watched, spark: SparkSession) -> None:
    seen: list[Status] = []
    run(spark, text_run(watched.uri, "watched", "watched_scored"), progress=seen.append)
    assert (seen[-1].state, seen[-1].exit_code, seen[-1].rows["due"]) == ("nothing_due", 0, 0)
    assert [each.is_over for each in seen] == [*[False] * (len(seen) - 1), True]


def test_a_run_that_is_refused_says_so(watched: Watched, spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(SourceError):
        run(spark, text_run(watched.uri, "no_such_table", "watched_scored"), status_file=tmp_path / "status.json")
    found = json.loads((tmp_path / "status.json").read_text())
    assert (found["state"], found["exit_code"], found["error"], found["stage"]) == ("failed", 3, "SourceError", None)
