"""Embeddings: hidden states pooled to one vector per text, as the model's own sentence-transformers files say, else by mean."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from sparkcoil import reading
from sparkcoil.engines import Parts, Placement, Prepared, encoder
from sparkcoil.engines.encoder import NON_FINITE, Encoder
from sparkcoil.errors import ModelError, RowError, did_you_mean
from sparkcoil.generation import Request
from sparkcoil.reading import Window

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
        # SentenceTransformer.encode strips texts too.
        text = self.recipe.prompt + (text.strip() if self.recipe.native else text)
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
    recipe = chosen(recipe_of(artifact, placement, options), options)
    engine = encoder.opened(Embedder, "AutoModel", artifact, options, placement, recipe=recipe)
    engine.facts = {**engine.facts, "model": type(engine.model).__name__, "finished": partial(finished, recipe, engine.model.device)}
    engine.max_length = min(engine.max_length, recipe.max_tokens or engine.max_length)
    if engine.model.config.is_encoder_decoder:
        engine.model = engine.model.get_encoder()
    engine.model.config.use_cache = False
    return reading.with_stride(engine)


def chosen(recipe: Recipe, options: Any) -> Recipe:
    """Return the recipe with what the options say in its place."""
    given = {name: getattr(options, name) for name in ("pooling", "normalize", "prompt")}
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
