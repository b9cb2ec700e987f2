"""Models that cut an image into segments: of labels, such as SegFormer and BEiT, or of things, such as MaskFormer, Mask2Former and DETR."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sparkcoil import png
from sparkcoil.artifact import LoggedModel
from sparkcoil.engines import Placement, apart, bands, seeing
from sparkcoil.engines.seeing import Seen, Seer
from sparkcoil.errors import ModelError, RowError

# In the order in which they are tried where none is asked for.
SUBTASKS = ("panoptic", "instance", "semantic")
THRESHOLDS = ("threshold", "mask_threshold", "overlap_mask_area_threshold")


class Segment(NamedTuple):
    """A segment of an image: its label, how sure the model is of it where it says so, and its pixels as a picture."""

    label_id: int
    score: float | None
    mask: bytes


Cut = Callable[[Any, tuple[int, int]], list[Segment]]


def load(artifact: Path, options: Any, placement: Placement) -> Seer:
    """Return the model of an artifact, whose result for an image is its Segments; raises ModelError for a subtask that it is not for."""
    of_labels = LoggedModel(str(artifact), None, artifact).architecture.endswith("ForSemanticSegmentation")
    auto_class = f"AutoModelFor{'Semantic' if of_labels else 'Universal'}Segmentation"
    seer = seeing.opened(artifact, auto_class, placement, lambda processor: partial(segments, cut_of(processor, options, of_labels)))
    return replace(seer, facts={**seer.facts, "id2label": seer.model.config.id2label})


def cut_of(processor: Any, options: Any, of_labels: bool) -> Cut:
    """Return how one image's outputs are cut into segments, by its processor; raises ModelError where that does not know how."""
    known = {each: found for each in SUBTASKS if (found := getattr(processor, f"post_process_{each}_segmentation", None))}
    subtask = options.subtask or next(iter(known), None)
    if subtask not in known:
        raise ModelError(f"model.options.subtask: expected one of {', '.join(known) or 'none'} with this model, found {subtask}")
    if subtask == "semantic":
        return partial(by_label, partial(banded, known[subtask]) if of_labels else known[subtask])
    return partial(by_thing, partial(known[subtask], **{name: getattr(options, name) for name in THRESHOLDS}))


def segments(cut: Cut, outputs: Any, seen: Sequence[Seen]) -> list[list[Segment] | RowError]:
    """Return the segments of each image, or the row's failure."""
    return apart.each(outputs, seen, cut)


def banded(post_process: Any, outputs: Any, target_sizes: Sequence[tuple[int, int]]) -> list[np.ndarray]:
    """Return the labels of one image's pixels from a model that gives logits for each of them."""
    return [bands.labels(post_process, outputs.logits, size) for size in target_sizes]


def by_label(post_process: Any, outputs: Any, size: tuple[int, int]) -> list[Segment]:
    """Return a segment for each label that an image has, in the labels' order."""
    label_ids = np.asarray(post_process(outputs, target_sizes=[size])[0])
    return [Segment(int(each), None, png.mask(label_ids == each)) for each in np.unique(label_ids)]


def by_thing(post_process: Any, outputs: Any, size: tuple[int, int]) -> list[Segment]:
    """Return a segment for each thing in an image that is sure enough."""
    found = post_process(outputs, target_sizes=[size])[0]
    ids = found["segmentation"].numpy()
    return [Segment(each["label_id"], each["score"], png.mask(ids == each["id"])) for each in found["segments_info"]]
