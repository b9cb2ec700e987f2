"""Puts a checkpoint into MLflow with its task, registered under a name and an alias where they are given."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import transformers
from mlflow import MlflowClient

from sparkcoil import tasks
from sparkcoil.errors import ConfigError, ModelError

# What a checkpoint directory may hold beside the model, and the file that shows it.
PARTS: Mapping[str, tuple[Any, str]] = {
    "tokenizer": (transformers.AutoTokenizer, "tokenizer_config.json"),
    "feature_extractor": (transformers.AutoFeatureExtractor, "preprocessor_config.json"),
}


@dataclass(frozen=True)
class Logged:
    """Where a model went: `uri` names its version where it was registered, else its logged model."""

    uri: str
    model_id: str
    version: str | None


def log_model(checkpoint: str | Path, *, task: str, name: str | None = None, alias: str | None = None) -> Logged:
    """Log a checkpoint directory as an MLflow transformers model, and register it under `name` with `alias`.

    Raises ConfigError for an alias without a name, ModelError for a directory that holds no checkpoint of the task.
    """
    if alias and not name:
        raise ConfigError("log_model", ["alias: given without a name to register the model under"])
    known = tasks.load(task)
    components = loaded(Path(checkpoint), known.heads)
    with mlflow.start_run(run_name=f"log {name or Path(checkpoint).name}"):
        info = mlflow.transformers.log_model(
            components,
            name=name or Path(checkpoint).name,
            task=known.name,
            registered_model_name=name,
            pip_requirements=[f"{package.__name__}=={package.__version__}" for package in (mlflow, transformers)],
        )
    version = info.registered_model_version
    if name and alias:
        MlflowClient().set_registered_model_alias(name, alias, str(version))
    uri = f"models:/{name}/{version}" if name else f"models:/{info.model_id}"
    return Logged(uri, info.model_id, str(version) if version is not None else None)


def loaded(folder: Path, heads: tuple[str, ...]) -> Mapping[str, Any]:
    """Return a checkpoint's model and the parts that lie with it; nothing is fetched and no code of its own is run."""
    if not (folder / "config.json").is_file():
        raise ModelError(f"log_model: {folder}: expected a checkpoint directory, found no config.json in it")
    local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    config = transformers.AutoConfig.from_pretrained(folder, **local)
    architecture = (config.architectures or ["unknown"])[0]
    if not architecture.endswith(heads):
        raise ModelError(f"log_model: {folder}: expected a model class ending in {' or '.join(heads)}, found {architecture}")
    model = getattr(transformers, architecture).from_pretrained(folder, local_files_only=True, use_safetensors=True)
    parts = {part: loader.from_pretrained(folder, **local) for part, (loader, file) in PARTS.items() if (folder / file).is_file()}
    return {"model": model, **parts}
