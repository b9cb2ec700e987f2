"""Embeddings: hidden states pooled to one vector per text, as the model's own sentence-transformers files say, else by mean."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from sparkcoil import checkpoint, reading
from sparkcoil.artifact import MODEL, LoggedModel
from sparkcoil.engines import Parts, Placement, Prepared, encoder, recipes
from sparkcoil.engines.encoder import NON_FINITE, Encoder
from sparkcoil.engines.recipes import Recipe
from sparkcoil.errors import RowError
from sparkcoil.generation import Request
from sparkcoil.reading import Window


@dataclass(frozen=True)
class Asked:
    """A text, or a window of one, with what its row asks for."""

    request: Request
    window: Window


@dataclass(frozen=True)
class Embedding:
    """The pooled vector of a text, or of a window of one, the number of its tokens, and where they are asked for their vectors."""

    request: Request
    vector: np.ndarray
    tokens: int
    token_vectors: np.ndarray | None = None


@dataclass(kw_only=True)
class Embedder(Encoder):
    """A tokenizer with its model; `forward` gives one Embedding for each text, or window of a text, and `finished` makes them whole."""

    recipe: Recipe = Recipe()

    def prepare(self, items: Sequence[Request]) -> Sequence[Prepared | Parts | RowError]:
        """Return the token ids of every text after the prompt, as much as the model reads."""
        read = self.read([self._prompted(str(each.content)) for each in items])
        return [asked(request, each) for request, each in zip(items, read, strict=True)]

    def _prompted(self, text: str) -> str:
        text = self.recipe.prompt + text
        return text.lower() if self.recipe.lower else text

    @torch.inference_mode()
    def forward(self, batch: Sequence[Prepared]) -> Sequence[Embedding]:
        """Return the pooled vector of each text or window, in float32."""
        windows = [each.features.window for each in batch]
        hidden = self.outputs([each.inputs for each in windows])[0].float()
        vectors = encoder.array(pooled(hidden, windows, self.recipe.pooling))
        tokens = encoder.array(hidden) if self.options.token_embeddings else None
        return [
            Embedding(each.features.request, vectors[i], own.tokens, None if tokens is None else tokens[i, own.begin : own.end])
            for i, (each, own) in enumerate(zip(batch, windows, strict=True))
        ]


def asked(request: Request, read: Prepared | Parts | RowError) -> Prepared | Parts | RowError:
    """Return what was read of a text, with its request."""
    if isinstance(read, Prepared):
        return replace(read, features=Asked(request, reading.window(read)))
    if isinstance(read, Parts):
        return replace(read, parts=tuple(replace(each, features=Asked(request, each.features)) for each in read.parts))
    return read


def pooled(hidden: torch.Tensor, windows: Sequence[Window], pooling: str) -> torch.Tensor:
    """Return one vector for each window from the vectors of its own tokens, whatever padding follows them."""
    if pooling == "cls":
        return hidden[:, 0]
    if pooling == "last":
        return hidden[torch.arange(len(hidden)), [each.length - 1 for each in windows]]
    begins, ends = (torch.tensor([[getattr(each, name)] for each in windows], device=hidden.device) for name in ("begin", "end"))
    places = torch.arange(hidden.shape[1], device=hidden.device)[None, :]
    others = ((places < begins) | (places >= ends))[:, :, None]
    if pooling == "max":
        return hidden.masked_fill(others, -torch.inf).amax(dim=1)
    return hidden.masked_fill(others, 0).sum(dim=1) / (ends - begins)


@torch.inference_mode()
def finished(recipe: Recipe, device: torch.device, texts: Sequence[Embedding | Sequence[Embedding]]) -> list[Embedding | RowError]:
    """Return each text's Embedding after all that the recipe makes of its pooled vector, or of those of its windows."""
    whole = [each if isinstance(each, Embedding) else joined(each, recipe.pooling) for each in texts]
    vectors = torch.from_numpy(np.stack([each.vector for each in whole])).to(device)
    for layer in recipe.layers:
        vectors = layer(vectors)
    sizes = [each.request.options.dimensions for each in whole]
    shaped = {size: encoder.array(cut(vectors, size, normalize=recipe.normalize)) for size in set(sizes)}
    rows = [shaped[size][i] for i, size in enumerate(sizes)]
    return [replace(each, vector=row) if np.isfinite(row).all() else NON_FINITE for each, row in zip(whole, rows, strict=True)]


def cut(vectors: torch.Tensor, size: int | None, *, normalize: bool) -> torch.Tensor:
    """Return the first dimensions of vectors, of length 1 where that is asked for."""
    vectors = vectors[:, :size]
    return torch.nn.functional.normalize(vectors, dim=1) if normalize else vectors


def joined(windows: Sequence[Embedding], pooling: str) -> Embedding:
    """Return a text's Embedding from those of its windows: the mean over all tokens, or of the windows by their tokens, or the maximum."""
    table, tokens = np.stack([each.vector for each in windows]), [each.tokens for each in windows]
    vector = table.max(axis=0) if pooling == "max" else np.average(table, axis=0, weights=tokens).astype(np.float32)
    own = [each.token_vectors for each in windows if each.token_vectors is not None]
    return Embedding(windows[0].request, vector, sum(tokens), np.concatenate(own) if own else None)


def load(artifact: Path, options: Any, placement: Placement) -> Embedder:
    """Return the encoder of an artifact with the recipe of its files, where the options do not say otherwise."""
    recipe = recipes.chosen(recipes.recipe_of(artifact, placement, options), options)
    auto_class, placement = without_pooler(artifact, placement)
    engine = encoder.opened(Embedder, auto_class, artifact, options, placement, recipe=recipe)
    engine.facts = {**engine.facts, "model": type(engine.model).__name__, "finished": partial(finished, recipe, engine.model.device)}
    engine.max_length = min(engine.max_length, recipe.max_tokens or engine.max_length)
    if engine.model.config.is_encoder_decoder:
        engine.model = engine.model.get_encoder()
    engine.model.config.use_cache = False
    return reading.with_stride(engine)


def without_pooler(artifact: Path, placement: Placement) -> tuple[str, Placement]:
    """Return the class by which a model is loaded, and how: without weights that no pooling here uses, and that may not be there.

    A checkpoint of an encoder alone, such as a T5's, is loaded by its own class; a masked language model has no pooler.
    """
    architecture = LoggedModel(str(artifact), None, artifact).architecture
    if architecture.endswith("EncoderModel") and hasattr(transformers, architecture):
        return architecture, placement
    config = transformers.AutoConfig.from_pretrained(artifact / MODEL, **checkpoint.allowed(placement))
    mapping: Any = transformers.AutoModel._model_mapping
    found = mapping.get(type(config), None)
    bare = found[0] if isinstance(found, tuple) else found
    if bare is None or "add_pooling_layer" not in inspect.signature(bare).parameters:
        return "AutoModel", placement
    return "AutoModel", replace(placement, load_kwargs={"add_pooling_layer": False, **placement.load_kwargs})
