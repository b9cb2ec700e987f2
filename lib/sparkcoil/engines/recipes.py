"""How a model makes one vector of a text, as its own sentence-transformers files have it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from sparkcoil.engines import Placement
from sparkcoil.errors import ModelError, did_you_mean

MODES = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_lasttoken": "last",
    "pooling_mode_max_tokens": "max",
}
# What sentence-transformers has called the file of its first module's settings, in the order in which it looks.
FAMILIES = ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
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
    """How a model makes one vector of a text."""

    pooling: str = "mean"
    layers: tuple[Layer, ...] = ()
    normalize: bool = False
    max_tokens: int | None = None
    lower: bool = False
    prompt: str = ""


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
    limits = limits_of(folder)
    return Recipe(layers=layers, max_tokens=limits.get("max_seq_length"), lower=bool(limits.get("do_lower_case")), prompt=prompt, **told)


def limits_of(folder: Path) -> Mapping[str, Any]:
    """Return the settings of a model's first module, the length that it reads among them, wherever sentence-transformers has kept them."""
    own = [folder / module["path"] for module in read_json(folder / "modules.json")[:1]]
    files = (place / f"sentence_{family}_config.json" for place in (*own, folder) for family in FAMILIES)
    return next((read_json(file) for file in files if file.is_file()), {})


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
