"""Zero-shot classification by entailment: a text is paired with one hypothesis for each label, all pairs of a window batched together."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sparkcoil.engines import Parts, Placement, Prepared, encoder
from sparkcoil.engines.encoder import NON_FINITE, Encoder, Text
from sparkcoil.errors import RowError


@dataclass(frozen=True)
class Verdict:
    """What the model makes of one label: how much the text entails its hypothesis, and how much it contradicts it."""

    label: str
    entailment: float
    contradiction: float


@dataclass(kw_only=True)
class Entailment(Encoder):
    """A tokenizer with its model; `forward` gives one Verdict for each pair of a text and a label."""

    def prepare(self, items: Sequence[tuple[str, Sequence[str]]]) -> list[Parts | RowError]:
        """Return each text's pairs with its labels' hypotheses, the text cut to leave room for them."""
        room = self.max_length - self.tokenizer.num_special_tokens_to_add(pair=True)
        hypotheses = {label: self.options.hypothesis_template.replace("{}", label) for _, labels in items for label in labels}
        # Where a hypothesis alone is too long, no cut of the text would help, and the tokenizer would raise for the whole window.
        fits = {label: len(self.tokenizer(text, add_special_tokens=False)["input_ids"]) < room for label, text in hypotheses.items()}
        good = [(text, labels) for text, labels in items if all(fits[label] for label in labels)]
        pairs: list[Text] = [(text, hypotheses[label]) for text, labels in good for label in labels]
        cut = iter(self.cut(pairs, "only_first"))
        return [
            pairs_of(labels, [next(cut) for _ in labels])
            if all(fits[label] for label in labels)
            else RowError("input", "too_long", f"a label leaves none of {self.max_length} tokens for the text")
            for _, labels in items
        ]

    @torch.inference_mode()
    def forward(self, batch: Sequence[Prepared]) -> Sequence[Verdict | RowError]:
        """Return what the model makes of each pair."""
        logits = encoder.array(self.outputs([each.features[1] for each in batch]).logits)
        entailment, contradiction = self.facts["entailment"], self.facts["contradiction"]
        return [
            Verdict(each.features[0], float(row[entailment]), float(row[contradiction])) if np.isfinite(row).all() else NON_FINITE
            for each, row in zip(batch, logits, strict=True)
        ]


def pairs_of(labels: Sequence[str], cut: Sequence[Prepared | RowError]) -> Parts | RowError:
    """Return one row's pairs, or the failure of the first that could not be made."""
    failed = next((each for each in cut if isinstance(each, RowError)), None)
    if failed is not None:
        return failed
    pairs = [each for each in cut if isinstance(each, Prepared)]
    parts = tuple(Prepared((label, each.features), each.length) for label, each in zip(labels, pairs, strict=True))
    return Parts(parts, tuple(dict.fromkeys(warning for each in pairs for warning in each.warnings)))


def load(artifact: Path, options: Any, placement: Placement) -> Entailment:
    """Return the entailment model of an artifact; a model that does not name the label `entailment` is taken to have it last."""
    engine = encoder.classifier(encoder.opened(Entailment, "AutoModelForSequenceClassification", artifact, options, placement))
    labels = [label.lower() for label in engine.facts["labels"]]
    entailment = next((i for i, label in enumerate(labels) if label.startswith("entail")), -1)
    engine.facts = {**engine.facts, "entailment": entailment, "contradiction": -1 if entailment == 0 else 0}
    return engine
