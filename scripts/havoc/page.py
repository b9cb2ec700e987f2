"""What was found as a page: one row for each family, and what is wrong in sentences; run by `scripts/chaos report`."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

HEADS = ("family", "rows", "kills", "runs started", "lost", "duplicated", "mismatched", "recomputed rows per kill", "minutes", "holds")
FAMILIES = {
    "workers": "a random Python worker of the executors is killed, again and again during one job, which ends by itself",
    "executors": "a random executor is killed, JVM and all, again and again during one job, which ends by itself",
    "drivers": "the driver is killed at random times, one in five as it starts, one in three without its JVM; the same command follows",
    "points": "the driver and its JVM are killed before, within and after each step of stage and publish, with `publish: chunk` and `end`; "
    "one rerun follows",
    "committers": "eight processes commit 25 times each to one table, each commit under the lease",
    "streams": "the driver of a stream is killed while rows arrive; at the end its checkpoint is deleted, and it computes nothing again",
    "disks": "the disk of target, shuffle or temporary files is full: the run names it and publishes nothing; its rerun passes",
    "twice": "the same job is started twice at once on a new target: one works, the other exits 5 or finds nothing due",
    "rerun": "a finished run is run again: the model is not called, and nothing is committed",
    "controls": "finished targets are spoiled on purpose, and jobs are run that are written naively: the oracle has to see it",
}
OPENING = """# Chaos

*For every input row there is exactly one output row, whatever fails.* `./scripts/chaos run` puts that to the test: it starts a
standalone Spark cluster with two workers, runs `jobs/score.py` over a table in which one row in ten has the text of another, and kills
processes with SIGKILL. The [model for tests](testing.md) gives the sha256 of each text and notes each of its calls, so that afterwards
all of the following is asked of **every row**, not of a sample:

- there are as many rows as the source has, each key once, and each prediction is the sha256 of its text;
- no staged file and no lock file is left, and the table's history has one commit for each chunk and no other;
- while drivers are killed, a reader polls the target every 200 ms: it sees right rows, all of those with the same text, which are in one
  chunk, or none, and never fewer than before.

*Recomputed rows* are what the model's own log has beyond one call for each different text.

"""
CLOSING = """
So many kills within minutes are more than one task or stage of a real job meets: for workers and executors `spark.task.maxFailures` and
`spark.stage.maxConsecutiveAttempts` are 30, and the cluster's master has `spark.deploy.maxExecutorRetries=-1`. All else, and all of it for
drivers, is as Spark has it. No failure among n kills says with 95 % confidence that fewer than 3/n of kills do harm.

Made by `./scripts/chaos run` from [chaos.json](chaos.json), which has the latest of each family.
"""

Family = Mapping[str, Any]


def cells(found: Family) -> list[str]:
    """Return a family's row of the table."""
    repeated = found["recomputed_per_kill"]
    counts = [f"{found[name]:,}" for name in ("rows", "kills", "runs", "lost", "duplicated", "mismatched")]
    minutes = f"{found['seconds'] / 60:.1f}"
    return [found["family"], *counts, "" if repeated is None else f"{repeated:,.0f}", minutes, "yes" if holds(found) else "**no**"]


def holds(found: Family) -> bool:
    """Tell whether nothing was wrong."""
    return not (found["lost"] or found["duplicated"] or found["mismatched"] or found["problems"])


def line(items: list[str]) -> str:
    """Return a row of a table."""
    return f"| {' | '.join(items)} |"


def page(measured: Mapping[str, Family]) -> str:
    """Return the whole page."""
    there = [measured[name] for name in FAMILIES if name in measured]
    table = [line([*HEADS]), line(["---"] * len(HEADS)), *(line(cells(each)) for each in there)]
    legend = [f"- `{each['family']}`: {FAMILIES[each['family']]}{noted(each)}." for each in there]
    wrong = [f"- `{each['family']}`: {problem}" for each in there for problem in each["problems"]]
    complaints = ["", "What was wrong:", "", *wrong] if wrong else []
    return OPENING + "\n".join([*table, "", *legend, *complaints, *environments(there)]) + "\n" + CLOSING


def noted(found: Family) -> str:
    """Return what else there is to say of a family."""
    notes = found["notes"]
    if "reader_polls" in notes:
        return f"; the reader looked {notes['reader_polls']:,} times, at {notes['reader_versions']} versions"
    return f" ({', '.join(notes['caught'])})" if "caught" in notes else ""


def environments(there: list[Family]) -> Iterator[str]:
    """Yield where it was found, with the families that were tried there."""
    places: dict[str, list[str]] = {}
    for each in there:
        said = ", ".join(f"{name} {value}" for name, value in each["environment"].items() if value)
        places.setdefault(said, []).append(each["family"])
    yield from ("", *(f"{', '.join(families)}: {said}." for said, families in places.items()))


def write(folder: Path) -> None:
    """Write chaos.md of a folder from its chaos.json."""
    (folder / "chaos.md").write_text(page(read(folder)), encoding="utf-8")


def read(folder: Path) -> dict[str, Family]:
    """Return what was found last of each family."""
    file = folder / "chaos.json"
    return json.loads(file.read_text()) if file.is_file() else {}


def keep(folder: Path, found: Family) -> None:
    """Write what a family came to, in place of what it came to before."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "chaos.json").write_text(json.dumps({**read(folder), found["family"]: found}, indent=1) + "\n")
    write(folder)
