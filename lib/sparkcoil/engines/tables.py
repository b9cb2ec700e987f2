"""Questions about tables, by TAPAS models: question and table are one input, and cells that the model is sure of are the answer."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch

from sparkcoil.engines import Placement, Prepared, encoder
from sparkcoil.engines.encoder import NON_FINITE, Encoder
from sparkcoil.errors import ModelError, RowError
from sparkcoil.reading import Inputs

# Numbers by which a token's place in its table is told.
TYPES = 7


class Question(NamedTuple):
    """A question with the table that it is about: every cell is text."""

    query: str
    columns: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Selection:
    """The cells that answer a question, row by row, and what is to be done with them; no aggregator where the model knows none."""

    cells: tuple[str, ...]
    aggregator: str | None


@dataclass(kw_only=True)
class Tables(Encoder):
    """A tokenizer with its model; `forward` gives one Selection for each question."""

    def prepare(self, items: Sequence[tuple[Any, ...]]) -> list[Prepared | RowError]:
        """Return every question with its table, without the last rows where they do not fit, or the failure of a question too long."""
        return [self._attempted(Question(*each)) for each in items]

    def made_up(self, length: int, number: int) -> Inputs:
        """Return an input of so many tokens, all of them of the question."""
        return {**super().made_up(length, number), "token_type_ids": [[0] * TYPES] * length}

    def _attempted(self, item: Question) -> Prepared | RowError:
        try:
            return self._fitted(item)
        except ValueError:
            # What the tokenizer raises for too many columns, and where the question leaves no room for the table's header.
            return RowError("input", "too_long", f"question and header do not fit into the {self.max_length} tokens that the model reads")

    def _fitted(self, item: Question) -> Prepared | RowError:
        # Of a question and its table together, the tokenizer also finds every number and date, which takes long in a long question.
        if len(self.tokenizer.tokenize(item.query)) > self.max_length:
            return RowError("input", "too_long", f"the question has more than the {self.max_length} tokens that the model reads")
        table = pd.DataFrame(list(item.cells), columns=list(item.columns))
        # Cutting drops the last rows, and shortens cells too: only the whole length tells whether anything is lost.
        whole = dict(self.tokenizer(table, item.query)) if len(table) < self.tokenizer.max_row_id else None
        truncated = whole is None or len(whole["input_ids"]) > self.max_length
        inputs = whole if whole and not truncated else self._cut(table, item.query)
        length = len(inputs["input_ids"])
        if length > self.max_length or (truncated and self.options.truncation == "fail"):
            return RowError("input", "too_long", f"question and table have more than the {self.max_length} tokens that the model reads")
        return Prepared((inputs, item.cells), length, ("truncated",) if truncated else ())

    def _cut(self, table: pd.DataFrame, query: str) -> dict[str, Any]:
        return dict(self.tokenizer(table, query, truncation="drop_rows_to_fit", max_length=self.max_length))

    @torch.inference_mode()
    def forward(self, batch: Sequence[Prepared]) -> Sequence[Selection | RowError]:
        """Return the cells that answer each question."""
        output = self.outputs([each.features[0] for each in batch])
        logits, aggregations = output.logits.float().cpu(), output.logits_aggregation
        return [
            self._selection(each, logits[i : i + 1, : each.length], None if aggregations is None else aggregations[i].float().cpu())
            for i, each in enumerate(batch)
        ]

    def _selection(self, question: Prepared, logits: torch.Tensor, aggregation: torch.Tensor | None) -> Selection | RowError:
        if not math.isfinite(float(logits.sum())):
            return NON_FINITE
        inputs, cells = question.features
        data = {name: torch.tensor([values]) for name, values in inputs.items()}
        found = self.tokenizer.convert_logits_to_predictions(data, logits.clone())[0]
        chosen = tuple(cells[row][column] for row, column in (found[0] if found else []))
        labels = self.model.config.aggregation_labels
        return Selection(chosen, None if aggregation is None or not labels else str(labels[int(aggregation.argmax())]))


def load(artifact: Path, options: Any, placement: Placement) -> Tables:
    """Return the TAPAS model of an artifact, with the name of the aggregator that does nothing."""
    engine = encoder.opened(Tables, "AutoModelForTableQuestionAnswering", artifact, options, placement)
    config = engine.model.config
    if config.model_type != "tapas":
        raise ModelError(f"expected a TAPAS model, found {config.model_type}; a model that writes answers is one for text2text-generation")
    labels, index = config.aggregation_labels or {}, config.no_aggregation_label_index
    engine.facts = {**engine.facts, "no_aggregation": labels.get(index)}
    return engine
