"""What an onlooker sees of a run: a status every few seconds, and in Spark's own UI what each job is for.

Whatever goes wrong in here is logged once, and the run goes on.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pyspark import SparkContext
from pyspark.sql import SparkSession

from sparkcoil import datagrams, status
from sparkcoil.datagrams import Listener
from sparkcoil.display import Show, shows
from sparkcoil.report import Clock, Progress, RunReport
from sparkcoil.status import Status, Tasks

T = TypeVar("T")
EVERY_SECONDS = 2.0
# So long a run that is over waits until that is shown.
PATIENCE_SECONDS = 5.0
DESCRIPTION = "spark.job.description"
WHAT_FOR = {"prepare": "read tables", "plan": "find what is due", "preflight": "try the model", "answers": "write the file of answers"}

log = logging.getLogger(__name__)


@contextmanager
def followed(spark: SparkSession, name: str, *, progress: str | Show | None, status_file: str | Path | None) -> Iterator["Monitor"]:
    """Show the run of the block as it goes on, and how it ended; raises ConfigError for a progress that there is not."""
    monitor = Monitor(spark, name, shows(progress, status_file))
    monitor.start()
    try:
        yield monitor
    except BaseException as error:
        monitor.end(status.failed(error))
        raise


class Monitor:
    """A run as it is seen: its stage, its progress, and the thread that shows both; where nobody looks there is no thread."""

    def __init__(self, spark: SparkSession, name: str, shown: Sequence[Show]) -> None:
        self.context, self.name, self.shown = spark.sparkContext, name, shown
        self.clock, self.progress = Clock(around=self.stage), Progress(0)
        self.stage_name: str | None = None
        self.base = self.done = self.stages = 0
        self.samples: list[tuple[float, int]] = []
        self.listener: Listener | None = None
        self.over, self.wake, self.busy, self.troubled = threading.Event(), threading.Event(), threading.RLock(), False
        self.how: Mapping[str, Any] = {}
        self.thread = threading.Thread(target=self.watch, name="sparkcoil-monitor", daemon=True)

    def start(self) -> None:
        """Begin to show the run."""
        if self.shown:
            self.thread.start()

    def follow(self, progress: Progress) -> Progress:
        """Return the progress, which is shown from here on."""
        self.progress = progress
        if self.shown and progress.total:
            self.listener = self.guarded(lambda: listener_of(self.context))
        return progress

    def finished(self, report: RunReport) -> RunReport:
        """Return the report of the run, which is shown as it says."""
        self.end(status.finished(report))
        return report

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Let Spark's jobs within the block be described, and show that the run is at this stage."""
        with self.busy:
            self.stage_name, self.base, self.stages = name, self.progress.scored, self.stages + 1
            heard = {datagrams.PROPERTY: self.listener.expect()} if self.listener and name == "score" else {}
        with properties(self.context, {DESCRIPTION: self.describe(name), **heard}, tag=self.tag):
            self.wake.set()
            yield

    @property
    def tag(self) -> str:
        """What the run's jobs are tagged with, by which they can be found and cancelled; it has the run's id once that is fixed."""
        return f"sparkcoil-{self.progress.run_id or self.name}".replace(",", " ")

    def describe(self, stage: str) -> str:
        """Return what the jobs of a stage are for."""
        chunk = self.progress.chunk
        if chunk is None or stage not in ("score", "publish"):
            return f"{self.name}: {WHAT_FOR.get(stage, stage)}"
        return f"{self.name}: chunk {chunk.number + 1}: {stage} about {chunk.rows:,} rows"

    def watch(self) -> None:
        """Show the run again and again until it is over, and then how it ended; nobody else waits for whoever is shown it."""
        while not self.over.is_set():
            self.look()
            self.wake.wait(EVERY_SECONDS)
            self.wake.clear()
        self.show(self.guarded(lambda: replace(self.seen(None), eta_seconds=None, **self.how)))

    def look(self) -> None:
        """Let everyone who looks have the status as it is now."""
        stage = self.stages
        tasks = self.guarded(lambda: tasks_of(self.context, self.tag))
        with self.busy:  # what was seen of one chunk does not count for the next
            seen = None if self.over.is_set() else self.guarded(lambda: self.seen(tasks if stage == self.stages else None))
        self.show(seen)

    def show(self, seen: Status | None) -> None:
        """Let everyone who looks have a status."""
        if seen is not None:
            for each in self.shown:
                self.guarded(partial(each, seen))

    def seen(self, tasks: Tasks | None) -> Status:
        """Return how far the run is, as far as it, Spark, and the tasks themselves say."""
        progress, now, scoring = self.progress, time.monotonic(), self.stage_name == "score"
        told = max(self.listener.rows if self.listener else 0, tasks.rows if tasks else 0) if scoring else 0
        self.done = max(self.done, min(progress.total, max(progress.scored, self.base + told)))
        if self.stage_name in ("score", "publish"):
            self.samples = status.recent([*self.samples, (now, self.done)], now)
        return Status(
            self.name,
            run_id=progress.run_id,
            stage=self.stage_name,
            chunk=progress.chunk.number + 1 if progress.chunk else None,
            rows=status.counts(progress, self.done),
            tasks=tasks,
            seconds=self.clock.read()["total"],
            written_at=round(time.time(), 3),
            **status.rates(progress, self.done, status.rate(self.samples)),
        )

    def end(self, how: Mapping[str, Any]) -> None:
        """Let the thread show how the run ended; it is waited for, but not for long."""
        with self.busy:
            if self.listener:
                self.listener.close()
            self.stage_name, self.done, self.how = None, self.progress.scored, how
            self.over.set()
        self.wake.set()
        if self.thread.is_alive():
            self.thread.join(PATIENCE_SECONDS)

    def guarded(self, part: Callable[[], T]) -> T | None:
        """Return what a part of the monitor gives, None where it fails: the first time that is logged."""
        try:
            return part()
        except Exception as error:
            if not self.troubled:
                log.warning("progress is not shown in full, and the run goes on: %s", type(error).__name__)
            self.troubled = True
            return None


