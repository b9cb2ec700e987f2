"""Encoders: whole windows tokenised once, then forward passes over padded token ids. Here with a classification head."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from sparkcoil import checkpoint, reading
from sparkcoil.batching import Budget
from sparkcoil.engines import Parts, Placement, Prepared
from sparkcoil.errors import RowError
from sparkcoil.reading import Inputs, Reader, Window
from sparkcoil.tasks import Facts

# Padded tokens in one batch. On two CPU threads larger batches gained nothing and padded more; a GPU wants more to do. A forward pass
# of a small model costs a CPU as much as a few tens of tokens: cut by that, tickets of very different lengths took 0.86 of the time.
# On an H200, tickets cut by 4,096 took BERT-base 0.95 of the time in float32, 0.91 in bfloat16; larger batches gained next to nothing.
CPU_BUDGET, GPU_BUDGET = Budget(1_024, 256, padding=32), Budget(32_768, 4_096, padding=4_096)
# Position tables of these models start after the padding index, so that they hold fewer positions than rows.
OFFSET_POSITIONS = ("roberta", "xlm-roberta", "camembert", "xlm-roberta-xl", "longformer", "mpnet", "clap_text_model", "altclip_text_model")
NON_FINITE = RowError("output", "non_finite", "the model gave NaN or infinity")


@dataclass(frozen=True)
class Logits:
    """The logits of one of several windows of a text, and the number of tokens that are the window's own."""

    values: np.ndarray
    tokens: int


@dataclass(kw_only=True)
class Encoder(Reader):
    """A tokenizer with its model; `forward` gives one row of float32 logits for each text, and Logits for a window of one.

    Engines for other heads are made from it: they read texts in another way, or give something else for an input.
    """

    model: Any
    facts: Facts
    budget: Budget
    unit: str = "tokens"
    per_unit: float = 1.0
    exact_lengths: bool = False

    def prepare(self, items: Sequence[Any]) -> Sequence[Prepared | Parts | RowError]:
        """Return the token ids of every text, as much as the model reads, or the failure of a text too long."""
        return self.read(items)

    @torch.inference_mode()
    def forward(self, batch: Sequence[Prepared]) -> Sequence[Any]:
        """Return the logits of each input, in float32."""
        logits = array(self.outputs([reading.window(each).inputs for each in batch]).logits)
        return [
            Logits(row, each.features.tokens) if isinstance(each.features, Window) else row for row, each in zip(logits, batch, strict=True)
        ]

    def outputs(self, rows: Sequence[Inputs]) -> Any:
        """Return what the model gives for inputs padded on the right to the longest of them."""
        lengths = np.array([len(row["input_ids"]) for row in rows])
        table = {name: self._padded(name, [row[name] for row in rows]) for name in rows[0] if name != "attention_mask"}
        if "attention_mask" in rows[0] and (lengths != lengths[0]).any():
            table["attention_mask"] = (np.arange(lengths.max()) < lengths[:, None]).astype(np.int64)
        return self.model(**{name: torch.from_numpy(each).to(self.model.device) for name, each in table.items()})

    def _padded(self, name: str, rows: Sequence[Sequence[int]]) -> np.ndarray:
        shape = (len(rows), max(map(len, rows)), *np.shape(rows[0])[1:])  # TAPAS has seven numbers for the type of a token
        fill = self._padding() if name == "input_ids" else 0
        table = np.full(shape, fill, dtype=np.int64)
        for line, row in zip(table, rows, strict=True):
            if fill or any(row):  # types of tokens are mostly zeros: to see that takes less than to copy them
                line[: len(row)] = row
        return table

    def _padding(self) -> int:
        # Decoders with a classification head look for the token that their configuration names.
        given = (getattr(self.model.config, "pad_token_id", None), self.tokenizer.pad_token_id)
        return next((each for each in given if isinstance(each, int)), 0)


E = TypeVar("E", bound=Encoder)


def load(artifact: Path, options: Any, placement: Placement) -> Encoder:
    """Return the encoder of an artifact, with its labels and the number of tokens that it can read."""
    return reading.with_stride(classifier(opened(Encoder, "AutoModelForSequenceClassification", artifact, options, placement)))


def opened(kind: type[E], auto_class: str, artifact: Path, options: Any, placement: Placement, **given: Any) -> E:
    """Return an engine of that kind with an artifact's model and tokenizer, reading as much as the model and `max_length` allow."""
    tokenizer = checkpoint.load_tokenizer(artifact, placement)
    model = checkpoint.load_model(artifact, auto_class, placement)
    tokenizer.truncation_side = "left" if getattr(options, "truncation", None) == "truncate_left" else "right"
    limit = min(readable_tokens(tokenizer, model.config), getattr(options, "max_length", None) or 10**9)
    budget = CPU_BUDGET if placement.device == "cpu" else GPU_BUDGET
    return kind(
        tokenizer=tokenizer, model=model, options=options, max_length=limit, facts=facts(model.config), **{"budget": budget, **given}
    )


def classifier(engine: E) -> E:
    """Return the engine with a padding token known to its model, or a budget of one row where there is none."""
    config = engine.model.config
    if config.pad_token_id is None:
        config.pad_token_id = engine.tokenizer.pad_token_id
    if config.pad_token_id is None:
        engine.budget = Budget(engine.budget.size, 1)  # decoders with a classification head cannot take two rows without one
    return engine


def array(tensor: torch.Tensor) -> np.ndarray:
    """Return a tensor as a float32 array."""
    return np.asarray(tensor.float().cpu().numpy())


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
