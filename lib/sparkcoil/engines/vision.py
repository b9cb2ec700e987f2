"""Models that classify images, such as ViT, Swin, ConvNeXt and ResNet with a head for labels."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sparkcoil.engines import Placement, encoder, seeing
from sparkcoil.engines.seeing import Seen, Seer


def load(artifact: Path, options: Any, placement: Placement) -> Seer:
    """Return the model of an artifact, whose result for an image is its logits in float32."""
    return seeing.opened(artifact, "AutoModelForImageClassification", placement, lambda processor: logits)


def logits(outputs: Any, seen: Sequence[Seen]) -> list[np.ndarray]:
    """Return the logits of each image."""
    return list(encoder.array(outputs.logits))
