"""Token classification: a text is read in overlapping windows, and each of its tokens gets the probability of every label."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sparkcoil import reading
from sparkcoil.engines import Parts, Placement, Prepared, encoder
from sparkcoil.engines.encoder import NON_FINITE, Encoder
from sparkcoil.errors import RowError


@dataclass(frozen=True)
class Window:
    """A part of a text: its encoding, and the whole text that its offsets point into."""

    encoding: Any
    text: str


@dataclass(frozen=True)
class Tokens:
    """The tokens of one window without special ones: their labels' probabilities, their places, and which continue a word."""

    text: str
    scores: np.ndarray
    offsets: Sequence[tuple[int, int]]
    continues: Sequence[bool]


@dataclass(kw_only=True)
class Tagger(Encoder):
    """A tokenizer with its model; `forward` gives the Tokens of each window."""

    def prepare(self, items: Sequence[str]) -> list[Parts | RowError]:
        """Return the windows of every text, none of one without tokens, or the failure of a text that may not have several."""
        return [each if isinstance(each, RowError) else parts(each, text) for each, text in zip(self.windows(items), items, strict=True)]

    @torch.inference_mode()
    def forward(self, batch: Sequence[Prepared]) -> Sequence[Tokens | RowError]:
        """Return the tokens of each window with the probabilities of their labels."""
        logits = encoder.array(self.outputs([self.inputs(each.features.encoding) for each in batch]).logits)
        return [self._tokens(each.features, logits[i, : each.length]) for i, each in enumerate(batch)]

    def _tokens(self, window: Window, logits: np.ndarray) -> Tokens | RowError:
        if not np.isfinite(logits).all():
            return NON_FINITE
        encoding = window.encoding
        kept = np.flatnonzero(np.array(encoding.special_tokens_mask) == 0)
        exponentials = np.exp(logits[kept] - logits[kept].max(axis=1, keepdims=True))
        scores = exponentials / exponentials.sum(axis=1, keepdims=True)
        offsets, tokens, ids = encoding.offsets, encoding.tokens, encoding.ids
        in_words = self.options.aggregation_strategy in ("first", "average", "max")
        continues = [in_words and self._continues(tokens[i], ids[i], offsets[i], window.text) for i in kept]
        return Tokens(window.text, scores, [offsets[i] for i in kept], continues)

    def _continues(self, token: str, token_id: int, offset: tuple[int, int], text: str) -> bool:
        # The rules of the native pipeline: a token of a word-aware tokenizer is longer than its text by the prefix `##`.
        if token_id == self.tokenizer.unk_token_id:
            return False
        if getattr(self.tokenizer.backend_tokenizer.model, "continuing_subword_prefix", None):
            return len(token) != offset[1] - offset[0]
        return offset[0] > 0 and " " not in text[offset[0] - 1 : offset[0] + 1]


def parts(encodings: Sequence[Any], text: str) -> Parts:
    """Return the windows of one row."""
    return Parts(tuple(Prepared(Window(each, text), len(each)) for each in encodings if len(each)))


def load(artifact: Path, options: Any, placement: Placement) -> Tagger:
    """Return the token classification model of an artifact; raises ModelError where its windows cannot move on."""
    engine = encoder.opened(Tagger, "AutoModelForTokenClassification", artifact, options, placement)
    reading.refuse_without_offsets(engine)
    return reading.with_stride(engine)
