"""Texts as an encoder takes them: tokenised a window of rows at once, cut to what the model reads, or in overlapping windows.

Knows nothing of Spark, MLflow or torch.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sparkcoil.engines import Parts, Prepared
from sparkcoil.errors import ModelError, RowError

Text = str | tuple[str, str]
Inputs = Mapping[str, Sequence[Any]]

# What models call their inputs, and tokenizers' encodings call the same.
ENCODED = {"input_ids": "ids", "token_type_ids": "type_ids", "attention_mask": "attention_mask"}
# The share of a window that its neighbour reads again, unless an option says otherwise.
SHARED = 4


@dataclass(frozen=True)
class Window:
    """A part of a text as the model takes it; its own tokens are those from `begin` up to `end`."""

    inputs: Inputs
    begin: int
    end: int

    @property
    def tokens(self) -> int:
        """Return the number of the window's own tokens."""
        return self.end - self.begin

    @property
    def length(self) -> int:
        """Return the number of all its tokens."""
        return len(self.inputs["input_ids"])


@dataclass(kw_only=True)
class Reader:
    """A tokenizer with what is read by it: `max_length` tokens at once, of which neighbouring windows share `stride`."""

    tokenizer: Any
    options: Any
    max_length: int
    stride: int = 0

    @property
    def truncation(self) -> str:
        """Return what becomes of a text longer than the model reads; a task need not have an option for it."""
        return getattr(self.options, "truncation", "truncate_right")

    def read(self, items: Sequence[Text]) -> Sequence[Prepared | Parts | RowError]:
        """Return every text, or pair of texts, as the option says: cut, or in windows of a pair's second text."""
        if self.truncation != "stride":
            return self.cut(items)
        sequence = 1 if items and not isinstance(items[0], str) else 0
        return [each if isinstance(each, RowError) else self._whole_or_parts(each, sequence) for each in self.windows(items, sequence)]

    def _whole_or_parts(self, encodings: Sequence[Any], sequence: int) -> Prepared | Parts | RowError:
        if len(encodings) == 1:
            return self._one(self.inputs(encodings[0]), False)
        return Parts(tuple(Prepared(each, each.length) for each in self.bounded(encodings, sequence)))

    def bounded(self, encodings: Sequence[Any], sequence: int) -> list[Window]:
        """Return the windows of one text as the model takes them."""
        owned = bounds(encodings, self.stride, sequence)
        return [Window(self.inputs(each), *own) for each, own in zip(encodings, owned, strict=True)]

    def windows(self, items: Sequence[Text], sequence: int = 0, max_length: int | None = None) -> list[list[Any] | RowError]:
        """Return the encodings of each text's windows, or the failure of one that may not have several.

        Of a pair, the text at `sequence` is read in windows, and the other stands whole in each of them, or is too long for that.
        """
        limit = max_length or self.max_length
        pairs = bool(items) and not isinstance(items[0], str)
        # The tokenizer would panic, past any `except Exception`, when told to move on by less than nothing.
        roomy = self._roomy([each[1 - sequence] for each in items], limit) if pairs else [True] * len(items)
        which = ("only_first", "only_second")[sequence]
        strided = iter(self.encodings([each for each, fits in zip(items, roomy, strict=True) if fits], which, limit, stride=self.stride))
        found = [next(strided) if fits else self.encodings([each], False)[0] for each, fits in zip(items, roomy, strict=True)]
        return [self._allowed([each, *each.overflowing], limit) for each in found]

    def _roomy(self, others: Sequence[str], limit: int) -> list[bool]:
        room = limit - self.tokenizer.num_special_tokens_to_add(pair=True)
        return [room - len(each) > self.stride for each in self.encodings(others, False, add_special_tokens=False)]

    def _allowed(self, encodings: list[Any], limit: int) -> list[Any] | RowError:
        if len(encodings[0]) > limit:
            return RowError("input", "too_long", f"one text of the pair leaves too few of {self.max_length} tokens for the other")
        return encodings if len(encodings) == 1 or self.truncation != "fail" else self._too_long()

    def cut(self, items: Sequence[Text], truncation: bool | str = True) -> list[Prepared | RowError]:
        """Return every text, or pair of texts, as one input that the model can read."""
        read = self._read_fast if self.tokenizer.is_fast else self._read_slow
        return [self._one(*each) for each in read(items, truncation)]

    def _too_long(self) -> RowError:
        return RowError("input", "too_long", f"the text has more than the {self.max_length} tokens that the model reads")

    def _one(self, inputs: Inputs, truncated: bool) -> Prepared | RowError:
        if truncated and self.truncation == "fail":
            return self._too_long()
        if not inputs["input_ids"]:
            return RowError("input", "no_tokens", "the tokenizer finds nothing in the text that the model could read")
        return Prepared(inputs, len(inputs["input_ids"]), ("truncated",) if truncated else ())

    def _read_fast(self, items: Sequence[Text], truncation: bool | str) -> Iterator[tuple[Inputs, bool]]:
        for each in self.encodings(items, truncation):
            yield self.inputs(each), bool(each.overflowing)

    def _read_slow(self, items: Sequence[Text], truncation: bool | str) -> Iterator[tuple[Inputs, bool]]:
        # Tokenizers written in Python do not say of a batch which of its texts they cut.
        for item in items:
            texts = (item,) if isinstance(item, str) else item
            whole = self.tokenizer(*texts)
            truncated = len(whole["input_ids"]) > self.max_length
            yield self.tokenizer(*texts, truncation=truncation, max_length=self.max_length) if truncated else whole, truncated

    def encodings(self, items: Sequence[Text], truncation: bool | str = True, limit: int | None = None, **given: Any) -> Sequence[Any]:
        """Return the encoding of every text by a fast tokenizer; what was cut off is in its `overflowing`."""
        if not items:
            return []
        texts = [each if isinstance(each, str) else each[0] for each in items]
        pairs = [each[1] for each in items if not isinstance(each, str)]
        given = {"max_length": limit or self.max_length, **given} if truncation else given
        # Each would be copied out of every encoding, from which they are taken anyway.
        given = {"return_attention_mask": False, "return_token_type_ids": False, **given}
        encodings: Sequence[Any] = self.tokenizer(texts, pairs or None, truncation=truncation, **given).encodings
        return encodings

    def inputs(self, encoding: Any) -> Inputs:
        """Return an encoding as the model takes it."""
        return {name: getattr(encoding, ENCODED[name]) for name in self.tokenizer.model_input_names if name in ENCODED}


