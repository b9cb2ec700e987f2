"""What engines that see have in common: headers are probed for a window, images are decoded for the batch at hand alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from sparkcoil import batching, checkpoint, trial
from sparkcoil.batching import Batching, Budget
from sparkcoil.engines import Findings, Placement, Prepared, encoder
from sparkcoil.engines.ahead import Ahead
from sparkcoil.errors import ModelError, RowError
from sparkcoil.images import Picture
from sparkcoil.tasks import Facts

# Pixels in one batch as the model takes them: ten images of 224 x 224 on a CPU, three hundred on a GPU.
CPU_BUDGET, GPU_BUDGET = Budget(2**19, 64), Budget(2**24, 1024)
# What is longer than this many times its width would be blown up by a processor that brings the shorter side to a size of its own.
LONGEST_SIDE = 100
TOO_NARROW = RowError("input", "image_too_narrow", f"one side of the image is more than {LONGEST_SIDE} times as long as the other")
# Heights and widths by which is seen whether a processor makes all images equal, and how many other sizes are remembered.
PROBED = ((64, 48), (90, 150))
REMEMBERED_SIZES = 4096

Inputs = Mapping[str, torch.Tensor]
Finish = Callable[[Any, Sequence["Seen"]], Sequence[Any]]


@dataclass(frozen=True, eq=False)
class View:
    """An image with what a row asks of it, such as labels; the features of its Prepared."""

    picture: Picture
    asked: Any = None


@dataclass(frozen=True, eq=False)
class Seen:
    """An image as the model takes it, its own height and width, and what was asked of it."""

    inputs: Inputs
    size: tuple[int, int]
    asked: Any

    @property
    def shape(self) -> tuple[tuple[int, ...], ...]:
        """Return the shapes of the inputs: images of one shape share a forward pass."""
        return tuple(tuple(each.shape) for each in self.inputs.values())


def size_of(picture: Picture) -> tuple[int, int]:
    """Return an image's height and width by its header alone; raises RowError, also for one that is hardly wider than a line."""
    size = picture.size()
    if max(size) > LONGEST_SIDE * min(size):
        raise TOO_NARROW
    return size


class Eye(Ahead):
    """Looks at images ahead of their batch: decodes them, and has the model's processor resize and normalise them."""

    def __init__(self, processor: Any) -> None:
        super().__init__(self._seen, "image")
        self.processor = processor
        self._probed = lru_cache(REMEMBERED_SIZES)(self._tried)
        first, second = map(self._tried, PROBED)
        self.area = first if first == second else None

    def areas(self, pictures: Sequence[Picture]) -> list[int | RowError]:
        """Return how many pixels of each image the model will take, or the row's failure, by headers alone."""
        return self.each(self._area_of, pictures)

    def _area_of(self, picture: Picture) -> int:
        size = size_of(picture)
        return self._probed(size) if self.area is None else self.area

    def _tried(self, size: tuple[int, int]) -> int:
        """Return the pixels that the processor makes of an image of a height and a width, by trying it on a grey one."""
        height, width = self.processed(Image.new("RGB", size[::-1], "grey"))["pixel_values"].shape[-2:]
        return int(height * width)

    def processed(self, image: Image.Image) -> Inputs:
        """Return one image as the model takes it, without a dimension for the batch; raises RowError where the processor cannot."""
        try:
            found = self.processor(images=image, return_tensors="pt")
        except Exception as error:
            if batching.is_fatal(error) or batching.is_out_of_memory(error):
                raise
            told = f"the model's image processor takes no image of {image.width} x {image.height} pixels ({type(error).__name__})"
            raise RowError("input", "image_refused", told) from None
        return {name: each[0] for name, each in found.items() if isinstance(each, torch.Tensor)}

    def _seen(self, view: View) -> Seen:
        with self.timed("decode"):
            values = view.picture.pixels().values
        with self.timed("features"):
            return Seen(self.processed(Image.fromarray(values)), values.shape[:2], view.asked)


