"""Zero-shot classification by entailment: a text is paired with one hypothesis for each label, all pairs of a window batched together."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from sparkcoil import reading
from sparkcoil.engines import Parts, Placement, Prepared, encoder
from sparkcoil.engines.encoder import NON_FINITE, Encoder
from sparkcoil.errors import RowError
from sparkcoil.reading import Inputs, Text


class Hypothesis(NamedTuple):
    """A label, the sentence that it is put into, and the number of the sentence's tokens."""

    label: str
    text: str
    tokens: int


@dataclass(frozen=True)
class Pair:
    """A text, or one of its `windows`, together with a label's hypothesis; `tokens` are those of the text that are the window's own."""

    label: str
    inputs: Inputs
    tokens: int = 1
    windows: int = 1


@dataclass(frozen=True)
class Verdict:
    """What the model makes of a pair: how much the text entails the label's hypothesis, and how much it contradicts it."""

    pair: Pair
    entailment: float
    contradiction: float


@dataclass(kw_only=True)
class Entailment(Encoder):
    """A tokenizer with its model; `forward` gives one Verdict for each pair of a text, or of a window of it, and a label."""

    def prepare(self, items: Sequence[tuple[str, Sequence[str]]]) -> list[Parts | RowError]:
        """Return each text's pairs with its labels' hypotheses, the text cut or in windows to leave room for them."""
        room = self.max_length - self.tokenizer.num_special_tokens_to_add(pair=True)
        known = {label: self._hypothesis(label) for _, labels in items for label in labels}
        asked = [(text, [known[label] for label in labels]) for text, labels in items]
        # Where a hypothesis alone is too long, no cut of the text would help, and the tokenizer would raise for the whole window.
        fits = [all(each.tokens < room for each in hypotheses) for _, hypotheses in asked]
        pairs: list[Text] = [(text, each.text) for (text, hypotheses), fit in zip(asked, fits, strict=True) if fit for each in hypotheses]
        cut = iter(self.cut(pairs, "only_first"))
        return [
            self._row(text, hypotheses, [next(cut) for _ in hypotheses])
            if fit
            else RowError("input", "too_long", f"a label leaves none of {self.max_length} tokens for the text")
            for (text, hypotheses), fit in zip(asked, fits, strict=True)
        ]

    def _hypothesis(self, label: str) -> Hypothesis:
        text = self.options.hypothesis_template.replace("{}", label)
        return Hypothesis(label, text, len(self.tokenizer(text, add_special_tokens=False)["input_ids"]))

    def _row(self, text: str, hypotheses: Sequence[Hypothesis], cut: Sequence[Prepared | RowError]) -> Parts | RowError:
        found = pairs_of(hypotheses, cut)
        too_long = isinstance(found, Parts) and "truncated" in found.warnings
        return self._in_windows(text, hypotheses) if too_long and self.truncation == "stride" else found

    def _in_windows(self, text: str, hypotheses: Sequence[Hypothesis]) -> Parts | RowError:
        longest = max(each.tokens for each in hypotheses)
        parts: list[Prepared] = []
        for hypothesis in hypotheses:
            # As much of the text as stands beside the longest hypothesis, so that every label is asked about the same windows.
            (read,) = self.windows([(text, hypothesis.text)], 0, self.max_length - longest + hypothesis.tokens)
            if isinstance(read, RowError):
                return read
            windows = self.bounded(read, 0)
            parts += [Prepared(Pair(hypothesis.label, each.inputs, each.tokens, len(windows)), each.length) for each in windows]
        return Parts(tuple(parts))

    @torch.inference_mode()
    def forward(self, batch: Sequence[Prepared]) -> Sequence[Verdict | RowError]:
        """Return what the model makes of each pair."""
        logits = encoder.array(self.logits([each.features.inputs for each in batch]))
        entailment, contradiction = self.facts["entailment"], self.facts["contradiction"]
        return [
            Verdict(each.features, float(row[entailment]), float(row[contradiction])) if np.isfinite(row).all() else NON_FINITE
            for each, row in zip(batch, logits, strict=True)
        ]


def pairs_of(hypotheses: Sequence[Hypothesis], cut: Sequence[Prepared | RowError]) -> Parts | RowError:
    """Return one row's pairs, or the failure of the first that could not be made."""
    failed = next((each for each in cut if isinstance(each, RowError)), None)
    if failed is not None:
        return failed
    pairs = [each for each in cut if isinstance(each, Prepared)]
    parts = tuple(Prepared(Pair(known.label, each.features), each.length) for known, each in zip(hypotheses, pairs, strict=True))
    return Parts(parts, tuple(dict.fromkeys(warning for each in pairs for warning in each.warnings)))


def load(artifact: Path, options: Any, placement: Placement) -> Entailment:
    """Return the entailment model of an artifact; a model that does not name the label `entailment` is taken to have it last."""
    engine = encoder.classifier(encoder.opened(Entailment, "AutoModelForSequenceClassification", artifact, options, placement))
    labels = [label.lower() for label in engine.facts["labels"]]
    entailment = next((i for i, label in enumerate(labels) if label.startswith("entail")), -1)
    engine.facts = {**engine.facts, "entailment": entailment, "contradiction": -1 if entailment == 0 else 0}
    return reading.with_stride(engine)
