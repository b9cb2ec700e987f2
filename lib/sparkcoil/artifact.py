"""A logged model's folder, read as plain data: its MLmodel file, its task, the class of its model, and where its parts lie.

Knows nothing of MLflow, Spark or torch: nothing of an artifact is imported or run to read it.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from sparkcoil import digest, mlmodel
from sparkcoil.errors import ModelError, first_line

# What a checkpoint's configuration says where MLflow says nothing.
UNKNOWN_CLASS = "unknown"
NOTED = ("license", "base_model", "commit", "transformers_version", "torch_version")
MODEL, COMPONENTS, ADAPTER = "model", "components", "peft"
# The flavor of models that sentence-transformers has made, and the folder that it keeps them in.
EMBEDDERS, EMBEDDER = "sentence_transformers", "model.sentence_transformer"


@dataclass(frozen=True)
class LoggedModel:
    """A model as one run sees it: `uri` names a version, never an alias, and `path` holds its files."""

    uri: str
    version: str | None
    path: Path

    @property
    def name(self) -> str:
        """The model in a word or two: `NAME/VERSION` in a registry, what follows `runs:/`, or the last name of a path."""
        scheme, separator, rest = self.uri.partition(":/")
        return rest if separator and scheme in ("models", "runs") else self.uri.rstrip("/").rsplit("/", 1)[-1]

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """The MLmodel file, read as plain data."""
        try:
            return mlmodel.read(self.path / "MLmodel")
        except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
            raise ModelError(f"model.uri: {self.uri}: MLmodel cannot be read as plain YAML ({first_line(error)})") from None

    @cached_property
    def flavor(self) -> dict[str, Any]:
        """The transformers flavor of the MLmodel file; raises ModelError where there is none."""
        flavors = self.metadata.get("flavors") or {}
        if self.is_embedder:
            return {"task": "feature-extraction", "components": ["tokenizer"], **flavors[EMBEDDERS]}
        if "transformers" not in flavors:
            found = ", ".join(sorted(flavors)) or "none"
            expected = "expected a model logged with the transformers or the sentence_transformers flavor"
            raise ModelError(f"model.uri: {self.uri}: {expected}, found the flavors: {found}")
        flavor: dict[str, Any] = flavors["transformers"]
        return flavor

    @property
    def is_embedder(self) -> bool:
        """Whether MLflow's sentence_transformers flavor has logged the model, and no other one that is scored."""
        flavors = self.metadata.get("flavors") or {}
        return EMBEDDERS in flavors and "transformers" not in flavors

    @property
    def pyfunc(self) -> dict[str, Any]:
        """The python_function flavor, empty where there is none."""
        return (self.metadata.get("flavors") or {}).get("python_function") or {}

    @property
    def model_id(self) -> str | None:
        """The id that MLflow gave the model when it was logged."""
        return self.metadata.get("model_id")

    @property
    def notes(self) -> dict[str, Any]:
        """What was written into the model's metadata when it was logged."""
        return self.metadata.get("metadata") or {}

    @property
    def provenance(self) -> dict[str, str]:
        """What a table of the model's predictions should say of it: licence, base model, the versions it was made with."""
        return {name: str(self.notes[name]) for name in NOTED if self.notes.get(name)}

    @property
    def task(self) -> str | None:
        """The task that the model was logged for; an `llm/v1/` task goes before the pipeline's own."""
        return self.flavor.get("inference_task") or self.flavor.get("task")

    @property
    def has_adapter(self) -> bool:
        """Whether the model is an adapter on a base model."""
        return (self.path / ADAPTER / "adapter_config.json").is_file()

    @property
    def has_weights(self) -> bool:
        """Whether the model, or the base of an adapter, lies in the artifact."""
        return (self.path / MODEL / "config.json").is_file()

    @cached_property
    def architecture(self) -> str:
        """The model class: for an adapter the one that MLflow wrote down, since its base may be of another."""
        saved = (self.config.get("architectures") or [UNKNOWN_CLASS])[0]
        return str(self.flavor.get("pipeline_model_type") or saved if self.has_adapter else saved)

    @cached_property
    def config(self) -> dict[str, Any]:
        """The checkpoint's config.json."""
        return self.read_json(f"{MODEL}/config.json")

    def read_json(self, name: str) -> dict[str, Any]:
        """Return a JSON file of the artifact, empty where it is missing; raises ModelError where it is no JSON object."""
        try:
            content = json.loads((self.path / name).read_text())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            raise ModelError(f"model.uri: {self.uri}: {name} cannot be read as JSON ({first_line(error)})") from None
        if not isinstance(content, dict):
            raise ModelError(f"model.uri: {self.uri}: expected an object in {name}, found {type(content).__name__}")
        return content

    @cached_property
    def digest(self) -> str:
        """The sha256 of the artifact's files."""
        return digest.remembered(self.path)
