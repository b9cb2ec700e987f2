"""SAM, SAM-HQ and SAM 2, which cut out what lies at a point of an image: an image is looked at once, and asked at each point of a grid."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torchvision.ops import batched_nms  # type: ignore[import-untyped]

from sparkcoil import png
from sparkcoil.engines import Placement, apart, seeing
from sparkcoil.engines.apart import MOST_VALUES
from sparkcoil.engines.encoder import NON_FINITE
from sparkcoil.engines.seeing import Seen, Seer
from sparkcoil.errors import RowError

# Points in one forward pass of what decodes masks, as the native pipeline has it.
POINTS = 64

# Gives masks at points, of shape (points, masks, height, width), and how good each is.
Decode = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


class Mask(NamedTuple):
    """What was cut out of an image: how good the model takes its mask to be, and the mask as a picture."""

    score: float
    mask: bytes


class Good(NamedTuple):
    """Masks that are good enough: run lengths of their pixels, their scores, and the boxes around them, of shape (masks, 4)."""

    runs: Sequence[Mapping[str, Any]]
    scores: torch.Tensor
    boxes: torch.Tensor


class Sam(Seer):
    """An image processor with its model; what the model gives for an image is a function that gives masks at points of it."""

    def bare(self, alike: Sequence[Seen]) -> Any:
        """Return what the model makes of images alone."""
        return self.model.get_image_embeddings(self.stacked(alike)["pixel_values"])

    def outputs(self, alike: Sequence[Seen]) -> list[Decode]:
        """Return for each image what gives masks at its points."""
        found = self.bare(alike)
        # SAM-HQ gives what its layers make of an image too.
        parts = dict(zip(("image_embeddings", "intermediate_embeddings"), found if isinstance(found, tuple) else (found,), strict=False))
        return [partial(self._decoded, {name: own(each, i) for name, each in parts.items()}) for i in range(len(alike))]

    def _decoded(self, embedded: Mapping[str, Any], points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        points = points.to(self.model.device)
        inside = torch.ones(points.shape[:-1], dtype=torch.int64, device=points.device)
        found = self.model(**embedded, input_points=points, input_labels=inside)
        return found.pred_masks[0].float(), found.iou_scores[0].float()


def own(values: Any, index: int) -> Any:
    """Return what one image of a batch has of a tensor, or of a list of them."""
    return values[index : index + 1] if isinstance(values, torch.Tensor) else [own(each, index) for each in values]


@dataclass(frozen=True)
class Cutting:
    """How masks are cut out of what is decoded at points: by the model's image processor, one image at a time, as natively."""

    processor: Any
    options: Any

    def masks(self, decoders: Sequence[Decode], seen: Sequence[Seen]) -> list[list[Mask] | RowError]:
        """Return the masks of each image, or the row's failure."""
        return [apart.made(partial(self.in_image, one), decode, one.size) for decode, one in zip(decoders, seen, strict=True)]

    def in_image(self, seen: Seen, decode: Any, size: tuple[int, int]) -> list[Mask]:
        """Return the masks of one image, best first: of those whose boxes are nearly the same the best."""
        box, points = self.grid(size)
        asked = (points[:, start : start + POINTS] for start in range(0, points.shape[1], POINTS))
        found = [good for some in asked for good in self.good(seen, box, *decode(some))]
        if not found:
            return []
        runs = [each for some in found for each in some.runs]
        scores, boxes = torch.cat([each.scores for each in found]), torch.cat([each.boxes for each in found])
        chosen = batched_nms(boxes.float(), scores, torch.zeros(len(runs)), self.options.crops_nms_thresh)
        return [Mask(score, png.mask(pixels(runs[i]))) for i, score in zip(chosen.tolist(), scores[chosen].tolist(), strict=True)]

    def grid(self, size: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the box around an image and the points at which it is asked, of shape (1, points, 1, 2), as the model sees it."""
        target = self.processor.size.get("longest_edge", self.processor.size.get("height"))
        blank = Image.new("RGB", size[::-1])
        boxes, points, _, _ = self.processor.generate_crop_boxes(blank, target, points_per_crop=self.options.points_per_crop)
        return boxes[0], points

    def good(self, seen: Seen, box: torch.Tensor, masks: torch.Tensor, scores: torch.Tensor) -> Iterator[Good]:
        """Yield the masks that are good enough, so many at a time; those of too low a score are not made as large as the image at all."""
        if not (torch.isfinite(masks).all() and torch.isfinite(scores).all()):
            raise NON_FINITE
        least = self.options.pred_iou_thresh
        sure = scores > least if least > 0 else torch.ones_like(scores, dtype=torch.bool)
        # Processors make masks as large as what the model sees before they make them as large as the image.
        each = max(seen.size[0] * seen.size[1], seen.inputs["pixel_values"][0].numel())
        masks, scores, at_once = masks[sure], scores[sure], max(1, MOST_VALUES // each)
        for start in range(0, len(masks), at_once):
            yield self.cut(seen, box, masks[start : start + at_once], scores[start : start + at_once])

    def cut(self, seen: Seen, box: torch.Tensor, masks: torch.Tensor, scores: torch.Tensor) -> Good:
        """Return those masks of shape (masks, height, width) that hardly depend on the threshold, cut out at the image's size."""
        given = self.options
        reshaped = [seen.inputs["reshaped_input_sizes"].tolist()] if "reshaped_input_sizes" in seen.inputs else None
        large = self.processor.post_process_masks([masks[:, None]], [seen.size], reshaped_input_sizes=reshaped, binarize=False)[0]
        return Good(
            *self.processor.filter_masks(
                large,
                scores[:, None],
                seen.size,
                box,
                given.pred_iou_thresh,
                given.stability_score_thresh,
                given.mask_threshold,
                given.stability_score_offset,
            )
        )


def pixels(runs: Mapping[str, Any]) -> np.ndarray:
    """Return the pixels that run lengths stand for, which go down column by column, outside and inside by turns."""
    inside = np.arange(len(runs["counts"])) % 2 == 1
    height, width = runs["size"]
    return np.repeat(inside, runs["counts"]).reshape(width, height).T


def load(artifact: Path, options: Any, placement: Placement) -> Sam:
    """Return the model of an artifact, whose result for an image is its Masks."""
    return Sam(
        **vars(seeing.opened(artifact, "AutoModelForMaskGeneration", placement, lambda processor: Cutting(processor, options).masks))
    )
