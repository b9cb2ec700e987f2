"""Every error of sparkcoil on one page; each class carries the exit code of a job that ends with it.

SparkcoilError            1  anything without a better name below
├── ConfigError           2  the run file or an argument is wrong; lists every problem found
├── RefusedError          3  refused before the first row is scored
│   ├── SourceError          the source is not what the run file says
│   ├── TargetError          the target cannot take this run's predictions
│   ├── ModelError           the model cannot be scored, or may not be
│   └── EnvironmentError_    the machine lacks what the run needs
├── BudgetExceeded        4  more rows failed than the error budget allows, or a gate does not hold
└── TargetBusy            5  another run holds the target

RowError stands apart: it is one row's failure, which scoring writes into that row's `error`. It never ends a job.
"""

import difflib
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, ClassVar, Literal

Stage = Literal["input", "model", "output"]


class SparkcoilError(Exception):
    """Something went wrong that has no better name below."""

    exit_code: ClassVar[int] = 1


class ConfigError(SparkcoilError):
    """The run file or an argument is wrong; `problems` holds one sentence for each mistake, key path first."""

    exit_code = 2

    def __init__(self, where: str, problems: Sequence[str]) -> None:
        self.where = where
        self.problems = tuple(problems)
        count = f"{len(self.problems)} problem{'' if len(self.problems) == 1 else 's'}"
        super().__init__("\n  - ".join([f"{where}: {count}", *self.problems]))


class RefusedError(SparkcoilError):
    """The run was refused before a single row was scored."""

    exit_code = 3


class SourceError(RefusedError):
    """The source is not what the run file says."""


class TargetError(RefusedError):
    """The target cannot take this run's predictions."""


class ModelError(RefusedError):
    """The model cannot be scored, or may not be."""


class EnvironmentError_(RefusedError):
    """The machine lacks what the run needs, such as Java, Delta's jars or a GPU."""


class BudgetExceeded(SparkcoilError):
    """More rows failed than the error budget allows, or a gate does not hold; what was not published is told by `report`."""

    exit_code = 4

    def __init__(self, message: str, report: Any) -> None:
        self.report = report
        super().__init__(message)


class TargetBusy(SparkcoilError):
    """Another run holds the target."""

    exit_code = 5


class RowError(Exception):
    """One row could not be scored: the stage that failed, a stable code, and a message that never quotes the row."""

    def __init__(self, stage: Stage, code: str, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.stage = stage
        self.code = code
        self.message = message
        self.retryable = retryable

    def __reduce__(self) -> Any:
        """Return how it is made again in another process."""
        return partial(type(self), retryable=self.retryable), (self.stage, self.code, self.message)


def first_line(error: BaseException) -> str:
    """Return the first line of what an exception says, without the plan or the stack that follows it."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` for the nearest known name, or the known names if none is near."""
    candidates = sorted(known)
    same = [each for each in candidates if each.lower() == name.lower()]
    if same:
        return f"; did you mean {same[0]!r}?"
    near = difflib.get_close_matches(name, candidates, n=1, cutoff=0.7)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; known: {', '.join(candidates)}" if candidates else ""
