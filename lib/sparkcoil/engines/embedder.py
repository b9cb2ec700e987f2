"""Embeddings: hidden states pooled to one vector per text, as the model's own sentence-transformers files say, else by mean."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from sparkcoil.engines import Placement, Prepared, encoder
from sparkcoil.engines.encoder import NON_FINITE, Encoder
from sparkcoil.errors import ModelError, RowError, did_you_mean
from sparkcoil.generation import Request

MODES = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_lasttoken": "last",
    "pooling_mode_max_tokens": "max",
}
ACTIVATIONS: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "Identity": lambda each: each,
    "Tanh": torch.tanh,
    "ReLU": torch.relu,
    "GELU": torch.nn.functional.gelu,
    "Sigmoid": torch.sigmoid,
}
Layer = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Recipe:
    """How a model makes one vector of a text; `native` tells that sentence-transformers files said so."""

    native: bool = False
    pooling: str = "mean"
    layers: tuple[Layer, ...] = ()
    normalize: bool = False
    max_tokens: int | None = None
    lower: bool = False
    prompt: str = ""


@dataclass(frozen=True)
class Embedding:
    """One text's vector, the number of its tokens, and where they are asked for the vectors of its tokens."""

    request: Request
    vector: np.ndarray
    tokens: int
    token_vectors: np.ndarray | None = None


@dataclass(kw_only=True)
class Embedder(Encoder):
    """A tokenizer with its model; `forward` gives one Embedding for each text."""

    recipe: Recipe = Recipe()

    def prepare(self, items: Sequence[Request]) -> list[Prepared | RowError]:
        """Return the token ids of every text after the prompt, cut to what the model reads, each with its request."""
        cut = self.cut([self._prompted(str(each.content)) for each in items])
        return [
            each if isinstance(each, RowError) else replace(each, features=(request, each.features))
            for request, each in zip(items, cut, strict=True)
        ]

    def _prompted(self, text: str) -> str:
        # SentenceTransformer.encode strips texts too.
        text = self.recipe.prompt + (text.strip() if self.recipe.native else text)
        return text.lower() if self.recipe.lower else text

    @torch.inference_mode()
    def forward(self, batch: Sequence[Prepared]) -> Sequence[Embedding | RowError]:
        """Return the vector of each text, in float32."""
        lengths = [each.length for each in batch]
        requests = [each.features[0] for each in batch]
        hidden = self.outputs([each.features[1] for each in batch])[0].float()
        vectors = pooled(hidden, torch.tensor(lengths, device=hidden.device), self.recipe.pooling)
        for layer in self.recipe.layers:
            vectors = layer(vectors)
        sizes = [each.options.dimensions for each in requests]
        shaped = {size: encoder.array(self._shaped(vectors, size)) for size in set(sizes)}
        rows = [shaped[size][i] for i, size in enumerate(sizes)]
        tokens = encoder.array(hidden) if self.options.token_embeddings else None
        return [
            Embedding(request, row, length, None if tokens is None else tokens[i, :length]) if np.isfinite(row).all() else NON_FINITE
            for i, (request, row, length) in enumerate(zip(requests, rows, lengths, strict=True))
        ]

    def _shaped(self, vectors: torch.Tensor, size: int | None) -> torch.Tensor:
        vectors = vectors[:, :size]
        return torch.nn.functional.normalize(vectors, dim=1) if self.recipe.normalize else vectors


def pooled(hidden: torch.Tensor, lengths: torch.Tensor, pooling: str) -> torch.Tensor:
    """Return one vector for each text from the vectors of its tokens, whatever padding follows them."""
    if pooling == "cls":
        return hidden[:, 0]
    if pooling == "last":
        return hidden[torch.arange(len(hidden), device=hidden.device), lengths - 1]
    padding = torch.arange(hidden.shape[1], device=hidden.device)[None, :] >= lengths[:, None]
    if pooling == "max":
        return hidden.masked_fill(padding[:, :, None], -torch.inf).amax(dim=1)
    return hidden.masked_fill(padding[:, :, None], 0).sum(dim=1) / lengths[:, None]


