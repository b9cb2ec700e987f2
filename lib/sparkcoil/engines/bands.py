"""The labels of an image's pixels, a band of rows at a time: at the size of a photo, the logits of 150 labels would take 7 GiB at once."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from sparkcoil.engines.apart import MOST_VALUES

Labelled = Callable[..., Any]


def labels(post_process: Labelled, logits: torch.Tensor, size: tuple[int, int], *, most: int = MOST_VALUES) -> np.ndarray:
    """Return the likeliest label of each pixel of an image of a height and a width, as its processor resizes the logits.

    Processors resize bilinearly, which is done along one side after the other: here along the height, and for each band along the width.
    """
    height, width = size
    rows = max(1, most // (logits.shape[1] * width))
    if rows >= height:
        return np.asarray(post_process(SimpleNamespace(logits=logits), target_sizes=[size])[0].numpy())
    found = [post_process(SimpleNamespace(logits=band), target_sizes=[(band.shape[2], width)])[0] for band in bands(logits, height, rows)]
    return np.asarray(torch.cat(found).numpy())


def bands(logits: torch.Tensor, height: int, rows: int) -> Iterator[torch.Tensor]:
    """Yield logits resized to a height, so many rows at a time."""
    last = logits.shape[2] - 1
    for start in range(0, height, rows):
        at = ((torch.arange(start, min(start + rows, height)) + 0.5) * (logits.shape[2] / height) - 0.5).clamp(min=0)
        above = at.long().clamp(max=last)
        share = (at - above).clamp(max=1)[:, None]
        yield logits[:, :, above] * (1 - share) + logits[:, :, (above + 1).clamp(max=last)] * share
