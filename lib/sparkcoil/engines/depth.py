"""Models that estimate how far away each pixel is, such as DPT, Depth Anything, GLPN and ZoeDepth."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

from sparkcoil import png
from sparkcoil.engines import Findings, Placement, apart, encoder, seeing
from sparkcoil.engines.seeing import Seen, Seer
from sparkcoil.errors import RowError


class Depth(NamedTuple):
    """The depths of an image as a picture of its size, and what its black and its white stand for."""

    depth: bytes
    min: float
    max: float


class Measurer(Seer):
    """An image processor with its model; `forward` gives each image's Depth."""

    @torch.inference_mode()
    def examine(self) -> Findings:
        """Return what the model does with images beside others; one of several heads is elected by all images of a batch."""
        elects = getattr(self.bare([self.made_up(0, 0)]), "domain_logits", None) is not None
        return Findings("one by one") if elects else super().examine()


def load(artifact: Path, options: Any, placement: Placement) -> Measurer:
    """Return the model of an artifact, whose result for an image is its Depth."""
    return Measurer(**vars(seeing.opened(artifact, "AutoModelForDepthEstimation", placement, lambda processor: partial(depths, processor))))


def depths(processor: Any, outputs: Any, seen: Sequence[Seen]) -> list[Depth | RowError]:
    """Return the depths of each image, or the row's failure."""
    return apart.each(outputs, seen, partial(pictured, processor))


def pictured(processor: Any, outputs: Any, size: tuple[int, int]) -> Depth:
    """Return the depths of one image, resized to it as its processor does."""
    # Not by name: to ZoeDepth's processor this is the size of the source, to all others that of the target.
    found = processor.post_process_depth_estimation(outputs, [size])[0]["predicted_depth"]
    values = encoder.array(found).reshape(size)
    return Depth(png.depths(values), float(values.min()), float(values.max()))
