"""The runs that a prediction table remembers: the commits of its history that say which run made them."""

import difflib
import json
from collections.abc import Sequence
from typing import Any

from delta.tables import DeltaTable
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from sparkcoil import tables
from sparkcoil.errors import TargetError
from sparkcoil.figures import Part


def parts(table: DeltaTable, limit: int | None = None, *, only: Sequence[Part] | None = None) -> list[Part]:
    """Return the commits that runs have made, the oldest first, of so many newest ones where there is a limit, or some alone."""
    chosen = noted(table, limit)
    if only is not None:
        chosen = chosen.where(F.col("version").isin([part.version for part in only]))
    found = chosen.select("version", "at", "operation", "userMetadata", "operationMetrics").orderBy("version").collect()
    return [part for part in map(part_of, found) if part is not None]


def index(table: DeltaTable) -> list[Part]:
    """Return which run has made which commit, the oldest first, without what they note: a long history has gigabytes of that."""
    run_id = F.get_json_object("userMetadata", "$.sparkcoil.run_id").alias("run_id")
    found = noted(table).select("version", "at", run_id).where("run_id IS NOT NULL").orderBy("version").collect()
    return [Part(each["run_id"], int(each["version"]), each["at"] / 1_000, None, None) for each in found]


def noted(table: DeltaTable, limit: int | None = None) -> DataFrame:
    """Return the commits with a note of ours, with the milliseconds since 1970 when they were made."""
    history = table.history() if limit is None else table.history(limit)
    return history.where(F.col("userMetadata").contains('"sparkcoil"')).withColumn("at", F.unix_millis("timestamp"))


def due(part: Part) -> int | None:
    """Return how many rows were due in the run of a commit, else how many the commit has."""
    return part.figures["due"] if part.figures else part.rows


def part_of(commit: Row) -> Part | None:
    """Return what a commit says of its run, None where its note is another writer's."""
    try:
        note: Any = json.loads(commit["userMetadata"])
        run_id = note["sparkcoil"]["run_id"]
    except (ValueError, KeyError, TypeError):
        return None
    figures = note.get("figures")
    known = figures if isinstance(figures, dict) and {"run", "rows", "seconds", "windows"} <= figures.keys() else None
    return Part(str(run_id), int(commit["version"]), commit["at"] / 1_000, tables.counted(commit), known)


def of_run(found: Sequence[Part], run_id: str | None, *, target: str) -> list[Part]:
    """Return the commits of a run, of the newest one unless it is named; raises TargetError where there are none."""
    if not found:
        raise TargetError(f"target: {target}: no commit of its history says which run made it")
    wanted = found[-1].run_id if run_id is None else run_id
    mine = [part for part in found if part.run_id == wanted]
    if not mine:
        known = list(dict.fromkeys(part.run_id for part in reversed(found)))
        near = difflib.get_close_matches(wanted, known, n=3, cutoff=0.0)
        raise TargetError(f"target: {target}: no run {wanted!r} in its history of {len(known)}; the nearest: {', '.join(near)}")
    return mine


def before(found: Sequence[Part], first: Part | None) -> Part | None:
    """Return the last commit of the run before the one with this first commit, or of the newest run where it has made none."""
    earlier = [part for part in found if first is None or (part.version or 0) < (first.version or 0)]
    return next((part for part in reversed(earlier) if first is None or part.run_id != first.run_id), None)
