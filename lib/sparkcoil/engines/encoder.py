"""Encoders: whole windows tokenised once, then forward passes over padded token ids. Here with a classification head."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from sparkcoil import checkpoint, reading, trial
from sparkcoil.batching import Batching, Budget
from sparkcoil.engines import Findings, Parts, Placement, Prepared
from sparkcoil.errors import RowError
from sparkcoil.reading import Inputs, Reader, Window
from sparkcoil.tasks import Facts

# Padded tokens in one batch. On two CPU threads larger batches gained nothing and padded more; a GPU wants more to do. A forward pass
# of a small model costs a CPU as much as a few tens of tokens: cut by that, tickets of very different lengths took 0.86 of the time.
# On an H200, tickets cut by 4,096 took BERT-base 0.95 of the time in float32, 0.91 in bfloat16; larger batches gained next to nothing.
CPU_BUDGET, GPU_BUDGET = Budget(1_024, 256, padding=32), Budget(32_768, 4_096, padding=4_096)
# What a text without end is: as long as this.
UNLIMITED = 10**9
# A padding token for models that know none: it is no token, so that such a model finds none in a row.
NO_TOKEN = -1
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
    batching: Batching = "padded"
    findings: Findings = Findings()

    def prepare(self, items: Sequence[Any]) -> Sequence[Prepared | Parts | RowError]:
        """Return the token ids of every text, as much as the model reads, or the failure of a text too long."""
        return self.read(items)

    @torch.inference_mode()
    def forward(self, batch: Sequence[Prepared]) -> Sequence[Any]:
        """Return the logits of each input, in float32."""
        logits = array(self.logits([reading.window(each).inputs for each in batch]))
        return [
            Logits(row, each.features.tokens) if isinstance(each.features, Window) else row for row, each in zip(logits, batch, strict=True)
        ]

    def logits(self, rows: Sequence[Inputs]) -> torch.Tensor:
        """Return the logits of inputs, of shape (inputs, labels).

        A BART pools at the tokens that end a text, and takes together only rows that have equally many of them.
        """
        ends = [list(row["input_ids"]).count(self.ending) for row in rows] if self.ending is not None else [0] * len(rows)
        if len(set(ends)) == 1:
            return torch.as_tensor(self.outputs(rows).logits)
        groups = [[i for i, each in enumerate(ends) if each == count] for count in dict.fromkeys(ends)]
        found = torch.cat([self.outputs([rows[i] for i in group]).logits for group in groups])
        return found[torch.tensor([i for group in groups for i in group]).argsort()]

    @property
    def ending(self) -> int | None:
        """The token that ends a text, where the model's head looks for it."""
        config = self.model.config
        return config.eos_token_id if config.is_encoder_decoder and isinstance(config.eos_token_id, int) else None

    def examine(self) -> Findings:
        """Return what the model does with short texts that are padded and alone, and with long ones after short ones."""
        special = sum(map(len, self.around))
        lengths = [special + each for each in trial.LENGTHS if special + each <= self.max_length] or [self.max_length]
        local = trial.local_length(self.model.config)
        long = min(self.max_length, max(local, lengths[-1]))
        lengths += [long * 3 // 4, long] if local else []

        @torch.inference_mode()
        def ask(probes: Sequence[trial.Probe]) -> Sequence[trial.Answer]:
            answers = trial.answers_of(self.outputs([self.made_up(*each) for each in probes]), len(probes))
            return trial.without_padding(answers, [each.length for each in probes])

        return trial.examine(self.model, ask, lengths, long)

    def follow(self, findings: Findings) -> None:
        """Take rows into batches as the model allows it."""
        self.batching = findings.batching

    def made_up(self, length: int, number: int) -> Inputs:
        """Return an input of so many tokens, drawn by its length and its number, between the tokens that stand around every text."""
        draw, (before, after) = random.Random(f"{length} {number}"), self.around
        inner = length - len(before) - len(after)
        drawn = [draw.choice(self.plain_tokens) for _ in range(inner if inner > 0 else length)]
        ids = [*before, *drawn, *after] if inner > 0 else drawn
        values = {"input_ids": ids, "token_type_ids": [0] * length, "attention_mask": [1] * length}
        return {name: values[name] for name in self.tokenizer.model_input_names if name in values}

    @cached_property
    def plain_tokens(self) -> Sequence[int]:
        """Some hundred tokens of the vocabulary that have no meaning of their own."""
        special, size = set(self.tokenizer.all_special_ids), trial.vocabulary_size(self.tokenizer, self.model)
        return [each for each in range(0, size, max(1, size // 300)) if each not in special]

    @cached_property
    def around(self) -> tuple[list[int], list[int]]:
        """The special tokens before and after a text."""
        ids, special = self.tokenizer("a")["input_ids"], set(self.tokenizer.all_special_ids)
        plain = [i for i, each in enumerate(ids) if each not in special] or [0]
        return list(ids[: plain[0]]), list(ids[plain[-1] + 1 :])

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
        given = (getattr(self.model.config.get_text_config(), "pad_token_id", None), self.tokenizer.pad_token_id)
        return next((each for each in given if isinstance(each, int) and each >= 0), 0)


E = TypeVar("E", bound=Encoder)


def load(artifact: Path, options: Any, placement: Placement) -> Encoder:
    """Return the encoder of an artifact, with its labels and the number of tokens that it can read."""
    return reading.with_stride(classifier(opened(Encoder, "AutoModelForSequenceClassification", artifact, options, placement)))


def opened(kind: type[E], auto_class: str, artifact: Path, options: Any, placement: Placement, **given: Any) -> E:
    """Return an engine of that kind with an artifact's model and tokenizer, reading as much as the model and `max_length` allow."""
    tokenizer = checkpoint.load_tokenizer(artifact, placement)
    model = checkpoint.load_model(artifact, auto_class, placement)
    tokenizer.truncation_side = "left" if getattr(options, "truncation", None) == "truncate_left" else "right"
    limit = min(readable_tokens(tokenizer, model), getattr(options, "max_length", None) or UNLIMITED)
    budget = CPU_BUDGET if placement.device == "cpu" else GPU_BUDGET
    return kind(
        tokenizer=tokenizer, model=model, options=options, max_length=limit, facts=facts(model.config), **{"budget": budget, **given}
    )


def classifier(engine: E) -> E:
    """Return the engine, whose model finds no padding where its configuration names none: a decoder's head looks for the token before it.

    Natively such a model pools the last token of a text, which may be the one that the tokenizer pads with.
    """
    for config in {id(each): each for each in (engine.model.config, engine.model.config.get_text_config())}.values():
        if getattr(config, "pad_token_id", None) is None:
            config.pad_token_id = NO_TOKEN
    return engine


def array(tensor: torch.Tensor) -> np.ndarray:
    """Return a tensor as a float32 array."""
    return np.asarray(tensor.float().cpu().numpy())


def facts(config: Any) -> Facts:
    """Return the labels in the order of the logits, and the kind of problem that the model was trained for."""
    labels = [config.id2label[i] for i in sorted(config.id2label)]
    return {"labels": labels, "problem_type": getattr(config, "problem_type", None)}


def readable_tokens(tokenizer: Any, model: Any) -> int:
    """Return how many tokens the model can read; tokenizers without a limit say 1e30, and an index error follows."""
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    limits = [positions if isinstance(positions, int) and positions > 0 else UNLIMITED, tokenizer.model_max_length, UNLIMITED]
    for name, module in model.named_modules():
        # These count positions from behind the one of padding: RoBERTa and its kin.
        if name.endswith("position_embeddings") and getattr(module, "padding_idx", None) is not None:
            limits.append(len(module.weight) - module.padding_idx - 1)
    return int(min(limits))
