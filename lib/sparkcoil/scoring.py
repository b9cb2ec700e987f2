"""Rows in, records out: one record for every row, with a prediction or an error. Knows nothing of Spark or MLflow."""

import math
import pickle
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from sparkcoil import batching
from sparkcoil.batching import Budget
from sparkcoil.engines import Engine, Expecting, Parts, Prepared
from sparkcoil.errors import RowError, Stage
from sparkcoil.tasks import Options, Prediction, Row, Task, Warned, Written

PLAIN_CELLS = (str, bytes, int, float, type(None))


@dataclass(frozen=True)
class Record:
    """What became of one row: a prediction with its warnings, or an error."""

    prediction: Prediction | None
    error: RowError | None
    warnings: tuple[str, ...] = ()


@dataclass
class Stats:
    """What a window cost: forward passes, computed and useful lengths, units (tokens, seconds of audio), seconds by stage.

    `lengths` counts inputs by the power of two that their units are below: 3 stands for 4 to 8.
    """

    rows: int = 0
    computed_rows: int = 0
    forwards: int = 0
    computed: int = 0
    useful: int = 0
    units: float = 0.0
    out_of_memory: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    lengths: Counter[int] = field(default_factory=Counter)

    def add(self, other: "Stats") -> None:
        """Add what some of the window's rows cost, but for how many they were."""
        for name in ("forwards", "computed", "useful", "units", "out_of_memory"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for stage, seconds in other.seconds.items():
            self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds
        self.lengths.update(other.lengths)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time of the block to a stage's seconds."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start


@dataclass
class Scoring:
    """A task on a loaded model, with what is remembered from window to window: the budget that held and the last record.

    Rows come sorted by input hash, so equal rows are neighbours; only those across a window's edge need remembering.
    `model` is what predictions call the model, where that is not the engine's to know; each batch is computed within a `watch`,
    and `computed` is told after it what share of the window is.
    """

    task: Task
    engine: Engine
    options: Options
    budget: Budget
    last: tuple[Hashable, Record] | None = None
    model: str | None = None
    watch: AbstractContextManager[None] = field(default_factory=nullcontext)
    computed: Callable[[float], None] = field(default=lambda share: None)

    def score(self, rows: Sequence[Row]) -> tuple[list[Record], Stats]:
        """Return one record for each row, in the rows' order, and what the window cost; equal rows are computed once."""
        stats = Stats(rows=len(rows))
        keys = [identity(row) for row in rows]
        known: dict[Hashable, Record] = {self.last[0]: self.last[1]} if self.last else {}
        todo = {key: row for key, row in zip(keys, rows, strict=True) if key not in known}
        stats.computed_rows = len(todo)
        known.update(zip(todo, self._score_distinct(list(todo.values()), stats), strict=True))
        if rows:
            self.last = (keys[-1], known[keys[-1]])
        return [known[key] for key in keys], stats

    def _score_distinct(self, rows: Sequence[Row], stats: Stats) -> list[Record]:
        with stats.timed("read"):
            read = [attempted(self.task.read, row, self.options) for row in rows]
        with stats.timed("prepare"):
            prepared = self._prepared([item if isinstance(item, RowError) else item[0] for item in read])
        with stats.timed("forward"):
            outputs = self._forwarded(prepared, stats)
        with stats.timed("write"):
            written = self._written(outputs)
        return [record(*each) for each in zip(read, prepared, written, strict=True)]

    def _prepared(self, items: Sequence[Any]) -> list[Prepared | Parts | RowError]:
        return batching.spread(items, guarded(self.engine.prepare, "input", "unpreparable", "preparing the row"))

    def _forwarded(self, prepared: Sequence[Prepared | Parts | RowError], stats: Stats) -> list[Any]:
        def forward(rows: Sequence[Prepared | Parts]) -> list[Any]:
            inputs = [part for row in rows for part in (row.parts if isinstance(row, Parts) else (row,))]
            lengths = [each.length for each in inputs]
            ahead = self.engine if isinstance(self.engine, Expecting) else None
            expect = ahead.expect if ahead else None
            outcome = batching.run(inputs, lengths, self._watched(len(inputs)), self.budget, self.engine.batching, expect=expect)
            self.budget = outcome.budget
            stats.seconds.update(ahead.spent() if ahead else {})
            stats.forwards += outcome.tally.forwards
            stats.computed += outcome.tally.computed
            stats.useful += outcome.tally.useful
            stats.units += sum(lengths) / self.engine.per_unit
            stats.lengths.update(math.frexp(length / self.engine.per_unit)[1] for length in lengths)
            stats.out_of_memory += outcome.tally.out_of_memory
            results = iter(outcome.results)
            return [gathered(row, results) for row in rows]

        return batching.spread(prepared, forward)

    def _watched(self, inputs: int) -> Callable[[Sequence[Prepared]], Sequence[Any]]:
        done = 0

        def forward(batch: Sequence[Prepared]) -> Sequence[Any]:
            nonlocal done
            with self.watch:
                results = self.engine.forward(batch)
            done += len(batch)
            self.computed(min(1.0, done / inputs))
            return results

        return forward

    def _written(self, outputs: Sequence[Any]) -> list[Written]:
        def write(results: Sequence[Any]) -> Sequence[Written]:
            facts = {**self.engine.facts, **({"model": self.model} if self.model else {})}
            return self.task.write(results, facts, self.options)

        return batching.spread(outputs, guarded(write, "output", "unwritable", "writing the prediction"))


def identity(row: Row) -> Hashable:
    """Return what is equal for rows with equal inputs."""
    # Not repr, which leaves out the middle of a long array; not every Hashable, since a tuple may hold a list.
    return tuple((name, plain_cell(cell)) for name, cell in sorted(row.items()))


def plain_cell(cell: Any) -> Hashable:
    """Return a cell as a value that equals itself; the NaN that stands for a missing number does not."""
    if isinstance(cell, float) and math.isnan(cell):
        return "NaN", None
    if isinstance(cell, dict):  # a recording in a struct is many bytes, which a pickle would double
        return tuple((name, plain_cell(each)) for name, each in cell.items())
    return cell if isinstance(cell, PLAIN_CELLS) else pickle.dumps(cell)


def attempted(function: Callable[[Row, Options], Any], row: Row, options: Options) -> Any:
    """Return the function's result for a row, or the RowError that it raised; any other exception is the row's too."""
    try:
        return function(row, options)
    except Exception as error:
        return failure(error, "input", "unreadable", "reading the row")


def guarded(
    function: Callable[[Sequence[Any]], Sequence[Any]], stage: Stage, code: str, doing: str
) -> Callable[[Sequence[Any]], list[Any]]:
    """Return the function made to give a RowError for each item that it raises on; halving finds those."""

    def halving(items: Sequence[Any]) -> list[Any]:
        try:
            results = list(function(items))
            if len(results) != len(items):
                raise RuntimeError(f"{len(results)} results for {len(items)} rows")
            return results
        except Exception as error:
            if batching.is_fatal(error):
                raise
            if len(items) == 1:
                return [failure(error, stage, code, doing)]
        middle = len(items) // 2
        return [*halving(items[:middle]), *halving(items[middle:])]

    return halving


def failure(error: Exception, stage: Stage, code: str, doing: str) -> RowError:
    """Return a row's failure at a stage; the exception's text stays out, since it may quote the row."""
    if isinstance(error, RowError):
        return error
    return RowError(stage, code, f"{doing} raised {type(error).__name__}", retryable=batching.is_out_of_memory(error))


def gathered(row: Prepared | Parts, results: Iterator[Any]) -> Any:
    """Return a row's own of the results: the next one, or for parts a list of the next ones, or the error of the first that failed."""
    if isinstance(row, Prepared):
        return next(results)
    mine = list(islice(results, len(row.parts)))
    return next((each for each in mine if isinstance(each, RowError)), mine)


def record(read: Any, prepared: Any, written: Written) -> Record:
    """Return a row's record from what each stage made of it; an error was handed on by every later stage."""
    if isinstance(written, RowError):
        return Record(None, written)
    prediction, late = (written.prediction, written.warnings) if isinstance(written, Warned) else (written, ())
    return Record(prediction, None, (*read[1], *prepared.warnings, *late))
