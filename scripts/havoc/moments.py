"""Families of named moments: a driver that dies at each of them, committers that meet, a stream that is killed and goes on."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from havoc.at_point import POINTS
from havoc.families import Asked, Found, beside, ended_well, found, killed_at_random, summed
from havoc.reader import reading
from havoc.scene import Scene, running, surroundings

SCRIPTS = Path(__file__).parent
COMMITTERS, COMMITS = 8, 25
# So many rows at each point: what matters is when the driver dies, not what is there.
POINT_ROWS = 400
PARTS = 10
# Points that a run comes by once.
ONCE = ("create", "lease", "preflight", "report", "publish.files")


def points(asked: Asked) -> Found:
    """Kill the driver at each named point of stage and publish, chunk by chunk and all at the end, a reader looking on; rerun each once."""
    start = time.monotonic()
    asked = replace(asked, rows=POINT_ROWS)
    problems: list[str] = []
    verdicts, calls, kills = [], 0, 0
    for publish in ("chunk", "end"):
        for number, point in enumerate(POINTS[: asked.kills]):
            chunks, target = {"chunk_rows": POINT_ROWS // 4}, {"publish": publish}
            place = asked.scene(chunks, slow=False, name=f"{publish}{number}", target=target)
            with reading(place) as reader:
                kills += killed_at(place, point, at_end=publish == "end")
                with running(place) as job:
                    said = [*ended_well(job)]
            reader.look()
            verdicts.append(place.verdict())
            calls += place.calls() - place.texts
            problems += [f"{publish}, {point}: {each}" for each in (*said, *reader.problems, *beside(verdicts[-1]))]
    counts = summed(verdicts)
    rows, seconds = asked.rows * len(verdicts), round(time.monotonic() - start, 1)
    if kills < len(verdicts):
        problems.append(f"only {kills} of {len(verdicts)} points were reached")
    repeated = calls / kills if kills else None
    return Found("points", rows, kills, 2 * len(verdicts), **counts, recomputed_per_kill=repeated, seconds=seconds, problems=problems)


def killed_at(place: Scene, point: str, *, at_end: bool) -> bool:
    """Run the job to a point, at its second chunk where there is a choice; tell whether it has died there."""
    once = point.endswith(ONCE) or (at_end and point.endswith(("publish", "confirm")))
    number = 0 if once else 2 - at_end if point == "within publish.commit" else 1
    command = [sys.executable, str(SCRIPTS / "at_point.py"), point, str(number), str(place.conf)]
    with running(place, command) as job:
        return job.code() == -signal.SIGKILL


def committers(asked: Asked) -> Found:
    """Let eight processes commit at once to one table, each commit under the lease: all have to be there."""
    start = time.monotonic()
    asked.folder.mkdir(parents=True)
    target = asked.folder / "committed"
    write_deltalake(str(target), pa.table({"id": pa.array([], pa.int64())}))
    environment = {**os.environ, **surroundings(asked.folder)}
    command = [sys.executable, str(SCRIPTS / "committer.py"), str(target)]
    started = [subprocess.Popen([*command, str(each), str(COMMITS)], env=environment) for each in range(COMMITTERS)]
    problems = [f"committer {number} ended with {code}" for number, code in enumerate(each.wait() for each in started) if code]
    wanted = {number * 1_000 + commit for number in range(COMMITTERS) for commit in range(COMMITS)}
    table = DeltaTable(str(target))
    ids = table.to_pyarrow_table()["id"].to_pandas()
    if table.version() != len(wanted):
        problems.append(f"{table.version()} commits of {len(wanted)}")
    counts = {"lost": len(wanted - {*ids}), "duplicated": int(ids.duplicated().sum()), "mismatched": len({*ids} - wanted)}
    seconds = round(time.monotonic() - start, 1)
    return Found("committers", len(wanted), 0, COMMITTERS, **counts, recomputed_per_kill=None, seconds=seconds, problems=problems)


def streams(asked: Asked) -> Found:
    """Kill the driver of a stream again and again, while rows arrive; then let it finish, and run it once more without its checkpoint."""
    start = time.monotonic()
    checkpoint = asked.folder / "first" / "checkpoint"
    streaming = {"mode": "available_now", "stream": {"checkpoint": str(checkpoint)}}
    place = asked.scene({"chunk_rows": max(250, asked.rows // 20)}, parts=PARTS, **streaming)
    kills, problems = 0, list[str]()
    for number in range(asked.kills):
        place.arrive(min(number, PARTS - 1))
        with running(place) as job:
            kills += killed_at_random(place, job, number, asked.chance)
    for number in range(PARTS):
        place.arrive(number)
    with running(place) as job:
        problems += [*ended_well(job)]
    before = place.calls()
    shutil.rmtree(checkpoint, ignore_errors=True)
    with running(place) as job:
        problems += [*ended_well(job)]
    if place.calls() != before:
        problems.append(f"without its checkpoint the stream has computed {place.calls() - before} rows again")
    return found("streams", place, start, kills=kills, runs=asked.kills + 2, problems=problems)


FAMILIES: Mapping[str, Callable[[Asked], Found]] = {"points": points, "committers": committers, "streams": streams}
