"""OWL-ViT and OWLv2, which find in images what texts say: an image is looked at once, however many labels it may get."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import torch

from sparkcoil import batching, checkpoint
from sparkcoil.engines import Placement, Prepared, detection, places, seeing
from sparkcoil.engines.detection import Found, Process
from sparkcoil.engines.seeing import Seen, Seer, View
from sparkcoil.errors import RowError
from sparkcoil.images import Picture


class Asked(NamedTuple):
    """The labels that an image may get, and what the model makes of each of them, of shape (labels, dimensions)."""

    labels: tuple[str, ...]
    queries: torch.Tensor


class Sought(NamedTuple):
    """The objects that were found in an image, best first, with the labels that theirs are the numbers of."""

    labels: tuple[str, ...]
    found: Found


@dataclass(kw_only=True)
class Owl(Seer):
    """An image processor, a tokenizer and their model; `forward` gives the objects of each image that its labels ask for.

    What the model makes of labels is computed once for a window, and kept for the next one.
    """

    tokenizer: Any
    queries: Mapping[str, torch.Tensor | RowError] = field(default_factory=dict)

    def prepare(self, items: Sequence[tuple[Picture, tuple[str, ...]]]) -> list[Prepared | RowError]:
        """Return each image with what its labels ask for and the pixels that its header tells, or the row's failure."""
        labels = dict.fromkeys(label for _, names in items for label in names)
        known = {label: self.queries[label] for label in labels if label in self.queries}
        self.queries = {**known, **self.read([label for label in labels if label not in known])}
        return batching.spread([self._view(*each) for each in items], super().prepare)

    def _view(self, picture: Picture, labels: tuple[str, ...]) -> View | RowError:
        found = [self.queries[label] for label in labels]
        failed = next((each for each in found if isinstance(each, RowError)), None)
        return failed or View(picture, Asked(labels, torch.stack([each for each in found if isinstance(each, torch.Tensor)])))

    @torch.inference_mode()
    def read(self, labels: Sequence[str]) -> dict[str, torch.Tensor | RowError]:
        """Return what the model makes of each label, or the failure of a row that asks for one that is too long."""
        ids = [self.tokenizer(label)["input_ids"] for label in labels]
        limit = min(self.tokenizer.model_max_length, self.model.config.text_config.max_position_embeddings)
        queries: dict[str, torch.Tensor | RowError] = {
            label: RowError("input", "too_long", f"a label has {len(each)} tokens, more than the {limit} that are read")
            for label, each in zip(labels, ids, strict=True)
        }
        lengths = [len(each) for each in ids]
        for some in places.batches([i for i, each in enumerate(lengths) if each <= limit], lengths, alike=True):
            inputs = self.tokenizer.pad({"input_ids": [ids[i] for i in some]}, return_tensors="pt").to(self.model.device)
            given = {name: inputs[name] for name in ("input_ids", "attention_mask")}
            vectors = self.model.base_model.get_text_features(**given).pooler_output
            queries.update({labels[i]: vector for i, vector in zip(some, vectors, strict=True)})
        return queries

    def bare(self, alike: Sequence[Seen]) -> Any:
        """Return what the model makes of images alone."""
        return self.model.image_embedder(**self.stacked(alike))

    def outputs(self, alike: Sequence[Seen]) -> Any:
        """Return the logits of each image's labels, of shape (places, labels), and the boxes at its places."""
        feature_map, _ = self.model.image_embedder(**self.stacked(alike))
        features = feature_map.flatten(1, 2)
        logits = [
            self.model.class_predictor(each[None], seen.asked.queries[None])[0][0] for each, seen in zip(features, alike, strict=True)
        ]
        return SimpleNamespace(logits=logits, pred_boxes=self.model.box_predictor(features, feature_map))


def sought(process: Process, threshold: float, outputs: Any, seen: Sequence[Seen]) -> list[Sought | RowError]:
    """Return the objects in each image whose score for a label is above the threshold."""
    return [
        in_image(process, threshold, logits, boxes, each)
        for logits, boxes, each in zip(outputs.logits, outputs.pred_boxes, seen, strict=True)
    ]


def in_image(process: Process, threshold: float, logits: torch.Tensor, boxes: torch.Tensor, seen: Seen) -> Sought | RowError:
    """Return the objects in one image, best first; every label is looked for by itself, so that a place may have several."""
    count = logits.shape[1]
    by_label = SimpleNamespace(logits=logits.T[:, :, None], pred_boxes=boxes.expand(count, -1, -1))
    each_label = detection.detected(process, threshold, by_label, [seen] * count)
    failed = next((each for each in each_label if isinstance(each, RowError)), None)
    return failed or Sought(seen.asked.labels, best_first([each for each in each_label if isinstance(each, Found)]))


def best_first(each_label: Sequence[Found]) -> Found:
    """Return the objects of all labels as one, sorted by their scores, with the numbers of those labels."""
    scores = np.concatenate([each.scores for each in each_label])
    labels = np.repeat(np.arange(len(each_label)), [len(each.scores) for each in each_label])
    order = np.argsort(-scores, kind="stable")
    return Found(scores[order], labels[order], np.concatenate([each.boxes for each in each_label])[order])


def load(artifact: Path, options: Any, placement: Placement) -> Owl:
    """Return the OWL model of an artifact with its image processor and tokenizer."""
    seer = seeing.opened(
        artifact,
        "AutoModelForZeroShotObjectDetection",
        placement,
        lambda processor: partial(sought, processor.post_process_object_detection, options.threshold),
    )
    return Owl(**vars(seer), tokenizer=checkpoint.load_tokenizer(artifact, placement))
