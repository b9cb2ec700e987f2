"""Labels placed in the space that a model has for texts and for what they are compared with, such as sounds and images.

The place of a label is computed once for a window, and kept for the next one.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch

from sparkcoil.engines import encoder
from sparkcoil.engines.encoder import NON_FINITE
from sparkcoil.errors import RowError

# Sentences in one batch.
SENTENCES = 64
PADDED: Mapping[str, Any] = {"padding": True}


class Place(NamedTuple):
    """The direction in which a label's sentence lies, and whether a part of the sentence was left out."""

    direction: np.ndarray
    is_cut: bool


class Likening(NamedTuple):
    """How like each of its labels something is, as logits, with warnings."""

    labels: tuple[str, ...]
    logits: np.ndarray
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Labels:
    """The labels that a row may get, and their directions, of shape (labels, dimensions); logits are cosines times `scale` plus `bias`."""

    names: tuple[str, ...]
    directions: np.ndarray
    scale: float
    bias: float
    warnings: tuple[str, ...] = ()

    def likening(self, vector: np.ndarray, warnings: tuple[str, ...] = ()) -> Likening | RowError:
        """Return how like the labels is what lies at a vector, or the row's failure where the model gave no numbers."""
        logits = self.scale * (self.directions @ (vector / np.linalg.norm(vector))) + self.bias
        return Likening(self.names, logits, warnings) if np.isfinite(logits).all() else NON_FINITE


@dataclass
class Places:
    """A tokenizer with its model, which place a template's sentence for each label; `padding` is what the tokenizer is told of it.

    A sentence that is longer than the model reads fails the rows that ask for it, or is cut where `padding` says so.
    """

    tokenizer: Any
    model: Any
    template: str
    scale: float
    bias: float = 0.0
    padding: Mapping[str, Any] = field(default_factory=lambda: PADDED)
    known: Mapping[str, Place | RowError] = field(default_factory=dict)

    def of(self, asked: Sequence[tuple[str, ...]]) -> list[Labels | RowError]:
        """Return each row's labels, or its failure; rows with the same labels share them."""
        distinct = dict.fromkeys(asked)
        names = dict.fromkeys(name for each in distinct for name in each)
        known = {name: self.known[name] for name in names if name in self.known}
        self.known = {**known, **self.placed([name for name in names if name not in known])}
        made = {each: self._labels(each) for each in distinct}
        return [made[each] for each in asked]

    def _labels(self, names: tuple[str, ...]) -> Labels | RowError:
        try:
            places = list(found(self.known[name] for name in names))
        except RowError as error:
            return error
        warnings = ("truncated",) if any(each.is_cut for each in places) else ()
        return Labels(names, np.stack([each.direction for each in places]), self.scale, self.bias, warnings)

    @torch.inference_mode()
    def placed(self, labels: Sequence[str]) -> dict[str, Place | RowError]:
        """Return where each label's sentence lies, or the failure of a row that asks for one that is too long."""
        if not labels:
            return {}
        sentences = [self.template.replace("{}", label) for label in labels]
        lengths = [len(each) for each in self.tokenizer(sentences)["input_ids"]]
        limit = encoder.readable_tokens(self.tokenizer, self.model)
        places: dict[str, Place | RowError] = {label: too_long(n, limit) for label, n in zip(labels, lengths, strict=True)}
        cuts = "truncation" in self.padding
        readable = [i for i, each in enumerate(lengths) if each <= limit or cuts]
        for some in batches(readable, lengths, alike=self.padding == PADDED):
            inputs = self.tokenizer([sentences[i] for i in some], return_tensors="pt", **self.padding).to(self.model.device)
            vectors = encoder.array(self.model.get_text_features(**inputs).pooler_output)
            directions = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
            places.update({labels[i]: Place(each, lengths[i] > limit) for i, each in zip(some, directions, strict=True)})
        return places


def batches(order: Sequence[int], lengths: Sequence[int], *, alike: bool) -> Iterator[list[int]]:
    """Yield positions in batches; where texts are padded to the longest of a batch, only those of one length share it."""
    groups = [[i for i in order if lengths[i] == length] for length in dict.fromkeys(lengths[i] for i in order)] if alike else [[*order]]
    for group in groups:
        yield from (group[start : start + SENTENCES] for start in range(0, len(group), SENTENCES))


def too_long(tokens: int, limit: int) -> RowError:
    """Return the failure of a row one of whose labels cannot be read."""
    return RowError("input", "too_long", f"a label's sentence has {tokens} tokens, more than the {limit} that are read")


def found(places: Iterable[Place | RowError]) -> Iterator[Place]:
    """Yield places; raises the RowError that is among them."""
    for each in places:
        if isinstance(each, RowError):
            raise each
        yield each
