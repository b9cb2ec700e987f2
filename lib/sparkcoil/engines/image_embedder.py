"""Embeddings of images: what a vision model's own pooler makes of an image, or the vectors of its positions put together."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from sparkcoil.artifact import LoggedModel
from sparkcoil.engines import Placement, embedder, encoder, seeing
from sparkcoil.engines.encoder import NON_FINITE
from sparkcoil.engines.seeing import Seen, Seer
from sparkcoil.errors import ModelError, RowError

# AutoModel would leave the projection of this one out.
PROJECTING = "CLIPVisionModelWithProjection"
# By what ends the name of the weights of a token that stands for the whole image.
CLASS_TOKENS = ("cls_token", "class_embedding")


@dataclass(kw_only=True)
class ImageEmbedder(Seer):
    """An image processor with its model; `forward` gives one vector for each image, in float32."""

    options: Any

    def outputs(self, alike: Sequence[Seen]) -> torch.Tensor:
        """Return the pooled vectors of images of one shape; a model that reads texts too is asked for what it makes of images alone."""
        look = getattr(self.model, "get_image_features", self.model)
        return pooled(look(**self.stacked(alike)), alike, model=self.model, pooling=self.options.pooling)


def embeddings(vectors: torch.Tensor, seen: Sequence[Seen], *, options: Any) -> list[np.ndarray | RowError]:
    """Return the embedding of each image from its pooled vector."""
    rows = encoder.array(embedder.cut(vectors.float(), options.dimensions, normalize=options.normalize))
    return [row if np.isfinite(row).all() else NON_FINITE for row in rows]


def pooled(outputs: Any, seen: Sequence[Seen], *, model: Any, pooling: str | None) -> torch.Tensor:
    """Return one vector for each image, of shape (images, dimensions); raises ModelError where the model does not offer the pooling."""
    own = next((outputs[name] for name in ("image_embeds", "pooler_output") if outputs.get(name) is not None), None)
    if pooling == "mean" or (pooling is None and own is None):
        return mean(outputs.last_hidden_state.float(), seen)
    if pooling == "cls" and any(name.endswith(CLASS_TOKENS) for name, _ in model.named_parameters()):
        return torch.as_tensor(outputs.last_hidden_state[:, 0])
    if pooling == "cls" or own is None:
        lacking = "class token" if pooling == "cls" else "pooler"
        raise ModelError(
            f"model.options.pooling: {type(model).__name__} has no {lacking}, found {pooling}; `mean` is there for every model"
        )
    return torch.as_tensor(own).flatten(1)


def mean(hidden: torch.Tensor, seen: Sequence[Seen]) -> torch.Tensor:
    """Return the mean over positions of hidden states of shape (images, positions, channels) or (images, channels, height, width)."""
    if hidden.ndim == 4:
        return hidden.mean((2, 3))
    if "pixel_attention_mask" not in seen[0].inputs:
        return hidden.mean(1)
    own = torch.stack([each.inputs["pixel_attention_mask"] for each in seen]).to(hidden.device)[:, :, None]
    return hidden.masked_fill(own == 0, 0).sum(1) / own.sum(1)


def load(artifact: Path, options: Any, placement: Placement) -> ImageEmbedder:
    """Return the model of an artifact without its head for labels, and its image processor."""
    architecture = LoggedModel(str(artifact), None, artifact).architecture
    bare = getattr(transformers, architecture.partition("ForImageClassification")[0] + "Model", None)
    if "ForImageClassification" in architecture and bare and "add_pooling_layer" in inspect.signature(bare).parameters:
        # A classifier was trained without a pooler: its weights would be random.
        placement = replace(placement, load_kwargs={"add_pooling_layer": False, **placement.load_kwargs})
    auto_class = PROJECTING if architecture == PROJECTING else "AutoModel"
    seer = seeing.opened(artifact, auto_class, placement, lambda processor: partial(embeddings, options=options))
    if hasattr(seer.model.config, "mask_ratio"):
        # A ViTMAE leaves out patches at random in each forward, which is for its training.
        seer.model.config.mask_ratio = 0.0
    return ImageEmbedder(**vars(seer), options=options)
