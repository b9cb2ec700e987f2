"""What a model gives for a batch of images, one image at a time: a result as large as its image is made, and is let go, before the next."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from sparkcoil.engines import encoder
from sparkcoil.engines.seeing import Seen
from sparkcoil.errors import RowError

# Values of what is as large as its image that are at hand at once: 512 MiB in float32.
MOST_VALUES = 2**27


@dataclass(frozen=True)
class Alone:
    """The outputs for one image of a batch, in float32 on the CPU: only those that are asked for come from where the model is."""

    outputs: Any
    index: int

    def __getattr__(self, name: str) -> Any:
        values = getattr(self.outputs, name)
        if not isinstance(values, torch.Tensor):
            return values
        own = values[self.index : self.index + 1].float().cpu()
        if not torch.isfinite(own).all():
            raise encoder.NON_FINITE
        return own


def each(outputs: Any, seen: Sequence[Seen], make: Callable[[Any, tuple[int, int]], Any]) -> list[Any]:
    """Return what is made of each image's outputs and of its height and width, or the row's failure."""
    return [made(make, Alone(outputs, i), one.size) for i, one in enumerate(seen)]


def made(make: Callable[[Any, tuple[int, int]], Any], alone: Any, size: tuple[int, int]) -> Any:
    """Return what is made of one image's outputs and of its height and width, or the row's failure."""
    try:
        return make(alone, size)
    except RowError as error:
        return error
