"""Windows of rows scored by a toy task on a toy engine: one record for every row, whatever happens to its neighbours."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparkcoil.batching import Batching, Budget
from sparkcoil.engines import Parts, Prepared
from sparkcoil.errors import RowError
from sparkcoil.scoring import Record, Scoring, Stats, identity
from sparkcoil.tasks import Input, Options, Prediction, Row, Task, Warned, decode_text

# A row whose text names a stage fails there: with a RowError of its own, or, ending in `!`, with any other exception.
SECRET = "hunter2"


def trip(text: str, stage: str) -> None:
    if text == stage:
        raise RowError("output", stage, "as it was told")
    if text == f"{stage}!":
        raise ValueError(f"{SECRET}: {text}")


def read(row: Row, options: Options) -> tuple[str, tuple[str, ...]]:
    text = decode_text(row["text"], "text")
    trip(text, "read")
    return text, () if text.strip() else ("blank_input",)


def write(outputs: Sequence[str], facts: Mapping[str, Any], options: Options) -> list[Prediction | Warned]:
    for each in outputs:
        trip(each.lower(), "write")
    return [written(each + facts["mark"]) for each in outputs]


def written(text: str) -> Prediction | Warned:
    return Warned({"text": text}, ("loud",)) if text.startswith("LOUD") else {"text": text}


SHOUT = Task(
    name="shout",
    inputs=(Input("text", ("string",)),),
    prediction="text STRING",
    options=Options,
    engine="upper",
    heads=(),
    read=read,
    write=write,
)


@dataclass
class Upper:
    """Puts texts in capitals, cut at eight characters; remembers its batches."""

    facts: Mapping[str, Any] = field(default_factory=lambda: {"mark": "!"})
    unit: str = "characters"
    per_unit: float = 2.0
    batching: Batching = "padded"
    budget: Budget = Budget(32, 4)
    batches: list[list[str]] = field(default_factory=list)

    def prepare(self, items: Sequence[str]) -> list[Prepared | RowError]:
        for each in items:
            trip(each, "prepare")
        return [Prepared(each[:8], min(8, len(each)), ("truncated",) if len(each) > 8 else ()) for each in items]

    def forward(self, batch: Sequence[Prepared]) -> Sequence[Any]:
        texts = [each.features for each in batch]
        self.batches.append(texts)
        for each in texts:
            trip(each, "forward")
        if "lost" in texts:
            raise RuntimeError("CUDA error: device-side assert triggered")
        if "big" in texts and len(texts) > 1:
            raise MemoryError
        return [RowError("output", "non_finite", "the model gave NaN") if each == "nan" else each.upper() for each in texts]


def scoring() -> Scoring:
    engine = Upper()
    return Scoring(SHOUT, engine, Options(), engine.budget)


def rows(*texts: str | None) -> list[Row]:
    return [{"text": None if each is None else each.encode()} for each in texts]


def score(*texts: str | None) -> tuple[list[Record], Stats]:
    return scoring().score(rows(*texts))


def told(records: Sequence[Record]) -> list[Any]:
    """What became of each row: the text that was predicted, or the stage and code of its error."""
    return [(each.error.stage, each.error.code) if each.error else (each.prediction or {})["text"] for each in records]


def expected(text: str | None) -> Any:
    return ("input", "null_input") if text is None else text[:8].upper() + "!"


@settings(max_examples=60)
@given(st.lists(st.none() | st.text("abc ", max_size=12), max_size=30), st.integers(1, 9))
def test_every_row_has_one_record_in_the_rows_order_whatever_the_windows(texts: list[str | None], window: int) -> None:
    one = scoring()
    records = [record for i in range(0, len(texts), window) for record in one.score(rows(*texts[i : i + window]))[0]]
    assert told(records) == [expected(each) for each in texts]


def test_a_record_has_a_prediction_or_an_error_and_never_both() -> None:
    records, _ = score("a", None, "read!", "prepare", "forward!", "write", "nan", "")
    assert all((each.prediction is None) != (each.error is None) for each in records)


def test_no_rows_are_no_records() -> None:
    one = scoring()
    one.score(rows("a"))
    records, stats = one.score([])
    assert (records, stats.rows, stats.computed_rows, stats.forwards) == ([], 0, 0, 0)
    assert one.score(rows("a"))[1].computed_rows == 0


def test_equal_rows_are_computed_once_in_a_window() -> None:
    one = scoring()
    records, stats = one.score(rows("a", "a", "b", "a", None, None))
    assert told(records) == ["A!", "A!", "B!", "A!", ("input", "null_input"), ("input", "null_input")]
    assert (stats.rows, stats.computed_rows, one.engine.batches) == (6, 3, [["a", "b"]])


def test_equal_rows_at_the_edge_of_two_windows_are_computed_once() -> None:
    one = scoring()
    one.score(rows("a", "b"))
    records, stats = one.score(rows("b", "b", "c"))
    assert (told(records), stats.rows, stats.computed_rows) == (["B!", "B!", "C!"], 3, 1)
    assert one.engine.batches == [["a", "b"], ["c"]]


def test_a_row_stays_known_over_windows_that_hold_nothing_else() -> None:
    one = scoring()
    for _ in range(3):
        records, _ = one.score(rows("a", "a"))
        assert told(records) == ["A!", "A!"]
    assert one.engine.batches == [["a"]]


def test_a_failure_is_known_at_the_edge_too() -> None:
    one = scoring()
    one.score(rows("forward"))
    records, stats = one.score(rows("forward", "a"))
    assert (told(records), stats.computed_rows) == ([("output", "forward"), "A!"], 1)


def test_only_the_last_row_is_remembered() -> None:
    one = scoring()
    one.score(rows("a", "b"))
    assert one.score(rows("a"))[1].computed_rows == 1


@pytest.mark.parametrize(
    ("text", "stage", "code", "message"),
    [
        ("read!", "input", "unreadable", "reading the row raised ValueError"),
        ("prepare!", "input", "unpreparable", "preparing the row raised ValueError"),
        ("forward!", "model", "model_error", "the model raised ValueError"),
        ("write!", "output", "unwritable", "writing the prediction raised ValueError"),
        ("read", "output", "read", "as it was told"),
        ("prepare", "output", "prepare", "as it was told"),
        ("forward", "output", "forward", "as it was told"),
        ("write", "output", "write", "as it was told"),
        ("nan", "output", "non_finite", "the model gave NaN"),
    ],
)
def test_an_error_ends_in_its_rows_record_and_leaves_neighbours_alone(text: str, stage: str, code: str, message: str) -> None:
    records, stats = score("a", "b", text, "c", "d")
    assert told(records) == ["A!", "B!", (stage, code), "C!", "D!"]
    assert str(records[2].error) == message
    assert (records[2].prediction, records[2].warnings, stats.rows) == (None, (), 5)


@settings(max_examples=60)
@given(st.lists(st.sampled_from(["a", "b", None, "read", "read!", "prepare", "prepare!", "forward", "forward!", "write", "write!", "nan"])))
def test_any_mixture_of_errors_is_told_row_by_row(texts: list[str | None]) -> None:
    alone = {text: told(score(text)[0])[0] for text in set(texts)}
    records, stats = score(*texts)
    assert told(records) == [alone[text] for text in texts]
    assert stats.useful <= stats.computed


def test_no_record_holds_what_an_exception_quoted() -> None:
    records, _ = score("read!", "prepare!", "forward!", "write!")
    assert SECRET not in "".join(f"{each.error} {each.error.args} {each.error!r}" for each in records)


def test_a_lost_device_is_raised() -> None:
    with pytest.raises(RuntimeError, match="device-side assert"):
        score("a", "lost")


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_writer_that_gives_another_number_of_predictions_is_not_matched_to_rows(count: int) -> None:
    def write(outputs: Sequence[str], facts: Mapping[str, Any], options: Options) -> list[Prediction | RowError]:
        return [{"text": "stray"}] * count if len(outputs) == 2 else [{"text": each} for each in outputs]

    engine = Upper()
    miscounting = Task("shout", SHOUT.inputs, SHOUT.prediction, Options, "upper", (), read, write)
    records, _ = Scoring(miscounting, engine, Options(), engine.budget).score(rows("a", "b"))
    assert told(records) == ["A", "B"]


def test_warnings_of_the_result_are_kept_behind_those_of_the_input() -> None:
    records, _ = score("loud", "loud and long")
    assert [each.warnings for each in records] == [("loud",), ("truncated", "loud")]
    assert told(records) == ["LOUD!", "LOUD AND!"]


def test_warnings_of_reading_and_of_preparing_are_both_kept() -> None:
    records, _ = score("a", " ", "a long text", " " * 9)
    assert [each.warnings for each in records] == [(), ("blank_input",), ("truncated",), ("blank_input", "truncated")]


def test_stats_add_up() -> None:
    one = scoring()
    records, stats = one.score(rows("aaaa", "aaaa", "bb", None, "read", "c" * 20))
    assert len(records) == stats.rows == 6
    assert (stats.computed_rows, stats.forwards, stats.out_of_memory) == (5, len(one.engine.batches), 0)
    assert (stats.useful, stats.computed) == (4 + 2 + 8, 3 * 8)
    assert stats.units == stats.useful / one.engine.per_unit
    assert list(stats.seconds) == ["read", "prepare", "forward", "write"]
    assert min(stats.seconds.values()) >= 0


@given(st.lists(st.text("abc", min_size=1, max_size=12), max_size=30))
@settings(max_examples=60)
def test_useful_is_within_computed_and_forwards_are_counted(texts: list[str]) -> None:
    one = scoring()
    _, stats = one.score(rows(*texts))
    assert stats.useful == sum(min(8, len(each)) for each in set(texts)) <= stats.computed
    assert (stats.forwards, stats.computed_rows) == (len(one.engine.batches), len(set(texts)))


def test_the_budget_that_held_is_kept_from_window_to_window() -> None:
    one = scoring()
    _, stats = one.score(rows("big", "a", "b", "c"))
    assert (stats.out_of_memory, one.budget) == (2, Budget(32, 1))
    one.score(rows("d", "e"))
    assert one.engine.batches[-2:] == [["d"], ["e"]]


def test_rows_are_equal_only_where_every_input_is() -> None:
    assert identity({"text": b"a", "pair": b"b"}) == identity({"pair": b"b", "text": b"a"})
    assert identity({"text": b"a", "pair": b"b"}) != identity({"text": b"b", "pair": b"a"})
    assert identity({"text": b""}) != identity({"text": None})
    assert identity({"text": ("a", ["b"])}) != identity({"text": ("a", ["c"])})


def test_long_arrays_that_differ_in_the_middle_are_different_rows() -> None:
    silence, click = np.zeros(5000), np.zeros(5000)
    click[2500] = 1
    assert identity({"audio": silence}) == identity({"audio": silence.copy()})
    assert identity({"audio": silence}) != identity({"audio": click})


@dataclass
class Worded(Upper):
    """Puts texts in capitals word by word, each word an input of its own."""

    def prepare(self, items: Sequence[str]) -> list[Prepared | Parts | RowError]:
        return [Parts(tuple(Prepared(word, len(word)) for word in each.split()), ("worded",)) for each in items]


def write_joined(outputs: Sequence[list[str]], facts: Mapping[str, Any], options: Options) -> list[Prediction | RowError]:
    return [{"text": " ".join(each)} for each in outputs]


def worded() -> Scoring:
    engine = Worded()
    return Scoring(replace(SHOUT, write=write_joined), engine, Options(), engine.budget)


def test_the_parts_of_a_row_come_back_together_in_their_order() -> None:
    records, _ = worded().score(rows("a bbbb ccc", "dd", "eeee f"))
    assert told(records) == ["A BBBB CCC", "DD", "EEEE F"]
    assert {each.warnings for each in records} == {("worded",)}


def test_parts_of_all_rows_share_batches_sorted_by_length() -> None:
    one = worded()
    one.score(rows("a bbbb ccc", "dd", "eeee f"))
    assert one.engine.batches == [["bbbb", "eeee", "ccc", "dd"], ["a", "f"]]


def test_a_part_that_fails_fails_its_row_alone() -> None:
    records, _ = worded().score(rows("a forward b", "c d", "nan", "e forward! nan"))
    assert told(records) == [("output", "forward"), "C D", ("output", "non_finite"), ("model", "model_error")]
    assert records[0].warnings == ()


def test_stats_count_parts_as_inputs_and_rows_as_rows() -> None:
    one = worded()
    _, stats = one.score(rows("a bbbb ccc", "a bbbb ccc", "dd", None))
    assert (stats.rows, stats.computed_rows, stats.forwards) == (4, 3, len(one.engine.batches))
    assert (stats.useful, stats.computed, stats.units) == (10, 4 * 4, 5.0)


def test_a_row_without_parts_is_handed_an_empty_list() -> None:
    assert told(worded().score(rows("", "a"))[0]) == ["", "A"]


@settings(max_examples=60)
@given(st.lists(st.lists(st.sampled_from(["a", "bb", "forward", "nan"]), max_size=5), max_size=12))
def test_rows_of_parts_do_not_depend_on_their_neighbours(texts: list[list[str]]) -> None:
    together = [" ".join(each) for each in texts]
    assert told(worded().score(rows(*together))[0]) == [told(worded().score(rows(each))[0])[0] for each in together]


def test_a_missing_number_is_equal_to_itself() -> None:
    assert identity({"text": b"a", "max_tokens": float("nan")}) == identity({"text": b"a", "max_tokens": float("nan")})