R = TypeVar("R", bound=Reader)


def with_stride(reader: R) -> R:
    """Return the reader with the tokens that its windows share, where it reads by strides; raises ModelError where it cannot."""
    if reader.truncation != "stride":
        return reader
    refuse_without_offsets(reader)
    room = reader.max_length - reader.tokenizer.num_special_tokens_to_add()
    reader.stride = room // SHARED if reader.options.stride is None else reader.options.stride
    if reader.stride >= room:
        raise ModelError(f"model.options.stride: expected less than {room}, found {reader.stride}: windows would not move on")
    return reader


def refuse_without_offsets(reader: Reader) -> None:
    """Pass for a fast tokenizer; raises ModelError for others, since they do not say where in the text a token was."""
    if not reader.tokenizer.is_fast:
        kind = type(reader.tokenizer).__name__
        raise ModelError(f"expected a fast tokenizer, which knows every token's place in the text, found {kind}; log the model with one")


def window(part: Prepared) -> Window:
    """Return an input as a window, which it is or which is the whole of its text."""
    return part.features if isinstance(part.features, Window) else Window(part.features, 0, part.length)


def bounds(encodings: Sequence[Any], stride: int, sequence: int) -> list[tuple[int, int]]:
    """Return where the own tokens of each window of a text begin and end, so that every token of the text is one window's own.

    Of the tokens that two windows share, each has the half that is further from its edge. Special tokens before and after
    a text that stands alone belong to its first and its last window; a pair's text at `sequence` is without them.
    """
    found = []
    for number, each in enumerate(encodings, start=1):
        places = [place for place, of in enumerate(each.sequence_ids) if of == sequence]
        begin, end = (0, len(each)) if each.n_sequences == 1 else (places[0], places[-1] + 1)
        begin = begin if number == 1 else places[0] + stride // 2
        end = end if number == len(encodings) else places[-1] + 1 - (stride - stride // 2)
        found.append((begin, end))
    return found