@dataclass
class Seer:
    """An image processor with its model; `finish` makes one result for each image of what the model gives for a batch.

    Where processed images differ in size, only those of equal shape share a forward pass: padding would change results.
    """

    eye: Eye
    model: Any
    finish: Finish
    facts: Facts
    budget: Budget
    unit: str = "kilopixels"
    per_unit: float = 1_000.0
    batching: Batching = "exact lengths"
    findings: Findings = Findings()

    def prepare(self, items: Sequence[Any]) -> list[Prepared | RowError]:
        """Return each image with the pixels that its header tells; nothing is decoded yet."""
        views = [each if isinstance(each, View) else View(each) for each in items]
        known = self.eye.areas([each.picture for each in views])
        return [each if isinstance(each, RowError) else Prepared(view, each) for view, each in zip(views, known, strict=True)]

    def expect(self, batch: Sequence[Prepared]) -> None:
        """Start to look at what a batch to come will need."""
        self.eye.expect(batch)

    def spent(self) -> Mapping[str, float]:
        """Return what looking took."""
        return self.eye.spent()

    def forward(self, batch: Sequence[Prepared]) -> Sequence[Any]:
        """Return the result for each image; one that cannot be decoded fails by itself."""
        return batching.spread(self.eye.taken(batch), self._results)

    @torch.inference_mode()
    def _results(self, seen: Sequence[Seen]) -> list[Any]:
        found: dict[int, Any] = {}
        for shape in dict.fromkeys(each.shape for each in seen):
            group = [i for i, each in enumerate(seen) if each.shape == shape]
            alike = [seen[i] for i in group]
            found.update(zip(group, self.finish(self.outputs(alike), alike), strict=True))
        return [found[i] for i in range(len(seen))]

    def examine(self) -> Findings:
        """Return whether the model gives an image of one shape the same beside others, and after one of another shape."""

        @torch.inference_mode()
        def ask(probes: Sequence[trial.Probe]) -> Sequence[trial.Answer]:
            seen = [self.made_up(*each) for each in probes]
            # Where places are ranked, such as in detection, near ties may change them.
            return [[np.sort(values, axis=None) for values in answer] for answer in trial.answers_of(self.bare(seen), len(seen))]

        return trial.examine(self.model, ask, [0], 1)

    def made_up(self, shape: int, number: int) -> Seen:
        """Return a noise of one of two shapes, which its number determines."""
        height, width = PROBED[shape]
        values = np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)
        return Seen(self.eye.processed(Image.fromarray(values)), (height, width), None)

    def follow(self, findings: Findings) -> None:
        """Look at images one by one where others beside one would change what is seen in it, else at those of one size."""
        sizes: Batching = "padded" if self.eye.area is not None else "exact lengths"
        self.batching = "one by one" if findings.batching == "one by one" else sizes

    def bare(self, alike: Sequence[Seen]) -> Any:
        """Return what the model makes of images, whatever is asked of them."""
        return self.outputs(alike)

    def outputs(self, alike: Sequence[Seen]) -> Any:
        """Return what the model gives for images of one shape."""
        return self.model(**self.stacked(alike))

    def stacked(self, alike: Sequence[Seen]) -> dict[str, torch.Tensor]:
        """Return the inputs of images of one shape as a batch where the model is, in its number format."""
        tables = {name: torch.stack([each.inputs[name] for each in alike]) for name in alike[0].inputs}
        return {name: each.to(self.model.device, self.model.dtype if each.is_floating_point() else None) for name, each in tables.items()}


def opened(artifact: Path, auto_class: str, placement: Placement, finish: Callable[[Any], Finish]) -> Seer:
    """Return the engine of an artifact's model and its image processor, from which `finish` is made."""
    processor = checkpoint.load_image_processor(artifact, placement)
    if "pixel_values" not in processor.model_input_names:
        name = type(processor).__name__
        raise ModelError(f"{name} makes {', '.join(processor.model_input_names)} of an image, and only models that see pixels are scored")
    model = checkpoint.load_model(artifact, auto_class, placement)
    budget = CPU_BUDGET if placement.device == "cpu" else GPU_BUDGET
    return Seer(Eye(processor), model, finish(processor), encoder.facts(model.config), budget)
