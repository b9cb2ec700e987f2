"""Loads the parts of a logged transformers artifact: from local files, and running code of theirs only where that is trusted."""

from pathlib import Path
from typing import Any

import torch
import transformers

from sparkcoil.engines import Placement


def load_model(artifact: Path, auto_class: str, placement: Placement) -> Any:
    """Return the model of an artifact in evaluation mode on its device, in its dtype (`auto`: as it was saved)."""
    given: dict[str, Any] = {"dtype": "auto" if placement.dtype == "auto" else getattr(torch, placement.dtype), **placement.load_kwargs}
    if placement.attn_implementation:
        given["attn_implementation"] = placement.attn_implementation
    loader = getattr(transformers, auto_class)
    safetensors = None if "pickle" in placement.trust else True
    model = loader.from_pretrained(artifact / "model", use_safetensors=safetensors, **given, **allowed(placement))
    return model.eval().to(placement.device)


def load_tokenizer(artifact: Path, placement: Placement) -> Any:
    """Return the tokenizer of an artifact."""
    return load_part(artifact, "tokenizer", "AutoTokenizer", placement)


def load_feature_extractor(artifact: Path, placement: Placement) -> Any:
    """Return the feature extractor of an artifact."""
    return load_part(artifact, "feature_extractor", "AutoFeatureExtractor", placement)


def load_part(artifact: Path, name: str, auto_class: str, placement: Placement) -> Any:
    """Return a component of an artifact: MLflow keeps them in `components/`, apart from those it saved with the model."""
    component = artifact / "components" / name
    loader: Any = getattr(transformers, auto_class)
    return loader.from_pretrained(component if component.is_dir() else artifact / "model", **allowed(placement))


def allowed(placement: Placement) -> dict[str, Any]:
    """Return what every loader is told: look at local files alone, and run their code only where the run file trusts it."""
    return {"local_files_only": True, "trust_remote_code": "remote_code" in placement.trust}
