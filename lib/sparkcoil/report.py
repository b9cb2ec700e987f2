"""What a run did, as a frozen value: counts that its commits confirm, and what the scored windows noted of themselves."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from time import perf_counter, time
from typing import Any, Literal

from sparkcoil import error_budget, native, rates, shown
from sparkcoil.errors import BudgetExceeded
from sparkcoil.pacing import Chunk
from sparkcoil.rates import Cleared
from sparkcoil.sections import RowsConfig
from sparkcoil.shown import Shown
from sparkcoil.verdicts import Verdict

Status = Literal["done", "nothing_due", "budget_exceeded"]

# What became of the rows that were due, by the name of its count; copied rows are among the others.
PARTS = {"ok": "ok", "failed": "failed", "unpublished": "not published", "copied": "copied"}


@dataclass(frozen=True)
class RunReport(Shown):
    """One run in figures; `to_json` is the last line that a job prints.

    `exceeded` says which rule of the error budget is broken, or which gates do not hold; `gates` what was found for each that was judged.
    """

    name: str
    run_id: str
    status: Status
    exit_code: int
    task: str
    options: Mapping[str, Any]
    options_from: Mapping[str, str]
    options_ignored: Mapping[str, str]
    source: Mapping[str, Any]
    target: Mapping[str, Any]
    model: Mapping[str, Any]
    rows: Mapping[str, int]
    failures: Sequence[Mapping[str, Any]] = ()
    exceeded: str | None = None
    gates: Sequence[Mapping[str, Any]] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    throughput: Mapping[str, Any] = field(default_factory=dict)
    challenger: Mapping[str, Any] | None = None

    def to_json(self) -> str:
        """Return the report as one line of JSON."""
        return json.dumps(asdict(self), default=str)

    def lines(self) -> dict[str, str]:
        """Return what the report says, by what it is about; what there is nothing to say of is left out."""
        failed = ", ".join(f"{each['rows']:,} {each['stage']}/{each['code']}" for each in self.failures)
        stages = ", ".join(f"{name} {seconds:.1f}" for name, seconds in self.seconds.items() if name != "total")
        lines = {
            "run": f"{self.name}: {self.task}, {self.run_id}",
            "status": f"{self.status}, exit code {self.exit_code}",
            "exceeded": self.exceeded or "",
            "model": str(self.model["uri"]),
            "not followed": native.not_followed(self.options_ignored),
            "source": shown.at_version(self.source),
            "target": shown.at_version(self.target),
            "due": f"{self.rows.get('due', 0):,} of {self.rows.get('keys', 0):,} keys",
            "of them": shown.listed(self.rows, PARTS),
            "failures": failed,
            "gates": f"{sum(each['holds'] for each in self.gates)} of {len(self.gates)} hold" if self.gates else "",
            "challenger": "{agree:,} of {compared:,} rows agree".format(**self.challenger) if self.challenger else "",
            "throughput": rates.SPEED.format(**self.throughput) if self.throughput else "",
            **{name: str(self.throughput.get(name, "")) for name in rates.REMARKS},
            "seconds": f"{self.seconds.get('total', 0):.1f}" + (f": {stages}" if stages else ""),
        }
        return {name: said for name, said in lines.items() if said}


@dataclass(frozen=True)
class Measured:
    """What a staged chunk came to: failures by stage and code, what its windows noted, its rows, and how many of them were copied.

    Those that the target has refused, even as failed ones, are among the failures and not among the rows.
    """

    failures: Sequence[Mapping[str, Any]]
    windows: Sequence[Mapping[str, Any]]
    rows: int
    copied: int
    refused: int


@dataclass
class Progress:
    """What a run has scored so far of the rows that are due, what it has copied and published, what waits for it, and how many may fail.

    `version` is the target's as far as this run knows it, and it is `disturbed` where others have changed rows of it meanwhile.
    `chunk` is the one that it is at.
    """

    total: int
    budget: RowsConfig = field(default_factory=RowsConfig)
    run_id: str | None = None
    chunk: Chunk | None = None
    scored: int = 0
    copied: int = 0
    gone: int = 0
    refused: int = 0
    commits: int = 0
    version: int = 0
    disturbed: bool = False
    published: Counter[str] = field(default_factory=Counter)
    waiting: list[Measured] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)
    windows: list[dict[str, Any]] = field(default_factory=list)
    compared: list[Mapping[str, Any]] = field(default_factory=list)
    cleared: Cleared = field(default_factory=Cleared)
    shut: str | None = None
    judged: Sequence[Verdict] = ()

    def add(self, staged: Measured) -> None:
        """Add what a staged chunk came to, which waits to be published."""
        self.waiting.append(staged)
        self.scored += staged.rows + staged.refused
        self.refused += staged.refused
        self.copied += staged.copied
        self.failures.extend(map(dict, staged.failures))
        self.windows.extend(map(dict, staged.windows))

    def publish(self) -> None:
        """Note that the staged chunks that have waited are in the target."""
        for each in self.waiting:
            failed = sum(kind["rows"] for kind in each.failures) - each.refused
            self.published.update(ok=each.rows - failed, failed=failed)
        self.waiting.clear()

    def commit(self, version: int, *, alone: bool) -> None:
        """Note a commit, and whether nobody else has changed the target since the one before."""
        self.version, self.disturbed = version, self.disturbed or not alone

    @property
    def exceeded(self) -> str | None:
        """What of the error budget is exceeded, or which gate is shut, in words, None where nothing is."""
        return self.shut or error_budget.broken(self.budget, self.failures, scored=self.scored, total=self.total)


@dataclass
class Clock:
    """The seconds that each stage of a run took, by name; each is gone through within what `around` gives for its name.

    `began` is when it began, in seconds since 1970.
    """

    began: float = field(default_factory=time)
    started: float = field(default_factory=perf_counter)
    seconds: dict[str, float] = field(default_factory=dict)
    around: Callable[[str], AbstractContextManager[object]] = nullcontext

    @contextmanager
    def stage(self, name: str) -> Iterator[Callable[[], float]]:
        """Add the time of the block to a stage; gives a function that tells the seconds since the block began."""
        start = perf_counter()
        try:
            with self.around(name):
                yield lambda: perf_counter() - start
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + perf_counter() - start

    def read(self) -> dict[str, float]:
        """Return the seconds by stage, with `total` for the whole run."""
        return {name: round(value, 3) for name, value in {**self.seconds, "total": perf_counter() - self.started}.items()}


def finished(described: Mapping[str, Any], planned: Mapping[str, int], progress: Progress, clock: Clock) -> RunReport:
    """Return the report of a run from what was planned, what its commits hold, and what its windows noted."""
    status: Status = "budget_exceeded" if progress.exceeded else "done" if progress.commits else "nothing_due"
    counts = {
        **{name: count for name, count in planned.items() if name not in ("held", "gone")},
        "copied": progress.copied,
        "removed": progress.gone,
        "ok": progress.published["ok"],
        "failed": progress.published["failed"],
    }
    counts["unpublished"] = planned["due"] - counts["ok"] - counts["failed"]
    return RunReport(
        **described,
        status=status,
        exit_code=BudgetExceeded.exit_code if progress.exceeded else 0,
        rows=counts,
        failures=merged(progress.failures),
        exceeded=progress.exceeded,
        gates=[asdict(each) for each in progress.judged],
        seconds=clock.read(),
        throughput=rates.throughput(progress.windows, progress.cleared, clock.seconds.get("score", 0.0)),
    )


def merged(failures: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return failures by stage and code, most frequent first, those of all chunks added up."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for each in failures:
        known = found.setdefault((each["stage"], each["code"]), {**each, "rows": 0})
        known["rows"] += each["rows"]
    return sorted(found.values(), key=lambda each: (-each["rows"], each["stage"], each["code"]))