@contextmanager
def properties(context: SparkContext, values: Mapping[str, str], *, tag: str) -> Iterator[None]:
    """Let Spark's jobs of this thread have local properties and a tag within the block, and afterwards those that they had."""
    before: dict[str, Any] = {}  # None for one that was not there, which removes it again
    # A session that has ended says so to the run itself: what it says then must not be hidden by this.
    with suppress(Exception):
        before = {name: context.getLocalProperty(name) for name in values}
        for name, value in values.items():
            context.setLocalProperty(name, value)
        context.addJobTag(tag)
    try:
        yield
    finally:
        with suppress(Exception):
            context.removeJobTag(tag)
            for name, value in before.items():
                context.setLocalProperty(name, value)


def listener_of(context: SparkContext) -> Listener:
    """Return a listener on the address at which executors find the driver."""
    configuration = context.getConf()
    host = configuration.get("spark.driver.host") or "127.0.0.1"
    return Listener(configuration.get("spark.driver.bindAddress") or host, host)


def tasks_of(context: SparkContext, tag: str) -> Tasks | None:
    """Return the tasks of the newest stage that is running for jobs with a tag, from the store that Spark's own UI reads."""
    assert context._jvm is not None
    scala = context._jsc.sc()
    tracker, store, v1 = context.statusTracker(), scala.statusStore(), context._jvm.org.apache.spark.status.api.v1
    ours = set(scala.statusTracker().getJobIdsForTag(tag)) & set(tracker.getActiveJobsIds())
    jobs = [job for job in map(tracker.getJobInfo, ours) if job is not None]
    stages = {stage for job in jobs for stage in job.stageIds} & set(tracker.getActiveStageIds())
    if not stages:
        return None
    stage = store.lastStageAttempt(max(stages))
    running = context._jvm.java.util.ArrayList()
    running.add(v1.TaskStatus.RUNNING)
    # By their ids, so that the first is the one that was started first.
    oldest = store.taskList(stage.stageId(), stage.attemptId(), 0, 1, v1.TaskSorting.ID, running)
    counted = Tasks(stage.numActiveTasks(), stage.numCompleteTasks(), stage.numTasks(), stage.outputRecords())
    if oldest.isEmpty():
        return counted
    task = oldest.head()
    seconds = max(0.0, time.time() - task.launchTime().getTime() / 1000)
    return replace(counted, slowest=task.index(), slowest_seconds=round(seconds, 1))
