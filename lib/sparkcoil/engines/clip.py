"""CLIP, SigLIP and their like, which place images and texts in one space: an image is compared with a sentence for each label."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sparkcoil import batching, checkpoint
from sparkcoil.engines import Placement, Prepared, encoder, seeing
from sparkcoil.engines.places import PADDED, Likening, Places
from sparkcoil.engines.seeing import Seen, Seer, View
from sparkcoil.errors import RowError
from sparkcoil.images import Picture

# SigLIP was trained on texts of this length, and transformers' own pipeline cuts and pads them so.
SIGLIP_PADDED: Mapping[str, Any] = {"padding": "max_length", "max_length": 64, "truncation": True}


@dataclass(kw_only=True)
class Clip(Seer):
    """An image processor, a tokenizer and their model; `forward` gives each image's likeness to each of its labels."""

    places: Places

    def prepare(self, items: Sequence[tuple[Picture, tuple[str, ...]]]) -> list[Prepared | RowError]:
        """Return each image with its labels and the pixels that its header tells, or the row's failure."""
        labels = self.places.of([names for _, names in items])
        views = [each if isinstance(each, RowError) else View(picture, each) for (picture, _), each in zip(items, labels, strict=True)]
        prepared = batching.spread(views, super().prepare)
        return [each if isinstance(each, RowError) else replace(each, warnings=each.features.asked.warnings) for each in prepared]

    def outputs(self, alike: Sequence[Seen]) -> Any:
        """Return what the model makes of images alone."""
        return self.model.get_image_features(**self.stacked(alike))


def likenings(outputs: Any, seen: Sequence[Seen]) -> list[Likening | RowError]:
    """Return how like each of its labels each image is."""
    return [each.asked.likening(vector) for each, vector in zip(seen, encoder.array(outputs.pooler_output), strict=True)]


def load(artifact: Path, options: Any, placement: Placement) -> Clip:
    """Return the model of an artifact with its image processor and tokenizer; a SigLIP's labels are scored each by itself."""
    seer = seeing.opened(artifact, "AutoModelForZeroShotImageClassification", placement, lambda processor: likenings)
    model, tokenizer = seer.model, checkpoint.load_tokenizer(artifact, placement)
    apart = "siglip" in model.config.model_type
    scale, bias = float(model.logit_scale.detach().float().exp()), float(model.logit_bias.detach()) if apart else 0.0
    places = Places(tokenizer, model, options.hypothesis_template, scale, bias, SIGLIP_PADDED if apart else PADDED)
    return Clip(**{**vars(seer), "facts": {"function": "sigmoid" if apart else "softmax"}}, places=places)
