"""Images scored by an engine alone, for tests of the tasks that see."""

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tiny_vision
from PIL import Image

from sparkcoil import engines
from sparkcoil.batching import Budget
from sparkcoil.engines import Placement
from sparkcoil.scoring import Scoring
from sparkcoil.tasks import Task


def scoring(task: Task, artifact: Path, *, batch: int = 8, **options: Any) -> Scoring:
    """Return the scoring of a task by a model, with batches of at most so many images."""
    chosen = task.options(**options)
    engine = engines.load(engines.name_of(task, artifact), artifact, chosen, Placement("cpu", "auto"))
    return Scoring(task, engine, chosen, Budget(engine.budget.size * 8, batch))


def batched(scoring: Scoring, batch: int) -> Scoring:
    """Return the same with batches of at most so many images, and nothing remembered."""
    return replace(scoring, budget=Budget(scoring.budget.size, batch), last=None)


def rows(images: Sequence[Any]) -> list[dict[str, Any]]:
    """Return a row for each image, or for each cell that is none."""
    return [{"image": tiny_vision.png(image) if isinstance(image, Image.Image) else image} for image in images]


def mask(file: bytes) -> np.ndarray:
    """Return a mask's pixels, after a look at what kind of file it is."""
    with Image.open(io.BytesIO(file)) as image:
        assert (image.format, image.mode) == ("PNG", "L")
        pixels = np.asarray(image)
    assert set(np.unique(pixels)) <= {0, 255}
    return pixels
