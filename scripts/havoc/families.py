"""The families of failures: each brings its own about, and returns what the oracle found afterwards."""

import itertools
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from havoc import controls as spoiling
from havoc import scene, victims
from havoc.oracle import Verdict
from havoc.reader import Reader, reading
from havoc.scene import Job, Scene, running

# Twenty kills within minutes are more than a task or a stage of a real run meets: with Spark's four tries the run would end.
TRIES = {"spark.task.maxFailures": "30", "spark.stage.maxConsecutiveAttempts": "30"}
# Where a driver is killed: one in so many as it starts, the others after its first rows, within so many seconds.
STARTING, FROM_START_SECONDS, FROM_ROWS_SECONDS = 5, 30.0, 12.0


@dataclass(frozen=True)
class Asked:
    """Where and how large: a folder for everything, Spark's settings, rows, kills and how long the model takes for a row."""

    folder: Path
    spark: Mapping[str, str]
    rows: int
    kills: int
    row_seconds: float
    chance: random.Random

    def scene(
        self, batching: Mapping[str, Any], *, spark: Mapping[str, str] = {}, slow: bool = True, name: str = "first", **sections: Any
    ) -> Scene:
        """Return the scene of a family, with more settings of Spark's, and more of the run file, where it needs some."""
        seconds = self.row_seconds if slow else 0.0
        settings = {**self.spark, **spark}
        return scene.made(self.folder, self.rows, settings, batching=batching, row_seconds=seconds, name=name, **sections)


@dataclass(frozen=True)
class Found:
    """What a family came to: one line of the table, and in sentences whatever was not as it should be."""

    family: str
    rows: int
    kills: int
    runs: int
    lost: int
    duplicated: int
    mismatched: int
    recomputed_per_kill: float | None
    seconds: float
    problems: list[str] = field(default_factory=list)
    notes: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON takes it."""
        return asdict(self)


def found(family: str, place: Scene, start: float, *, kills: int, runs: int, problems: Sequence[str], **notes: Any) -> Found:
    """Return what a family came to whose one target is finished."""
    verdict = place.verdict()
    repeated = (place.calls() - place.texts) / kills if kills else None
    counts = {"lost": verdict.lost, "duplicated": verdict.duplicated, "mismatched": verdict.mismatched}
    said = [*problems, *beside(verdict)]
    seconds = round(time.monotonic() - start, 1)
    return Found(family, place.rows, kills, runs, **counts, recomputed_per_kill=repeated, seconds=seconds, problems=said, notes=notes)


def summed(verdicts: Sequence[Verdict]) -> dict[str, int]:
    """Return what is wrong with the rows of several targets together."""
    return {name: sum(getattr(each, name) for each in verdicts) for name in ("lost", "duplicated", "mismatched")}


def beside(verdict: Verdict) -> Iterator[str]:
    """Yield what the oracle has found wrong beside the rows."""
    yield from (f"left behind: {each}" for each in verdict.leftovers)
    yield from (f"unexpected commit: {each}" for each in verdict.commits)


def ended_well(job: Job) -> Iterator[str]:
    """Wait for a job's end, and yield what was wrong with it: another exit code than 0, or due rows that are not scored."""
    code = job.code()
    if code != 0:
        yield f"the job {'hung' if code is None else f'ended with exit code {code}'}: {job.err.read_text(errors='replace')[-1500:]}"
        return
    rows = job.report()["rows"]
    if rows["ok"] != rows["due"] or rows["failed"] or rows["unpublished"]:
        yield f"the job's report: {rows}"


