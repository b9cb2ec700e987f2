"""Where things are killed: a table of texts, the model that echoes them, and jobs over it, each a process group of its own."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jobs
import pandas as pd
import pyarrow as pa
from deltalake import write_deltalake

from havoc import oracle
from sparkcoil import testing

ROOT = Path(__file__).parents[2]
LIB = ROOT / "lib"
# One row in so many has the text of an earlier one.
REPEATED = 10
# A job that takes longer counts as hanging.
PATIENCE_SECONDS = 1_500.0


@dataclass(frozen=True)
class Scene:
    """A source of so many rows in a folder, a place for a target and what belongs to it, and the sections of its run file."""

    folder: Path
    place: Path
    rows: int
    hashes: pd.Series
    conf: Path
    parts: int = 1

    @property
    def target(self) -> Path:
        """Where the predictions go."""
        return self.place / "out"

    @property
    def texts(self) -> int:
        """How many different texts there are: what a run that nobody disturbs computes."""
        return int(self.hashes.nunique())

    def calls(self) -> int:
        """Return how many of the source's rows the model has been handed, as often as it was."""
        known = set(self.hashes)
        return sum(times for each, times in testing.times_computed(self.place / "log").items() if each in known)

    def arrive(self, part: int) -> None:
        """Append a part of the rows to the source, unless it is there."""
        arrived = self.folder / f"part{part}"
        if not arrived.exists():
            ids = range(part, self.rows, self.parts)
            write_deltalake(
                str(self.folder / "in"), pa.table({"id": pa.array(ids, pa.int64()), "body": [*map(text_of, ids)]}), mode="append"
            )
            arrived.touch()

    def verdict(self) -> oracle.Verdict:
        """Return what is wrong with the target."""
        return oracle.verdict(self.target, self.hashes)


def text_of(number: int) -> str:
    """Return the text of a row."""
    own = number - REPEATED + 1 if number % REPEATED == REPEATED - 1 else number
    return f"Row {own} says what no other row says, but for one that repeats it."


def made(
    folder: Path,
    rows: int,
    spark: Mapping[str, str],
    *,
    batching: Mapping[str, Any],
    row_seconds: float = 0.0,
    name: str = "first",
    parts: int = 1,
    target: Mapping[str, Any] = {},
    **sections: Any,
) -> Scene:
    """Return a scene in a folder, whose table and model are made where they are not there yet.

    With several `parts` the table has the first of them, and the others arrive when they are told to.
    """
    place = folder / name
    place.mkdir(parents=True)
    made_here = Scene(folder, place, rows, oracle.hashes_of([text_of(i) for i in range(rows)]), place / "run.yaml", parts)
    if not (folder / "in").exists():
        made_here.arrive(0)
        testing.write_echo_model(folder / "echo")
    whole = {
        "name": "chaos",
        "model": {"uri": str(folder / "echo"), "options": {"row_seconds": row_seconds, "log": str(place / "log")}},
        "source": {"path": str(folder / "in"), "keys": ["id"], "columns": {"text": "body"}},
        "target": {"path": str(place / "out"), **target},
        "batching": dict(batching),
        "spark": dict(spark),
        **sections,
    }
    (place / "run.yaml").write_text(json.dumps(whole))
    return made_here


@dataclass(frozen=True)
class Job:
    """A job that has been started, and where it writes."""

    process: subprocess.Popen[bytes]
    out: Path
    err: Path

    def ended(self) -> bool:
        """Tell whether it has ended."""
        return self.process.poll() is not None

    def code(self) -> int | None:
        """Wait for its end and return its exit code, None for one that hangs and is killed."""
        try:
            return self.process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            return None

    def report(self) -> dict[str, Any]:
        """Return the JSON on its last line, empty where it has not written one."""
        lines = self.out.read_text().strip().splitlines()
        found: dict[str, Any] = json.loads(lines[-1]) if lines else {}
        return found

    def kill(self, *, whole: bool = True) -> None:
        """Kill its driver, and unless told otherwise the JVM of it, which is of the same process group."""
        with suppress(ProcessLookupError):
            (os.killpg if whole else os.kill)(self.process.pid, signal.SIGKILL)
        self.process.wait()


def surroundings(folder: Path) -> dict[str, str]:
    """Return the environment of a job: this library, an MLflow store of its own, and a place for what a killed driver cannot remove."""
    (scratch := folder / "tmp").mkdir(exist_ok=True)
    path = os.pathsep.join([str(LIB), *filter(None, [os.environ.get("PYTHONPATH")])])
    kept = {"TMPDIR": str(scratch), "SPARK_LOCAL_DIRS": str(scratch)}
    return {"PYTHONPATH": path, "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db", **kept}


@contextmanager
def running(scene: Scene, command: Sequence[str] = (), environment: Mapping[str, str] = {}) -> Iterator[Job]:
    """Start the scene's job, or another command, for the block, after which its driver does not run."""
    number = len(list(scene.place.glob("*.out")))
    out, err = scene.place / f"{number}.out", scene.place / f"{number}.err"
    variables = {**os.environ, **surroundings(scene.folder), **environment}
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = subprocess.Popen(
            command or jobs.command(scene.conf), cwd=scene.folder, env=variables, stdout=stdout, stderr=stderr, start_new_session=True
        )
    job = Job(process, out, err)
    try:
        yield job
    finally:
        if not job.ended():
            job.kill()
