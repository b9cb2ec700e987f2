"""Long texts in overlapping windows: nothing of them is lost, and each of their tokens is one window's own."""

from collections.abc import Sequence
from typing import Any

import pytest
import tiny_encoders as tiny

from sparkcoil.engines import Parts
from sparkcoil.errors import ModelError, RowError
from sparkcoil.reading import Reader, with_stride
from sparkcoil.tasks.text_classification import TextClassificationOptions

LONG = " ".join(tiny.TEXTS)
TOKENIZERS = pytest.mark.parametrize("tokenizer", [make() for make in tiny.TOKENIZERS.values()], ids=list(tiny.TOKENIZERS))


def reader(tokenizer: Any, stride: int | None = None, **given: Any) -> Reader:
    options = TextClassificationOptions(truncation="stride", stride=stride)
    return with_stride(Reader(tokenizer=tokenizer, options=options, **{"max_length": 24, **given}))


def own_tokens(parts: Any) -> list[int]:
    """Return the tokens that are the windows' own, one window after the other."""
    assert isinstance(parts, Parts) and len(parts.parts) > 2
    return [token for part in parts.parts for token in part.features.inputs["input_ids"][part.features.begin : part.features.end]]


@TOKENIZERS
@pytest.mark.parametrize("stride", [0, 1, 7, 21, None])
def test_every_token_of_a_text_is_one_window_s_own(tokenizer: Any, stride: int | None) -> None:
    (parts,) = reader(tokenizer, stride).read([LONG])
    assert own_tokens(parts) == tokenizer(LONG)["input_ids"]
    assert all(each.length <= 24 for each in parts.parts)
    assert parts.warnings == ()


@TOKENIZERS
@pytest.mark.parametrize("stride", [0, 3])
def test_neighbours_share_as_many_tokens_as_the_option_says(tokenizer: Any, stride: int) -> None:
    (parts,) = reader(tokenizer, stride).read([LONG])
    special = tokenizer.num_special_tokens_to_add()
    shown = sum(each.length - special for each in parts.parts)
    assert shown == len(tokenizer(LONG, add_special_tokens=False)["input_ids"]) + stride * (len(parts.parts) - 1)


@TOKENIZERS
def test_a_shared_token_belongs_to_the_window_in_which_it_is_further_from_the_edge(tokenizer: Any) -> None:
    (parts,) = reader(tokenizer, 8).read([LONG])
    leading = tokenizer("a")["input_ids"].index(tokenizer("a", add_special_tokens=False)["input_ids"][0])
    trailing = tokenizer.num_special_tokens_to_add() - leading
    inner = [part.features for part in parts.parts[1:-1]]
    assert {(each.begin - leading, each.length - trailing - each.end) for each in inner} == {(4, 4)}


@TOKENIZERS
@pytest.mark.parametrize("stride", [0, 5])
def test_the_second_text_of_a_pair_is_read_in_windows_that_each_hold_the_first(tokenizer: Any, stride: int) -> None:
    (parts,) = reader(tokenizer, stride).read([("the cat", LONG)])
    assert own_tokens(parts) == tokenizer(LONG, add_special_tokens=False)["input_ids"]
    beside = len(tokenizer("the cat", "")["input_ids"]) - len(tokenizer("")["input_ids"][1:])
    first = tokenizer("the cat", "")["input_ids"][:beside]
    assert {tuple(each.features.inputs["input_ids"][:beside]) for each in parts.parts} == {tuple(first)}


@TOKENIZERS
def test_what_the_model_reads_whole_is_no_window(tokenizer: Any) -> None:
    short, pair = reader(tokenizer).read(["the cat"])[0], reader(tokenizer).read([("the", "cat")])[0]
    assert short.features["input_ids"] == tokenizer("the cat")["input_ids"]
    assert pair.features["input_ids"] == tokenizer("the", "cat")["input_ids"]


def codes(read: Sequence[Any]) -> list[str | None]:
    return [each.code if isinstance(each, RowError) else None for each in read]


@TOKENIZERS
def test_a_first_text_that_leaves_no_room_fails_its_pair_alone_unless_both_fit(tokenizer: Any) -> None:
    long = "cat " * 30
    assert codes(reader(tokenizer, 5).read([(long, "a"), ("cat", LONG), (long, LONG), ("cat " * 15, "a")])) == [
        "too_long",
        None,
        "too_long",
        None,
    ]


def test_windows_that_would_not_move_on_are_refused() -> None:
    with pytest.raises(ModelError, match="stride: expected less than 22, found 22"):
        reader(tiny.bert_tokenizer(), 22)


def test_a_stride_is_nothing_to_a_text_that_is_cut() -> None:
    options = TextClassificationOptions(stride=100)
    (cut,) = with_stride(Reader(tokenizer=tiny.bert_tokenizer(), options=options, max_length=24)).read([LONG])
    assert (cut.length, cut.warnings) == (24, ("truncated",))