def load(artifact: Path, options: Any, placement: Placement) -> Embedder:
    """Return the encoder of an artifact with the recipe of its files, where the options do not say otherwise."""
    recipe = chosen(recipe_of(artifact, placement, options), options)
    engine = encoder.opened(Embedder, "AutoModel", artifact, options, placement, recipe=recipe)
    engine.facts = {**engine.facts, "model": type(engine.model).__name__}
    engine.max_length = min(engine.max_length, recipe.max_tokens or engine.max_length)
    if engine.model.config.is_encoder_decoder:
        engine.model = engine.model.get_encoder()
    engine.model.config.use_cache = False
    return engine


def chosen(recipe: Recipe, options: Any) -> Recipe:
    """Return the recipe with what the options say in its place."""
    given = {"pooling": options.pooling, "normalize": options.normalize, "prompt": options.prompt}
    return Recipe(**{**vars(recipe), **{name: value for name, value in given.items() if value is not None}})


def recipe_of(artifact: Path, placement: Placement, options: Any) -> Recipe:
    """Return the recipe in a model's sentence-transformers files; raises ModelError for one that cannot be followed."""
    folder = next((each for each in (artifact / "model", artifact) if (each / "modules.json").is_file()), None)
    if folder is None:
        return Recipe()
    told: dict[str, Any] = {"layers": []}
    for module in read_json(folder / "modules.json"):
        kind, settings = module["type"].rsplit(".", 1)[-1], read_json(folder / module["path"] / "config.json")
        if kind == "Pooling":
            told["pooling"] = options.pooling or pooling_of(settings)
            told["include_prompt"] = settings.get("include_prompt", True)
        elif kind == "Dense":
            told["layers"].append(dense(folder / module["path"], settings, placement.device))
        elif kind == "Normalize":
            told["normalize"] = True
        elif kind != "Transformer":
            raise ModelError(f"modules.json: expected Transformer, Pooling, Dense and Normalize, found {kind}")
    layers, include_prompt = tuple(told.pop("layers")), told.pop("include_prompt", True)
    prompt = prompt_of(folder, options)
    if (prompt or options.prompt) and not include_prompt:
        raise ModelError("1_Pooling/config.json: a prompt that pooling leaves out (include_prompt: false) is not supported")
    limits = read_json(folder / "sentence_bert_config.json")
    return Recipe(
        True, layers=layers, max_tokens=limits.get("max_seq_length"), lower=bool(limits.get("do_lower_case")), prompt=prompt, **told
    )


def pooling_of(settings: Mapping[str, Any]) -> str:
    """Return the pooling of a Pooling module; raises ModelError for what cannot be done, or for several at once."""
    modes = [name for name, on in settings.items() if name.startswith("pooling_mode_") and on is True]
    named = settings.get("pooling_mode") or "+".join(MODES.get(each, each) for each in modes)
    pooling = {"lasttoken": "last"}.get(named, named)
    if pooling not in MODES.values():
        raise ModelError(
            f"1_Pooling/config.json: expected one pooling of mean, cls, last and max, found {named}; or set the option pooling"
        )
    return str(pooling)


def dense(folder: Path, settings: Mapping[str, Any], device: str) -> Layer:
    """Return a Dense module's layer; raises ModelError where its weights are pickled or its activation is unknown."""
    name = settings["activation_function"].rsplit(".", 1)[-1]
    if name not in ACTIVATIONS or not (folder / "model.safetensors").is_file():
        known = ", ".join(ACTIVATIONS)
        raise ModelError(f"{folder.name}: expected weights in model.safetensors and an activation of {known}, found {name}")
    weights = {key: value.float().to(device) for key, value in load_file(folder / "model.safetensors").items()}
    return lambda vectors: ACTIVATIONS[name](torch.nn.functional.linear(vectors, weights["linear.weight"], weights.get("linear.bias")))


def prompt_of(folder: Path, options: Any) -> str:
    """Return the prompt that the options name, or the model's default one; raises ModelError for a name it does not have."""
    settings = read_json(folder / "config_sentence_transformers.json")
    prompts, name = settings.get("prompts") or {}, options.prompt_name or settings.get("default_prompt_name")
    if options.prompt_name and name not in prompts:
        raise ModelError(f"model.options.prompt_name: the model has no prompt {name!r}{did_you_mean(name, prompts)}")
    return str(prompts.get(name) or "") if name else ""


def read_json(path: Path) -> Any:
    """Return the content of a JSON file, empty where there is none."""
    return json.loads(path.read_text()) if path.is_file() else {}
