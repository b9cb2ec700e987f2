"""A model that is in memory, as a pipeline or as components, saved as a checkpoint directory, and an adapter's base beside it.

Knows nothing of MLflow.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import transformers

from sparkcoil.checkpoint import WRAPPED
from sparkcoil.errors import ModelError, did_you_mean

COMPONENTS = ("model", "tokenizer", "feature_extractor", "image_processor", "processor")


def saved(model: Any, scratch: Path, base: Path | None) -> tuple[Path, Path | None]:
    """Return a folder with a model saved into it, and the one of its base where it is an adapter; raises ModelError."""
    parts = components(model)
    folder = scratch / "saved"
    for part in parts.values():
        part.save_pretrained(folder)
    adapted = getattr(parts["model"], "peft_config", None) is not None and hasattr(parts["model"], "get_base_model")
    if adapted and base is None:
        base = scratch / "base"
        save_base(parts["model"], base)
    return folder, base


def components(model: Any) -> dict[str, Any]:
    """Return a model's parts by name; a processor's are its own parts too. Raises ModelError for what is no such thing."""
    if not isinstance(model, Mapping | transformers.Pipeline):
        raise ModelError(f"log_model: expected a directory, a pipeline or components with a model, found {type(model).__name__}")
    given = model if isinstance(model, Mapping) else {name: getattr(model, name, None) for name in COMPONENTS}
    unknown = [name for name in given if name not in COMPONENTS]
    if unknown:
        raise ModelError(f"log_model: {unknown[0]!r} is no component of a model{did_you_mean(str(unknown[0]), COMPONENTS)}")
    parts = {name: part for name, part in given.items() if part is not None}
    if "model" not in parts:
        raise ModelError("log_model: expected components with a model, found none under 'model'")
    odd = next((name for name, part in parts.items() if not hasattr(part, "save_pretrained")), None)
    if odd is not None:
        raise ModelError(f"log_model: expected {odd} to be one of transformers, found {type(parts[odd]).__name__}")
    inner = {name: getattr(parts.get("processor"), name, None) for name in COMPONENTS[1:-1]}
    return {**{name: part for name, part in inner.items() if part is not None}, **parts}


def save_base(adapted: Any, folder: Path) -> None:
    """Save the model that an adapter was put on, as it is in memory and under its own names, leaving the adapter on it."""
    base = adapted.get_base_model()
    with torch.device("meta"):
        own = set(type(base)(base.config).state_dict())
    weights = {re.sub(WRAPPED, ".", name): weight for name, weight in base.state_dict().items()}
    base.save_pretrained(folder, state_dict={name: weight for name, weight in weights.items() if name in own})
