"""Batches: every item has a result in its own place, whatever the batches were and whatever failed in them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparkcoil.batching import Batching, Budget, Outcome, is_fatal, is_out_of_memory, longest_first, run, take
from sparkcoil.errors import RowError

AMPLE = Budget(10**9, 10**9)
BUDGETS = st.builds(Budget, st.integers(1, 60), st.integers(1, 12), st.none() | st.integers(0, 30))
BATCHINGS = st.sampled_from(get_args(Batching))
LENGTHS = st.lists(st.integers(0, 20), max_size=40)


class OutOfMemoryError(RuntimeError):
    """Named as torch names its own."""


class AcceleratorError(RuntimeError):
    """Named as torch names its own."""


@dataclass
class Model:
    """Doubles numbers, remembers its batches, and raises what `fails` returns for a batch."""

    fails: Callable[[Sequence[int], int], Exception | None] = lambda batch, call: None
    batches: list[list[int]] = field(default_factory=list)

    def __call__(self, batch: Sequence[int]) -> list[int]:
        self.batches.append(list(batch))
        error = self.fails(batch, len(self.batches))
        if error:
            raise error
        return [2 * each for each in batch]


def poisoned(*poison: int) -> Model:
    return Model(lambda batch, call: ValueError("a value error") if set(batch) & set(poison) else None)


def holding(most: int, error: Callable[[str], Exception] = OutOfMemoryError) -> Model:
    """A model whose items are their own lengths, with memory for so much padded length at once."""
    return Model(lambda batch, call: error("CUDA out of memory.") if len(batch) * max(batch) > most else None)


def failures(outcome: Outcome) -> dict[int, RowError]:
    return {i: each for i, each in enumerate(outcome.results) if isinstance(each, RowError)}


@given(LENGTHS, BUDGETS, BATCHINGS)
def test_every_item_has_its_result_in_its_own_place(lengths: list[int], budget: Budget, batching: Batching) -> None:
    items = list(range(len(lengths)))
    assert run(items, lengths, Model(), budget, batching).results == [2 * each for each in items]


@given(LENGTHS.filter(len), BUDGETS, BATCHINGS, st.data())
def test_only_the_poison_fails_wherever_it_lies(lengths: list[int], budget: Budget, batching: Batching, data: st.DataObject) -> None:
    items = list(range(len(lengths)))
    poison = data.draw(st.sets(st.sampled_from(items)))
    outcome = run(items, lengths, poisoned(*poison), budget, batching)
    assert set(failures(outcome)) == poison
    assert all(outcome.results[i] == 2 * i for i in items if i not in poison)


@given(st.lists(st.integers(1, 20), max_size=40), BUDGETS, st.integers(1, 60))
def test_every_row_that_fits_by_itself_is_scored_however_little_memory_there_is(lengths: list[int], budget: Budget, most: int) -> None:
    outcome = run(lengths, lengths, holding(most), budget)
    assert [isinstance(each, RowError) for each in outcome.results] == [length > most for length in lengths]
    assert outcome.tally.useful <= outcome.tally.computed


@given(LENGTHS)
def test_the_longest_come_first_and_equal_ones_in_their_order(lengths: list[int]) -> None:
    order = longest_first(lengths)
    assert sorted(order) == list(range(len(lengths)))
    assert [(-lengths[i], i) for i in order] == sorted((-length, i) for i, length in enumerate(lengths))


def test_the_longest_row_is_in_the_first_batch() -> None:
    model = Model()
    run([1, 2, 3], [5, 50, 7], model, Budget(60, 8))
    assert model.batches == [[2], [3, 1]]


@given(LENGTHS.filter(len), BUDGETS, BATCHINGS)
def test_a_batch_is_within_the_budget_unless_it_is_one_row(lengths: list[int], budget: Budget, batching: Batching) -> None:
    model = Model()
    run(list(range(len(lengths))), lengths, model, budget, batching)
    for batch in model.batches:
        padded = len(batch) * max(lengths[i] for i in batch)
        assert len(batch) == 1 or (padded <= budget.size and len(batch) <= budget.rows)


@given(LENGTHS.filter(len), BUDGETS)
def test_a_batch_leaves_no_room_for_the_next_row(lengths: list[int], budget: Budget) -> None:
    order = longest_first(lengths)
    count = take(order, lengths, replace(budget, padding=None))
    assert count == len(order) or count == budget.rows or (count + 1) * max(1, lengths[order[0]]) > budget.size


@given(LENGTHS.filter(len), BUDGETS)
def test_exact_batches_hold_equal_lengths(lengths: list[int], budget: Budget) -> None:
    model = Model()
    run(list(range(len(lengths))), lengths, model, budget, "exact lengths")
    assert all(len({lengths[i] for i in batch}) == 1 for batch in model.batches)


@given(LENGTHS.filter(len), BUDGETS)
def test_where_rows_change_each_other_each_is_a_batch_of_its_own(lengths: list[int], budget: Budget) -> None:
    model = Model()
    run(list(range(len(lengths))), lengths, model, budget, "one by one")
    assert all(len(batch) == 1 for batch in model.batches)


def test_a_batch_ends_where_its_padding_would_cost_more_than_another_batch() -> None:
    lengths = [100, 99, 90, 50, 50]
    assert take(range(5), lengths, Budget(1_000, 10)) == 5
    assert take(range(5), lengths, Budget(1_000, 10, padding=11)) == 3
    assert take(range(5), lengths, Budget(1_000, 10, padding=10)) == 2
    assert take(range(5), lengths, Budget(1_000, 10, padding=0)) == 1


def test_exact_batches_are_as_large_as_the_budget_allows() -> None:
    model = Model()
    run([0, 1, 2, 3, 4], [3, 2, 3, 2, 3], model, Budget(6, 9), "exact lengths")
    assert model.batches == [[0, 2], [4], [1, 3]]


def test_nothing_to_do_runs_no_model() -> None:
    model = Model()
    outcome = run([], [], model, AMPLE)
    assert (outcome.results, model.batches, outcome.tally.forwards) == ([], [], 0)


def test_the_tally_counts_forwards_and_padding() -> None:
    tally = run([1, 2, 3], [4, 2, 3], Model(), Budget(8, 9)).tally
    assert (tally.forwards, tally.computed, tally.useful, tally.out_of_memory) == (2, 2 * 4 + 2, 9, 0)


@pytest.mark.parametrize("poison", [(0,), (1023,), (511,), (0, 1, 2), (0, 512, 1023), tuple(range(7, 1024, 103)), tuple(range(500, 510))])
def test_poison_costs_few_forwards(poison: tuple[int, ...]) -> None:
    items, k = list(range(1024)), len(poison)
    model = poisoned(*poison)
    outcome = run(items, [1] * 1024, model, AMPLE)
    assert set(failures(outcome)) == set(poison)
    assert len(model.batches) == outcome.tally.forwards <= 1 + 2 * k * (math.ceil(math.log2(1024 / k)) + 1)


def test_a_row_error_of_the_model_is_kept_as_it_is() -> None:
    refusal = RowError("model", "refused", "the model will not")
    assert run([1, 2], [1, 1], Model(lambda batch, call: refusal if 2 in batch else None), AMPLE).results == [2, refusal]


def test_a_row_error_among_the_results_is_a_result() -> None:
    refusal = RowError("output", "non_finite", "the model gave NaN or infinity")
    assert run([1, 2], [1, 1], lambda batch: [refusal if each == 2 else each for each in batch], AMPLE).results == [1, refusal]


@pytest.mark.parametrize("call", range(1, 9))
@pytest.mark.parametrize("error", [OutOfMemoryError("CUDA out of memory."), MemoryError(), RuntimeError("can't allocate memory: 1 bytes")])
def test_running_out_of_memory_once_loses_no_row(call: int, error: Exception) -> None:
    model = Model(lambda batch, now: error if now == call else None)
    outcome = run(list(range(64)), [1] * 64, model, Budget(8, 99))
    assert outcome.results == [2 * i for i in range(64)]
    assert (outcome.budget, outcome.tally.out_of_memory) == (Budget(4, 99), 1)
    assert [len(batch) for batch in model.batches] == [8] * call + [4] * (2 * (9 - call))


def test_the_rows_are_halved_where_their_number_was_the_bound() -> None:
    model = holding(4)
    assert run([1] * 16, [1] * 16, model, Budget(999, 16)).budget == Budget(999, 4)
    assert [len(batch) for batch in model.batches] == [16, 8, 4, 4, 4, 4]


def test_two_long_rows_that_do_not_fit_together_leave_short_ones_together() -> None:
    model = holding(600)
    lengths = [512, 512, *[4] * 128]
    outcome = run(lengths, lengths, model, Budget(1024, 256))
    assert [len(batch) for batch in model.batches] == [2, 1, 1, 128]
    assert outcome.budget == Budget(512, 256)


def test_a_row_that_never_fits_is_failed_and_may_be_retried() -> None:
    outcome = run([9, 2, 3], [9, 2, 3], holding(6), AMPLE)
    assert outcome.results[1:] == [4, 6]
    error = outcome.results[0]
    assert (error.stage, error.code, error.retryable) == ("model", "oom", True)
    assert error.message == "the row alone does not fit in memory"


def test_memory_that_runs_out_while_poison_is_sought_loses_no_row() -> None:
    def fails(batch: Sequence[int], call: int) -> Exception | None:
        return OutOfMemoryError() if call == 2 else ValueError() if 5 in batch else None

    assert set(failures(run(list(range(16)), [1] * 16, Model(fails), AMPLE))) == {5}


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: device-side assert triggered"),
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        AcceleratorError("device lost"),
    ],
)
@pytest.mark.parametrize("call", [1, 2, 3])
def test_a_lost_device_is_raised_and_no_row_is_blamed(error: Exception, call: int) -> None:
    def fails(batch: Sequence[int], now: int) -> Exception | None:
        return error if now == call else ValueError() if 5 in batch else None

    with pytest.raises(RuntimeError) as caught:
        run(list(range(16)), [1] * 16, Model(fails), AMPLE)
    assert caught.value is error


def test_an_exception_that_quotes_a_row_about_cuda_is_not_a_lost_device() -> None:
    assert not is_fatal(ValueError("cannot read 'CUDA error: device-side assert triggered'"))
    assert not is_out_of_memory(ValueError("cannot read 'out of memory'"))
    assert is_out_of_memory(AcceleratorError("CUDA error: out of memory"))
    assert not is_fatal(AcceleratorError("CUDA error: out of memory"))


def test_a_library_of_cuda_that_finds_no_memory_has_not_lost_the_device() -> None:
    error = RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")
    assert is_out_of_memory(error) and not is_fatal(error)


@pytest.mark.parametrize("given", [[], [1], [1, 2, 3, 4, 5]])
def test_a_wrong_number_of_results_is_never_matched_to_rows(given: list[int]) -> None:
    outcome = run([1, 2], [1, 1], lambda batch: given if len(batch) == 2 else [7], AMPLE)
    assert outcome.results == [7, 7]
    outcome = run([1, 2], [1, 1], lambda batch: [0, 0, 0], AMPLE)
    assert [each.code for each in outcome.results] == ["model_error"] * 2


@pytest.mark.parametrize("kind", [ValueError, RuntimeError, OutOfMemoryError, KeyError, UnicodeError])
def test_no_message_holds_the_items_text(kind: type[Exception]) -> None:
    def forward(batch: Sequence[str]) -> list[Any]:
        raise kind(f"cannot score {batch}")

    for error in run(["hunter2", "swordfish"], [1, 1], forward, AMPLE).results:
        assert error.message in (f"the model raised {kind.__name__}", "the row alone does not fit in memory")
        assert str(error) == error.message


def test_an_interrupt_is_not_a_rows_failure() -> None:
    def forward(batch: Sequence[int]) -> list[int]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run([1, 2], [1, 1], forward, AMPLE)


@settings(max_examples=40)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=40), BUDGETS, st.integers(1, 60))
def test_the_budget_that_held_never_grows(lengths: list[int], budget: Budget, most: int) -> None:
    outcome = run(lengths, lengths, holding(most), budget)
    assert (outcome.budget.size <= budget.size) and (outcome.budget.rows <= budget.rows)
    assert outcome.tally.out_of_memory <= math.ceil(math.log2(budget.size)) + math.ceil(math.log2(budget.rows))
