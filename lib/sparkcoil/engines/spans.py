"""Extractive question answering: a context is read in overlapping windows, each with the question, and each gives its best span."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sparkcoil import reading
from sparkcoil.engines import Parts, Placement, Prepared, encoder
from sparkcoil.engines.encoder import NON_FINITE, Encoder
from sparkcoil.errors import ModelError, RowError

DEFAULT_LENGTH, DEFAULT_STRIDE = 384, 128
MASKED = -10_000.0


@dataclass(frozen=True)
class Span:
    """The best answer in one window, as characters of the context; `null_score` is how likely the window holds none."""

    answer: str
    score: float
    start: int
    end: int
    null_score: float


@dataclass(frozen=True)
class Window:
    """A part of a context, together with the question: the encoding, and the whole context that its offsets point into."""

    encoding: Any
    context: str


@dataclass(kw_only=True)
class Spans(Encoder):
    """A tokenizer with its model; `forward` gives one Span for each window."""

    question_first: bool

    def prepare(self, items: Sequence[tuple[str, str]]) -> list[Parts | RowError]:
        """Return the windows of every question with its context, or the failure of a question that leaves a context no room."""
        pairs = items if self.question_first else [(context, question) for question, context in items]
        found = zip(self.windows(pairs, int(self.question_first)), items, strict=True)
        return [each if isinstance(each, RowError) else parts(each, context) for each, (_, context) in found]

    @torch.inference_mode()
    def forward(self, batch: Sequence[Prepared]) -> Sequence[Span | RowError]:
        """Return the best span of each window."""
        output = self.outputs([self.inputs(each.features.encoding) for each in batch])
        starts, ends = encoder.array(output.start_logits), encoder.array(output.end_logits)
        return [self._best(each, starts[i, : each.length], ends[i, : each.length]) for i, each in enumerate(batch)]

    def _best(self, part: Prepared, start_logits: np.ndarray, end_logits: np.ndarray) -> Span | RowError:
        if not (np.isfinite(start_logits).all() and np.isfinite(end_logits).all()):
            return NON_FINITE
        encoding, context = part.features.encoding, part.features.context
        allowed = np.array([each == int(self.question_first) for each in encoding.sequence_ids])
        if self.tokenizer.cls_token_id is not None:
            # Models say by this token that there is no answer.
            allowed |= np.array(encoding.ids) == self.tokenizer.cls_token_id
        starts, ends = probabilities(start_logits, allowed), probabilities(end_logits, allowed)
        null_score = float(starts[0] * ends[0])
        starts[0] = ends[0] = 0.0
        first, last, score = best_pair(starts, ends, self.options.max_answer_len)
        if score == 0.0:
            return Span("", 0.0, 0, 0, null_score)
        start, end = characters(encoding, first, last, int(self.question_first))
        return Span(context[start:end], score, start, end, null_score)


def parts(encodings: Sequence[Any], context: str) -> Parts:
    """Return the windows of one row."""
    return Parts(tuple(Prepared(Window(each, context), len(each)) for each in encodings))


def probabilities(logits: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Return the softmax over the tokens that may be in an answer."""
    masked = np.where(allowed, logits.astype(np.float64), MASKED)
    exponentials = np.exp(masked - masked.max())
    return np.asarray(exponentials / exponentials.sum())


def best_pair(starts: np.ndarray, ends: np.ndarray, longest: int) -> tuple[int, int, float]:
    """Return the first and last token of the likeliest span of at most `longest` tokens, and its probability."""
    reach = min(longest, len(ends))
    following = np.lib.stride_tricks.sliding_window_view(np.pad(ends, (0, reach - 1)), reach)
    scores = starts[:, None] * following
    first, further = np.unravel_index(int(scores.argmax()), scores.shape)
    return int(first), int(first + further), float(scores[first, further])


def characters(encoding: Any, first: int, last: int, sequence: int) -> tuple[int, int]:
    """Return where in the context the words of the first and last token begin and end; tokens not of words stand for themselves."""
    words = encoding.token_to_word(first), encoding.token_to_word(last)
    begin, end = (None if word is None else encoding.word_to_chars(word, sequence) for word in words)
    if begin is None or end is None:
        begin, end = encoding.offsets[first], encoding.offsets[last]
    return int(begin[0]), int(end[1])


def load(artifact: Path, options: Any, placement: Placement) -> Spans:
    """Return the question answering model of an artifact; raises ModelError where its windows cannot move on."""
    engine = encoder.opened(Spans, "AutoModelForQuestionAnswering", artifact, options, placement, question_first=True)
    reading.refuse_without_offsets(engine)
    engine.max_length = min(engine.max_length, options.max_seq_len or DEFAULT_LENGTH)
    engine.stride = min(engine.max_length // 2, DEFAULT_STRIDE) if options.doc_stride is None else options.doc_stride
    engine.question_first = engine.tokenizer.padding_side == "right"
    room = engine.max_length - engine.tokenizer.num_special_tokens_to_add(pair=True)
    if engine.stride >= room:
        raise ModelError(f"model.options.doc_stride: expected less than {room}, found {engine.stride}: windows would not move on")
    return engine
