"""Encoders with a classification head: whole windows tokenised once, then forward passes over padded token ids."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sparkcoil import checkpoint
from sparkcoil.batching import Budget
from sparkcoil.engines import Placement, Prepared
from sparkcoil.errors import RowError
from sparkcoil.tasks import Facts

# Padded tokens in one batch. On two CPU threads larger batches gained nothing and padded more; a GPU wants more to do.
CPU_BUDGET, GPU_BUDGET = Budget(1_024, 256), Budget(32_768, 4_096)
# Position tables of these models start after the padding index, so that they hold fewer positions than rows.
OFFSET_POSITIONS = ("roberta", "xlm-roberta", "camembert", "xlm-roberta-xl", "longformer", "mpnet")


@dataclass
class Encoder:
    """A tokenizer with its model; `forward` gives one row of float32 logits for each input."""

    tokenizer: Any
    model: Any
    truncation: str
    max_length: int
    facts: Facts
    budget: Budget
    unit: str = "tokens"
    per_unit: float = 1.0
    exact_lengths: bool = False

    def prepare(self, items: Sequence[str | tuple[str, str]]) -> list[Prepared | RowError]:
        """Return the token ids of every text, cut to what the model reads, or the failure of a text too long."""
        texts = [each if isinstance(each, str) else each[0] for each in items]
        pairs = [each[1] for each in items if not isinstance(each, str)]
        encoded = self.tokenizer(texts, pairs or None, truncation=True, max_length=self.max_length)
        truncated = [bool(each.overflowing) for each in encoded.encodings]
        return [self._one({name: encoded[name][i] for name in encoded}, truncated[i]) for i in range(len(items))]

    def _one(self, features: Mapping[str, list[int]], truncated: bool) -> Prepared | RowError:
        if truncated and self.truncation == "fail":
            return RowError("input", "too_long", f"the text has more than the {self.max_length} tokens that the model reads")
        return Prepared(features, len(features["input_ids"]), ("truncated",) if truncated else ())

    @torch.inference_mode()
    def forward(self, batch: Sequence[Prepared]) -> Sequence[np.ndarray]:
        """Return the logits of each input, in float32."""
        inputs = {name: self._padded(name, [each.features[name] for each in batch]) for name in batch[0].features}
        if len({each.length for each in batch}) == 1:
            inputs.pop("attention_mask", None)
        logits = self.model(**inputs).logits
        return list(logits.float().cpu().numpy())

    def _padded(self, name: str, rows: Sequence[Sequence[int]]) -> torch.Tensor:
        fill = (self.tokenizer.pad_token_id or 0) if name == "input_ids" else 0
        table = np.full((len(rows), max(map(len, rows))), fill, dtype=np.int64)
        for line, row in zip(table, rows, strict=True):
            line[: len(row)] = row
        return torch.from_numpy(table).to(self.model.device)


def load(artifact: Path, options: Any, placement: Placement) -> Encoder:
    """Return the encoder of an artifact, with its labels and the number of tokens that it can read."""
    tokenizer = checkpoint.load_tokenizer(artifact, placement)
    model = checkpoint.load_model(artifact, "AutoModelForSequenceClassification", placement)
    tokenizer.truncation_side = "left" if options.truncation == "truncate_left" else "right"
    budget = CPU_BUDGET if placement.device == "cpu" else GPU_BUDGET
    if model.config.pad_token_id is None:
        model.config.pad_token_id = tokenizer.pad_token_id
    if model.config.pad_token_id is None:
        budget = Budget(budget.size, 1)  # decoders with a classification head cannot take two rows without a padding token
    limit = min(readable_tokens(tokenizer, model.config), options.max_length or 10**9)
    return Encoder(tokenizer, model, options.truncation, limit, facts(model.config), budget)


def facts(config: Any) -> Facts:
    """Return the labels in the order of the logits, and the kind of problem that the model was trained for."""
    labels = [config.id2label[i] for i in sorted(config.id2label)]
    return {"labels": labels, "problem_type": getattr(config, "problem_type", None)}


def readable_tokens(tokenizer: Any, config: Any) -> int:
    """Return how many tokens the model can read; tokenizers without a limit say 1e30, and an index error follows."""
    positions = getattr(config, "max_position_embeddings", None) or 10**9
    if config.model_type in OFFSET_POSITIONS:
        positions -= (config.pad_token_id or 0) + 1
    return int(min(tokenizer.model_max_length, positions, 10**9))
