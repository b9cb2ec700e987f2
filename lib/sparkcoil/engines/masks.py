"""Masked language models: the likeliest tokens for the first mask of each text."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sparkcoil.batching import Budget
from sparkcoil.engines import Parts, Placement, Prepared, encoder
from sparkcoil.engines.encoder import NON_FINITE, Encoder
from sparkcoil.errors import ModelError, RowError
from sparkcoil.reading import Inputs

# Every token gets a number for each of tens of thousands of others: gigabytes, in the batches that other encoders take.
GPU_BUDGET = Budget(8_192, 1_024)


@dataclass(frozen=True)
class Candidate:
    """A token for the mask, the text with it in the mask's place, and its probability."""

    token: str
    sequence: str
    score: float


@dataclass(frozen=True)
class Masked:
    """A text with its first mask: `only` tells that there is no other."""

    inputs: Inputs
    position: int
    only: bool


@dataclass(kw_only=True)
class Filler(Encoder):
    """A tokenizer with its model; `forward` gives each text's Candidates, best first. Without `targets` any token is one."""

    targets: tuple[int, ...] = ()

    def prepare(self, items: Sequence[str]) -> list[Prepared | Parts | RowError]:
        """Return the token ids of every text with the place of its first mask, or the failure of a text without one."""
        return [each if isinstance(each, RowError) else self._masked(each) for each in self.cut(items)]

    def _masked(self, text: Prepared) -> Prepared | RowError:
        places = [i for i, each in enumerate(text.features["input_ids"]) if each == self.tokenizer.mask_token_id]
        if not places:
            token = self.tokenizer.mask_token
            return RowError("input", "no_mask", f"there is no {token} among the {self.max_length} tokens at most that the model reads")
        return Prepared(Masked(text.features, places[0], len(places) == 1), text.length, text.warnings)

    @torch.inference_mode()
    def forward(self, batch: Sequence[Prepared]) -> Sequence[list[Candidate] | RowError]:
        """Return the likeliest candidates for each text's first mask."""
        logits = self.outputs([each.features.inputs for each in batch]).logits
        places = torch.tensor([each.features.position for each in batch], device=logits.device)
        at_masks = logits[torch.arange(len(batch), device=logits.device), places].float()
        probabilities = at_masks.softmax(dim=1)
        if self.targets:
            probabilities = probabilities[:, self.targets]
        scores, best = probabilities.topk(min(self.options.top_k, probabilities.shape[1]), dim=1)
        table, ids = encoder.array(scores), best.tolist()
        return [self._candidates(each.features, table[i], self._tokens(ids[i])) for i, each in enumerate(batch)]

    def _tokens(self, best: Sequence[int]) -> list[int]:
        return [self.targets[i] for i in best] if self.targets else list(best)

    def _candidates(self, text: Masked, scores: np.ndarray, ids: Sequence[int]) -> list[Candidate] | RowError:
        if not np.isfinite(scores).all():
            return NON_FINITE
        before, after = text.inputs["input_ids"][: text.position], text.inputs["input_ids"][text.position + 1 :]
        # Like the native pipeline: special tokens go, unless that would take the other masks away.
        sequences = self.tokenizer.batch_decode([[*before, each, *after] for each in ids], skip_special_tokens=text.only)
        tokens = self.tokenizer.batch_decode([[each] for each in ids])
        return [Candidate(token, sequence, float(score)) for token, sequence, score in zip(tokens, sequences, scores, strict=True)]


def load(artifact: Path, options: Any, placement: Placement) -> Filler:
    """Return the masked language model of an artifact; raises ModelError where its tokenizer has no mask."""
    given = {} if placement.device == "cpu" else {"budget": GPU_BUDGET}
    engine = encoder.opened(Filler, "AutoModelForMaskedLM", artifact, options, placement, **given)
    if engine.tokenizer.mask_token_id is None:
        raise ModelError(f"expected a tokenizer with a mask token, found {type(engine.tokenizer).__name__} without one")
    engine.targets = target_ids(engine.tokenizer, options.targets)
    engine.facts = {**engine.facts, "mask_token": engine.tokenizer.mask_token}
    return engine


def target_ids(tokenizer: Any, targets: Sequence[str]) -> tuple[int, ...]:
    """Return the tokens of the targets, the first one of a target of several; raises ModelError for one that has none."""
    vocabulary = tokenizer.get_vocab()
    ids: dict[int, None] = {}
    for target in targets:
        found = [vocabulary[target]] if target in vocabulary else tokenizer(target, add_special_tokens=False)["input_ids"]
        if not found:
            raise ModelError(f"model.options.targets: the tokenizer has no token for {target!r}")
        ids[found[0]] = None
    return tuple(ids)