def under_one_job(family: str, asked: Asked, choose: victims.Victims) -> Found:
    """Kill processes of one job, which has to end by itself."""
    start = time.monotonic()
    batching = {"chunk_rows": max(500, asked.rows // 10), "partitions": 20}
    place = asked.scene(batching, spark=TRIES)
    with running(place) as job:
        kills = victims.kill_along(place, job, asked.kills, choose, asked.chance)
        problems = [*ended_well(job)]
    if kills < asked.kills:
        problems.append(f"only {kills} of {asked.kills} were killed")
    return found(family, place, start, kills=kills, runs=1, problems=problems, tries=TRIES["spark.task.maxFailures"])


def workers(asked: Asked) -> Found:
    """Kill random Python workers during one job."""
    return under_one_job("workers", asked, victims.python_workers)


def executors(asked: Asked) -> Found:
    """Kill random executors, JVM and all, during one job; the cluster starts others."""
    return under_one_job("executors", asked, victims.executors)


def drivers(asked: Asked) -> Found:
    """Kill the driver again and again, each time with the same command afterwards, while a reader looks on; then let it finish."""
    start = time.monotonic()
    place = asked.scene({"chunk_rows": max(250, asked.rows // 20)})
    with reading(place) as reader:
        kills, runs, problems = until_done(place, asked)
    reader.look()
    problems += reader.problems
    return found("drivers", place, start, kills=kills, runs=runs, problems=problems, **seen(reader))


def until_done(place: Scene, asked: Asked) -> tuple[int, int, list[str]]:
    """Run the same command until a run is not killed; return the kills, the runs, and what was wrong with the last one's end."""
    kills = 0
    for runs in itertools.count(1):
        with running(place) as job:
            if kills < asked.kills and killed_at_random(place, job, kills, asked.chance):
                kills += 1
                continue
            return kills, runs, [*ended_well(job)]
    raise AssertionError


def seen(reader: Reader) -> dict[str, int]:
    """Return how often the reader has looked, and how many versions of the target it has read."""
    return {"reader_polls": reader.polls, "reader_versions": len(reader.versions)}


def killed_at_random(place: Scene, job: Job, number: int, chance: random.Random) -> bool:
    """Kill a job's driver at a random time, with its JVM or, one in three, alone; tell whether it was still running."""
    starting = number % STARTING == STARTING - 1
    before = victims.computed(place)
    while not starting and victims.computed(place) == before and not job.ended():
        time.sleep(victims.LOOK_SECONDS)
    until = time.monotonic() + chance.uniform(0, FROM_START_SECONDS if starting else FROM_ROWS_SECONDS)
    while time.monotonic() < until and not job.ended():
        time.sleep(0.05)
    if job.ended():
        return False
    job.kill(whole=chance.random() > 1 / 3)
    return True


def twice(asked: Asked) -> Found:
    """Start the same job twice at once, on a new target each time: one works, the other is refused or finds nothing to do."""
    start = time.monotonic()
    problems: list[str] = []
    verdicts = []
    for number in range(asked.kills):
        place = asked.scene({}, slow=False, name=f"pair{number}")
        with running(place) as one, running(place) as other:
            ends = [(each.code(), each.report()) for each in (one, other)]
        told = sorted("refused" if code == 5 else report.get("status", f"exit code {code}") for code, report in ends)
        if told not in (["done", "refused"], ["done", "nothing_due"]):
            problems.append(f"pair {number}: {' and '.join(told)}")
        if place.calls() != place.texts:
            problems.append(f"pair {number}: {place.calls()} rows computed of {place.texts}")
        verdicts.append(place.verdict())
        problems += beside(verdicts[-1])
    counts = summed(verdicts)
    seconds = round(time.monotonic() - start, 1)
    runs = 2 * asked.kills
    return Found("twice", asked.rows * asked.kills, 0, runs, **counts, recomputed_per_kill=None, seconds=seconds, problems=problems)


def rerun(asked: Asked) -> Found:
    """Run a finished run again: the model is not called, and nothing is committed."""
    start = time.monotonic()
    place = asked.scene({}, slow=False)
    problems = []
    with running(place) as job:
        problems += [*ended_well(job)]
    before = (place.calls(), sorted(each.name for each in (place.target / "_delta_log").glob("*.json")))
    with running(place) as job:
        problems += [*ended_well(job)]
        status = job.report().get("status")
    after = (place.calls(), sorted(each.name for each in (place.target / "_delta_log").glob("*.json")))
    if status != "nothing_due" or before != after:
        problems.append(f"the second run: {status}, {after[0] - before[0]} rows computed, {len(after[1]) - len(before[1])} commits")
    return found("rerun", place, start, kills=0, runs=2, problems=problems, calls_of_the_first=before[0])


def controls(asked: Asked) -> Found:
    """Spoil a finished target in each of several ways, and score by jobs with a fault each: the oracle has to see every one of them."""
    start = time.monotonic()
    place = asked.scene({}, slow=False)
    with running(place) as job:
        problems = [*ended_well(job)]
    caught = {**spoiling.caught(place), **spoiling.caught_naive(place)}
    problems += [f"not caught: {name}" for name, is_caught in caught.items() if not is_caught]
    return found("controls", place, start, kills=0, runs=1, problems=problems, caught=sorted(caught))


FAMILIES: Mapping[str, Callable[[Asked], Found]] = {
    "workers": workers,
    "executors": executors,
    "drivers": drivers,
    "twice": twice,
    "rerun": rerun,
    "controls": controls,
}
