"""How far a run is, as a frozen value that others can poll, and the arithmetic of its rates. Knows nothing of Spark."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from sparkcoil.errors import BudgetExceeded
from sparkcoil.estimate import spoken
from sparkcoil.rates import total
from sparkcoil.report import Progress, RunReport

State = Literal["running", "done", "nothing_due", "budget_exceeded", "failed"]

# Rates are those of the last minutes: long enough to even out batches, short enough to show a change.
RECENT_SECONDS = 300.0


@dataclass(frozen=True)
class Tasks:
    """The tasks of the Spark stage that is running for a chunk, and the partition whose task has run the longest, with its seconds.

    `rows` are those of its finished tasks, where it writes any.
    """

    running: int
    done: int
    total: int
    rows: int = 0
    slowest: int | None = None
    slowest_seconds: float = 0.0


@dataclass(frozen=True)
class Status:
    """How far a run was at `written_at`, in seconds since 1970; `to_json` is what a status file holds.

    `stage` is named as in the report's `seconds`, and `chunk` counts from 1. Of `rows`, `due` and `done` are as they are now, `failed`,
    `copied` and `published` as of the last chunk that was scored or published. `real_time_factor` is the time that a second of sound takes.
    `exit_code` is there once the run is over; `error` names the class of what ended it, where it did not end by itself.
    """

    name: str
    run_id: str | None = None
    state: State = "running"
    stage: str | None = None
    chunk: int | None = None
    rows: Mapping[str, int] = field(default_factory=dict)
    rows_per_second: float | None = None
    unit: str | None = None
    units_per_second: float | None = None
    real_time_factor: float | None = None
    eta_seconds: float | None = None
    tasks: Tasks | None = None
    seconds: float = 0.0
    exit_code: int | None = None
    error: str | None = None
    written_at: float = 0.0

    @property
    def is_over(self) -> bool:
        """Tell whether the run has ended."""
        return self.state != "running"

    def to_json(self) -> str:
        """Return the status as one line of JSON."""
        return json.dumps(asdict(self))

    def __str__(self) -> str:
        """Return the status as one line of text."""
        return f"{self.name}: " + ", ".join(said for said in (headline(self), *details(self)) if said)


def headline(status: Status) -> str:
    """Return where a run is, in a few words."""
    if status.state == "failed":
        return f"failed: {status.error}" if status.error else "failed"
    where = status.state.replace("_", " ") if status.is_over else status.stage or "start"
    return f"{where}, chunk {status.chunk}" if status.chunk and not status.is_over else where


def details(status: Status) -> list[str]:
    """Return what is known of a run's rows, rates, time to go and tasks, in words."""
    rows, tasks, said = status.rows, status.tasks, []
    if rows.get("due"):
        said.append(f"{rows['done']:,} of {rows['due']:,} rows ({rows['done'] / rows['due']:.0%})")
    if rows.get("failed"):
        said.append(f"{rows['failed']:,} failed")
    if status.rows_per_second:
        said.append(f"{amount(status.rows_per_second)} rows/s")
    if status.real_time_factor:
        said.append(f"real-time factor {amount(status.real_time_factor)}")
    elif status.units_per_second:
        said.append(f"{amount(status.units_per_second)} {status.unit}/s")
    if status.eta_seconds is not None and not status.is_over:
        said.append(f"{spoken(status.eta_seconds)} to go")
    if tasks is not None and tasks.slowest is not None:
        said.append(f"{tasks.done} of {tasks.total} tasks, partition {tasks.slowest} for {spoken(tasks.slowest_seconds)}")
    return said


def amount(value: float) -> str:
    """Return a rate with about three digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def rate(samples: Sequence[tuple[float, int]]) -> float | None:
    """Return the rows per second of samples of a time in seconds and the rows done by then; None as long as none is."""
    if not samples or samples[-1][1] <= samples[0][1]:
        return None
    return (samples[-1][1] - samples[0][1]) / (samples[-1][0] - samples[0][0])


def recent(samples: Sequence[tuple[float, int]], now: float) -> list[tuple[float, int]]:
    """Return the samples of the last minutes, with the last one before them."""
    first = next((i for i, (at, _) in enumerate(samples) if now - at <= RECENT_SECONDS), len(samples))
    return list(samples[max(0, first - 1) :])


def units_each(windows: Sequence[Mapping[str, Any]]) -> float | None:
    """Return how many tokens, or seconds of sound, a row had so far; None before the first chunk is counted."""
    rows = total(windows, "rows")
    return total(windows, "units") / rows if rows else None


def counts(progress: Progress, done: int) -> dict[str, int]:
    """Return a status's rows, `done` of which are scored or copied by now."""
    return {
        "due": progress.total,
        "done": done,
        "copied": progress.copied,
        "failed": sum(kind["rows"] for kind in list(progress.failures)),
        "published": progress.published["ok"] + progress.published["failed"],
    }


def rates(progress: Progress, done: int, rows_per_second: float | None) -> dict[str, Any]:
    """Return a status's rates, and the seconds that the rows which are left take at them."""
    if rows_per_second is None:
        return {}
    windows = list(progress.windows)
    each, unit = units_each(windows), windows[0]["unit"] if windows else None
    units = None if each is None else each * rows_per_second
    return {
        "rows_per_second": round(rows_per_second, 3),
        "unit": unit,
        "units_per_second": None if units is None else round(units, 2),
        "real_time_factor": round(1 / units, 5) if units and unit == "audio seconds" else None,
        "eta_seconds": round((progress.total - done) / rows_per_second, 1),
    }


def finished(report: RunReport) -> dict[str, Any]:
    """Return what a status says of a run that came to a report."""
    rates = {name: report.throughput.get(name) for name in ("rows_per_second", "unit", "units_per_second")}
    return {"run_id": report.run_id, "state": report.status, "exit_code": report.exit_code, **rates}


def failed(error: BaseException) -> dict[str, Any]:
    """Return what a status says of a run that an error ended; not the error's text, which may be long."""
    if isinstance(error, BudgetExceeded):
        return finished(error.report)
    code = 130 if isinstance(error, KeyboardInterrupt) else getattr(error, "exit_code", 1)
    return {"state": "failed", "exit_code": code, "error": type(error).__name__}
