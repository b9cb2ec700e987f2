"""Encoders: whole windows tokenised once, then forward passes over padded token ids. Here with a classification head."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from sparkcoil import checkpoint
from sparkcoil.batching import Budget
from sparkcoil.engines import Parts, Placement, Prepared
from sparkcoil.errors import ModelError, RowError
from sparkcoil.tasks import Facts

Text = str | tuple[str, str]
Inputs = Mapping[str, Sequence[Any]]

# Padded tokens in one batch. On two CPU threads larger batches gained nothing and padded more; a GPU wants more to do.
CPU_BUDGET, GPU_BUDGET = Budget(1_024, 256), Budget(32_768, 4_096)
# Position tables of these models start after the padding index, so that they hold fewer positions than rows.
OFFSET_POSITIONS = ("roberta", "xlm-roberta", "camembert", "xlm-roberta-xl", "longformer", "mpnet")
# What models call their inputs, and tokenizers' encodings call the same.
ENCODED = {"input_ids": "ids", "token_type_ids": "type_ids", "attention_mask": "attention_mask"}
NON_FINITE = RowError("output", "non_finite", "the model gave NaN or infinity")


@dataclass(kw_only=True)
class Encoder:
    """A tokenizer with its model; `forward` gives one row of float32 logits for each input.

    Engines for other heads are made from it: they read texts in another way, or give something else for an input.
    """

    tokenizer: Any
    model: Any
    options: Any
    max_length: int
    facts: Facts
    budget: Budget
    unit: str = "tokens"
    per_unit: float = 1.0
    exact_lengths: bool = False

    def prepare(self, items: Sequence[Any]) -> Sequence[Prepared | Parts | RowError]:
        """Return the token ids of every text, cut to what the model reads, or the failure of a text too long."""
        return self.cut(items)

    @torch.inference_mode()
    def forward(self, batch: Sequence[Prepared]) -> Sequence[Any]:
        """Return the logits of each input, in float32."""
        return list(array(self.outputs([each.features for each in batch]).logits))

    def cut(self, items: Sequence[Text], truncation: bool | str = True) -> list[Prepared | RowError]:
        """Return every text, or pair of texts, as one input that the model can read."""
        read = self._read_fast if self.tokenizer.is_fast else self._read_slow
        return [self._one(*each) for each in read(items, truncation)] if items else []

    def _one(self, inputs: Inputs, truncated: bool) -> Prepared | RowError:
        if truncated and self.options.truncation == "fail":
            return RowError("input", "too_long", f"the text has more than the {self.max_length} tokens that the model reads")
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

    def encodings(self, items: Sequence[Text], truncation: bool | str = True, **given: Any) -> Sequence[Any]:
        """Return the encoding of every text by a fast tokenizer; what was cut off is in its `overflowing`."""
        texts = [each if isinstance(each, str) else each[0] for each in items]
        pairs = [each[1] for each in items if not isinstance(each, str)]
        given = {"max_length": self.max_length, **given} if truncation else given
        encodings: Sequence[Any] = self.tokenizer(texts, pairs or None, truncation=truncation, **given).encodings
        return encodings

    def inputs(self, encoding: Any) -> Inputs:
        """Return an encoding as the model takes it."""
        return {name: getattr(encoding, ENCODED[name]) for name in self.tokenizer.model_input_names if name in ENCODED}

    def outputs(self, rows: Sequence[Inputs]) -> Any:
        """Return what the model gives for inputs padded on the right to the longest of them."""
        table = {name: self._padded(name, [row[name] for row in rows]) for name in rows[0]}
        if len({len(row["input_ids"]) for row in rows}) == 1:
            table.pop("attention_mask", None)
        return self.model(**table)

    def _padded(self, name: str, rows: Sequence[Sequence[int]]) -> torch.Tensor:
        shape = (len(rows), max(map(len, rows)), *np.shape(rows[0])[1:])  # TAPAS has seven numbers for the type of a token
        table = np.full(shape, self._padding() if name == "input_ids" else 0, dtype=np.int64)
        for line, row in zip(table, rows, strict=True):
            line[: len(row)] = row
        return torch.from_numpy(table).to(self.model.device)

    def _padding(self) -> int:
        # Decoders with a classification head look for the token that their configuration names.
        given = (getattr(self.model.config, "pad_token_id", None), self.tokenizer.pad_token_id)
        return next((each for each in given if isinstance(each, int)), 0)


E = TypeVar("E", bound=Encoder)


def load(artifact: Path, options: Any, placement: Placement) -> Encoder:
    """Return the encoder of an artifact, with its labels and the number of tokens that it can read."""
    return classifier(opened(Encoder, "AutoModelForSequenceClassification", artifact, options, placement))


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


def refuse_without_offsets(engine: Encoder) -> None:
    """Pass for a fast tokenizer; raises ModelError for others, since they do not say where in the text a token was."""
    if not engine.tokenizer.is_fast:
        kind = type(engine.tokenizer).__name__
        raise ModelError(f"expected a fast tokenizer, which knows every token's place in the text, found {kind}; log the model with one")


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
