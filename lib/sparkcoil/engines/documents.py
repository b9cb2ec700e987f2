"""Models that read documents, such as Donut: an answer is written between two tokens of the model's own."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sparkcoil.engines import Placement, Prepared, vision_language
from sparkcoil.engines.vision_language import Describer, Onset
from sparkcoil.errors import ModelError
from sparkcoil.illustrated import Illustrated
from sparkcoil.steps import Ended, Ending

ANSWER = re.compile(r"<s_answer>(.*)</s_answer>")


@dataclass(frozen=True)
class Answer:
    """What is written between the tokens of an answer, None where they were not, and how likely all that was written is."""

    text: str | None
    score: float


class Weighing(Onset):
    """Adds up how likely the tokens are that greedy rows write; `steps` has the logarithm for each row, step by step."""

    def __init__(self, ended: Ended) -> None:
        super().__init__(ended)
        self.steps: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return the scores, those that are NaN as zero."""
        scores = super().__call__(input_ids, scores)
        self.steps.append(scores.float().log_softmax(dim=-1).amax(dim=-1).cpu())
        return scores


@dataclass(kw_only=True)
class Answerer(Describer):
    """A model that answers questions about documents."""

    def settled(self, batch: Sequence[Prepared]) -> list[Any]:
        """Return the answer to each prompt."""
        return self.written(batch)

    def onset(self, ended: Ended) -> Weighing:
        """Return what notes where answers begin, and how likely they are."""
        return Weighing(ended)

    def told(self, prompt: Illustrated, ending: Ending, sequences: Sequence[Sequence[int]], onset: Any, place: int) -> Answer:
        """Return a row's answer, read as the native pipeline reads it."""
        tokenizer, eos = self.decoder.tokenizer, self.decoder.eos
        tokens = sequences[0][: ending.limit]
        tokens = tokens[: next((i + 1 for i, token in enumerate(tokens) if token in eos), None)]
        text = tokenizer.decode([*ending.context, *tokens])
        for token in (tokenizer.eos_token, tokenizer.pad_token):
            text = text.replace(token, "") if token else text
        found = ANSWER.search(re.sub(r"<.*?>", "", text, count=1).strip())
        likely = sum(float(step[place]) for step in onset.steps[: len(tokens)])
        return Answer(found.group(1).strip() if found else None, math.exp(likely))


def load(artifact: Path, options: Any, placement: Placement) -> Answerer:
    """Return the model of an artifact; raises ModelError for one that is asked otherwise than a Donut."""
    found = vision_language.load(artifact, options, placement)
    kind = found.model.config.encoder.model_type
    if kind != "donut-swin":
        raise ModelError(f"task document-question-answering expects an encoder of type donut-swin, found {kind}; use image-text-to-text")
    return Answerer(reader=found.reader, model=found.model, decoder=found.decoder, facts=found.facts, budget=found.budget)
