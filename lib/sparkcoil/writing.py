"""What the engines that write text share: requests become prompts one by one, and a batch of prompts is generated together.

Knows nothing of Spark or MLflow.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from sparkcoil import decoding, planning, rehearsal
from sparkcoil.batching import Batching, Budget
from sparkcoil.engines import Findings, Placement, Prepared
from sparkcoil.errors import RowError
from sparkcoil.generation import Generated, Request
from sparkcoil.planning import Decoder
from sparkcoil.structured import judged
from sparkcoil.tasks import Facts

# Padded tokens of prompts in one batch. The rows are few, since each grows by its new tokens.
CPU_BUDGET, GPU_BUDGET = Budget(8_192, 64), Budget(65_536, 256)
# A step of a small model costs about the same for few rows and for many: so many bytes of keys and values, of texts of so many tokens.
SMALL_BYTES, SMALL_TOKENS = 1 << 29, 512

Written = Generated | RowError
"""What became of a request, or why nothing did."""


@dataclass(kw_only=True)
class Writer(ABC):
    """A tokenizer with its model, as an engine: `forward` gives what was generated for each request."""

    tokenizer: Any
    model: Any
    decoder: Decoder
    facts: Facts
    budget: Budget
    unit: str = "tokens"
    per_unit: float = 1.0
    batching: Batching = "padded"
    findings: Findings = Findings()

    @property
    @abstractmethod
    def readable(self) -> int:
        """The tokens that a prompt may have."""

    def examine(self) -> Findings:
        """Return what the model does with prompts that are padded and alone, and with those that share what they begin with."""
        return rehearsal.rehearse(self.decoder, self.readable)

    def follow(self, findings: Findings) -> None:
        """Generate texts together as the model allows it."""
        self.decoder = replace(self.decoder, findings=findings)
        self.batching = findings.batching

    @abstractmethod
    def prompt(self, request: Request) -> Prepared:
        """Return the token ids of a request, cut to what can be read; raises RowError where they cannot be."""

    def prepare(self, items: Sequence[Request]) -> list[Prepared | RowError]:
        """Return what each request is to the model, or the row's failure."""
        prepared: list[Prepared | RowError] = []
        for request in items:
            try:
                prepared.append(self.prompt(request))
            except RowError as error:
                prepared.append(error)
        return prepared

    @torch.inference_mode()
    def forward(self, batch: Sequence[Prepared]) -> Sequence[Generated | RowError]:
        """Return what was generated for each request; one that has not the form asked for is tried again by sampling."""
        return fitting(batch, lambda prompts: decoding.generate(self.decoder, prompts))


def fitting(batch: Sequence[Prepared], generate: Callable[[Sequence[Prepared]], list[Written]]) -> list[Written]:
    """Return what is generated for each prompt; one that has not the form asked for is tried again by sampling."""
    results, attempt = generate(batch), 1
    again: Sequence[int] = range(len(results))
    while again := [i for i in again if misfits(results[i], attempt)]:
        tried = generate([planning.resampled(batch[i], attempt) for i in again])
        for i, each in zip(again, tried, strict=True):
            results[i] = each
        attempt += 1
    return results


def misfits(generated: Generated | RowError, attempt: int) -> bool:
    """Tell whether a text has not the form that its row asks for, and is worth another attempt."""
    if isinstance(generated, RowError):
        return False
    options = generated.request.options
    return attempt <= options.response_retries and isinstance(judged(generated.completions[0].text, options), RowError)


def rows_at_once(model: Any) -> int:
    """Return how many texts are generated together on a CPU: the more, the smaller the keys and values of a token are."""
    config = model.config.get_text_config(decoder=True)
    layers, width = (getattr(config, name, None) for name in ("num_hidden_layers", "hidden_size"))
    if not (isinstance(layers, int) and isinstance(width, int)):
        return CPU_BUDGET.rows
    token: int = 2 * layers * width * model.dtype.itemsize
    return min(GPU_BUDGET.rows, max(CPU_BUDGET.rows, SMALL_BYTES // (token * SMALL_TOKENS)))


def parts(tokenizer: Any, model: Any, placement: Placement) -> dict[str, Any]:
    """Return what every Writer is made of."""
    budget = replace(CPU_BUDGET, rows=rows_at_once(model)) if placement.device == "cpu" else GPU_BUDGET
    facts = {"model": type(model).__name__}
    return {"tokenizer": tokenizer, "model": model, "decoder": planning.decoder(model, tokenizer), "facts": facts, "budget": budget}
