"""Models that find objects in images, such as DETR, YOLOS and RT-DETR: each family's processor makes objects of what its model gives."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import torch

from sparkcoil.engines import Placement, encoder, seeing
from sparkcoil.engines.encoder import NON_FINITE
from sparkcoil.engines.seeing import Seen, Seer
from sparkcoil.errors import RowError

Process = Callable[..., list[dict[str, torch.Tensor]]]


class Found(NamedTuple):
    """The objects of an image: their scores, the numbers of their labels, and their boxes in whole pixels, of shape (objects, 4)."""

    scores: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray


def load(artifact: Path, options: Any, placement: Placement) -> Seer:
    """Return the model of an artifact, whose result for an image is the objects with a score above the threshold."""
    seer = seeing.opened(
        artifact,
        "AutoModelForObjectDetection",
        placement,
        lambda processor: partial(detected, processor.post_process_object_detection, options.threshold),
    )
    return replace(seer, facts={"labels": seer.model.config.id2label})


def detected(process: Process, threshold: float, outputs: Any, seen: Sequence[Seen]) -> list[Found | RowError]:
    """Return the objects in each image, in pixels of its own size."""
    logits, boxes = outputs.logits.float().cpu(), outputs.pred_boxes.float().cpu()
    # All scores below the threshold and no score at all would look alike afterwards.
    finite = torch.isfinite(logits).all(dim=(1, 2)) & torch.isfinite(boxes).all(dim=(1, 2))
    sizes = torch.tensor([each.size for each in seen], dtype=torch.int32)
    found = process(SimpleNamespace(logits=logits, pred_boxes=boxes), threshold=threshold, target_sizes=sizes)
    return [of_processed(each) if good else NON_FINITE for each, good in zip(found, finite.tolist(), strict=True)]


def of_processed(found: dict[str, torch.Tensor]) -> Found:
    """Return the objects that a processor found, their boxes cut to whole pixels as the native pipelines do it."""
    return Found(encoder.array(found["scores"]), found["labels"].numpy(), found["boxes"].int().numpy())
