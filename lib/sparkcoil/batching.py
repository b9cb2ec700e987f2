"""From a window of rows to the model's batches: sorted by length, cut by a budget, halved where something fails.

Knows nothing of Spark, MLflow or torch: a forward pass is any function from a list to a list of equal length.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any, Literal, TypeVar

from sparkcoil.errors import RowError, SparkcoilError

T = TypeVar("T")
Forward = Callable[[Sequence[T]], Sequence[Any]]
Batching = Literal["padded", "exact lengths", "one by one"]
"""How rows may share a batch: padded to the longest, only those of equal lengths, or none, where padding or a neighbour changes results."""


@dataclass(frozen=True)
class Budget:
    """What one batch may hold: `size` counts padded tokens (or samples), `rows` counts rows, `padding` what of the size may be padding.

    A batch with more padding than a forward pass costs by itself is better cut in two; without `padding` that is not considered.
    """

    size: int
    rows: int
    padding: int | None = None

    def halved(self, rows: int, longest: int) -> "Budget":
        """Return the budget that holds half of a batch that was too much: fewer rows if their number was the bound, else a smaller size."""
        if rows == self.rows:
            return replace(self, rows=max(1, rows // 2))
        return replace(self, size=max(1, rows * longest // 2))


@dataclass
class Tally:
    """What the forward passes of a window came to; `computed` counts padding too, `useful` does not."""

    forwards: int = 0
    computed: int = 0
    useful: int = 0
    out_of_memory: int = 0


@dataclass
class Outcome:
    """The results of a window in its own order, the budget that held, and the tally."""

    results: list[Any]
    budget: Budget
    tally: Tally = field(default_factory=Tally)


def longest_first(lengths: Sequence[int]) -> list[int]:
    """Return positions sorted by length, longest first, so that running out of memory shows in the first batch."""
    return sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))


def take(order: Sequence[int], lengths: Sequence[int], budget: Budget, batching: Batching = "padded") -> int:
    """Return how many positions at the start of `order` make one batch; at least one, however long it is.

    Every row is padded to the first one's length, but where only rows of exact lengths may share a batch: it ends where the length changes.
    """
    if batching == "one by one":
        return 1
    longest = lengths[order[0]]
    fitting = max(1, min(budget.rows, budget.size // max(1, longest), len(order)))
    allowed = 0 if batching == "exact lengths" else budget.padding
    if allowed is None:
        return fitting
    padding = accumulate(longest - lengths[order[n]] for n in range(1, fitting))
    return next((n for n, each in enumerate(padding, start=1) if each > allowed), fitting)


def run(
    items: Sequence[T],
    lengths: Sequence[int],
    forward: Forward[T],
    budget: Budget,
    batching: Batching = "padded",
    *,
    expect: Callable[[Sequence[T]], None] | None = None,
) -> Outcome:
    """Return a result or a RowError for every item, in the items' order, whatever the batches were.

    A batch that fails is halved until what fails stands alone. Where memory runs out, the budget is halved for good.
    `expect` is told of a batch, and of the one that will come after it, before the batch's turn.
    """
    outcome = Outcome([None] * len(items), budget)
    order = longest_first(lengths)
    while order:
        count = take(order, lengths, outcome.budget, batching)
        batch, rest = order[:count], order[count:]
        if expect is not None:
            following = take(rest, lengths, outcome.budget, batching) if rest else 0
            expect([items[i] for i in order[: count + following]])
        try:
            results = passed(items, lengths, batch, forward, outcome.tally)
        except Exception as error:
            if is_fatal(error):
                raise
            if is_out_of_memory(error) and count > 1:
                outcome.tally.out_of_memory += 1
                outcome.budget = outcome.budget.halved(count, max(1, lengths[batch[0]]))
                continue
            results = list(isolated(items, lengths, batch, forward, outcome.tally, error))
        for position, result in zip(batch, results, strict=True):
            outcome.results[position] = result
        order = rest
    return outcome


def passed(items: Sequence[T], lengths: Sequence[int], batch: Sequence[int], forward: Forward[T], tally: Tally) -> list[Any]:
    """Return the results of one forward pass and count it; raises RuntimeError when it gives another number of results."""
    tally.forwards += 1
    results = list(forward([items[i] for i in batch]))
    if len(results) != len(batch):
        raise RuntimeError(f"the model gave {len(results)} results for {len(batch)} rows")
    tally.computed += len(batch) * max(lengths[i] for i in batch)
    tally.useful += sum(lengths[i] for i in batch)
    return results


def isolated(
    items: Sequence[T], lengths: Sequence[int], batch: Sequence[int], forward: Forward[T], tally: Tally, error: Exception
) -> Iterator[Any]:
    """Yield a result or a RowError for each item of a batch that failed, trying both halves, then their halves."""
    if len(batch) == 1:
        yield row_error(error)
        return
    middle = len(batch) // 2
    for half in (batch[:middle], batch[middle:]):
        try:
            yield from passed(items, lengths, half, forward, tally)
        except Exception as cause:
            if is_fatal(cause):
                raise
            yield from isolated(items, lengths, half, forward, tally, cause)


def row_error(error: Exception) -> RowError:
    """Return the failure of a row that fails by itself; the exception's text stays out, since it may quote the row."""
    if isinstance(error, RowError):
        return error
    if is_out_of_memory(error):
        return RowError("model", "oom", "the row alone does not fit in memory", retryable=True)
    return RowError("model", "model_error", f"the model raised {type(error).__name__}", retryable=True)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether memory ran out, on the host or on a device."""
    text = str(error)
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        # The last is how CUDA's libraries put it: CUBLAS_STATUS_ALLOC_FAILED, CUDNN_STATUS_ALLOC_FAILED.
        or (isinstance(error, RuntimeError) and any(each in text for each in ("out of memory", "can't allocate memory", "_ALLOC_FAILED")))
    )


def is_fatal(error: BaseException) -> bool:
    """Tell whether no row may be blamed: the set-up is bad, or the device is lost, so that every later call fails too."""
    if is_out_of_memory(error):
        return False
    if isinstance(error, SparkcoilError):
        return True
    # torch raises no other kind there, and any other may quote a row that speaks of CUDA errors.
    told = isinstance(error, RuntimeError) and ("CUDA error" in str(error) or "device-side assert" in str(error))
    return told or type(error).__name__ == "AcceleratorError"


def spread(items: Sequence[Any], function: Callable[[Sequence[Any]], Sequence[Any]]) -> list[Any]:
    """Return the function's results for the items that have not failed, put back among the errors of those that have."""
    good = [item for item in items if not isinstance(item, RowError)]
    results = iter(function(good) if good else [])
    return [item if isinstance(item, RowError) else next(results) for item in items]
