"""Loads the parts of a logged transformers artifact: from local files, safetensors only, and never running code of theirs."""

from pathlib import Path
from typing import Any

import torch
import transformers

from sparkcoil.engines import Placement

LOCAL_ONLY = {"local_files_only": True, "trust_remote_code": False}


def load_model(artifact: Path, auto_class: str, placement: Placement) -> Any:
    """Return the model of an artifact in evaluation mode on its device, in its dtype (`auto`: as it was saved)."""
    dtype = "auto" if placement.dtype == "auto" else getattr(torch, placement.dtype)
    loader = getattr(transformers, auto_class)
    model = loader.from_pretrained(artifact / "model", dtype=dtype, use_safetensors=True, **LOCAL_ONLY)
    return model.eval().to(placement.device)


def load_tokenizer(artifact: Path) -> Any:
    """Return the tokenizer of an artifact."""
    return transformers.AutoTokenizer.from_pretrained(part(artifact, "tokenizer"), **LOCAL_ONLY)


def load_feature_extractor(artifact: Path) -> Any:
    """Return the feature extractor of an artifact."""
    loader: Any = transformers.AutoFeatureExtractor
    return loader.from_pretrained(part(artifact, "feature_extractor"), **LOCAL_ONLY)


def part(artifact: Path, name: str) -> Path:
    """Return where a component lies: MLflow keeps them in `components/`, apart from those it saved with the model."""
    component = artifact / "components" / name
    return component if component.is_dir() else artifact / "model"
