"""Puts a model into MLflow with its task, its signature and a pyfunc that gives row-true results also without sparkcoil's jobs.

A checkpoint directory is taken as it is: its weights are not loaded. A pipeline or components are saved first.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow import MlflowClient
from mlflow.models import Model
from pydantic import ValidationError

from sparkcoil import fitness, gate, packing, signature, tasks
from sparkcoil.artifact import LoggedModel
from sparkcoil.errors import ConfigError
from sparkcoil.packing import Package
from sparkcoil.problems import from_pydantic, said
from sparkcoil.tasks import Task

EXAMPLE = "input_example.json"


@dataclass(frozen=True)
class Logged:
    """Where a model went: `uri` names its version where it was registered, else its logged model."""

    uri: str
    model_id: str
    version: str | None


def log_model(
    model: Any,
    *,
    task: str,
    name: str | None = None,
    alias: str | None = None,
    base: str | Path | None = None,
    options: Mapping[str, Any] | None = None,
    prompt_template: str | None = None,
    input_example: Mapping[str, Sequence[Any]] | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Logged:
    """Log a model as an MLflow transformers model, and register it under `name` with `alias`.

    `model` is a checkpoint or adapter directory, a transformers pipeline, or a mapping of components with the model under
    `model`; `base` is the checkpoint directory of an adapter's base, `options` are inference options to go with the model.
    Raises ConfigError for wrong arguments, ModelError for what is no model of the task, or could not be scored when loaded.
    """
    problems = [] if name or not alias else ["alias: given without a name to register the model under"]
    if problems:
        raise ConfigError("log_model", problems)
    with tempfile.TemporaryDirectory(prefix="sparkcoil-log-") as scratch:
        writer = prepared(model, Path(scratch), task=task, base=base, options=options, prompt_template=prompt_template)
        with mlflow.start_run(run_name=f"log {name or writer.package.name}"):
            info = Model.log(
                artifact_path=None,
                name=name or writer.package.name,
                flavor=writer,
                registered_model_name=name,
                metadata={**writer.package.notes, **(metadata or {})},
                input_example=None if input_example is None else pd.DataFrame(input_example),
            )
    version = info.registered_model_version
    if name and alias:
        MlflowClient().set_registered_model_alias(name, alias, str(version))
    uri = f"models:/{name}/{version}" if name else f"models:/{info.model_id}"
    return Logged(uri, info.model_id, str(version) if version is not None else None)


def write_model(
    model: Any, folder: str | Path, *, task: str, base: str | Path | None = None, options: Mapping[str, Any] | None = None
) -> None:
    """Write a model as log_model logs it into a folder that is not there yet."""
    with tempfile.TemporaryDirectory(prefix="sparkcoil-log-") as scratch:
        writer = prepared(model, Path(scratch), task=task, base=base, options=options, prompt_template=None)
        writer.save_model(path=str(folder), mlflow_model=Model(metadata=dict(writer.package.notes)), input_example=None)


def prepared(
    model: Any, scratch: Path, *, task: str, base: str | Path | None, options: Mapping[str, Any] | None, prompt_template: str | None
) -> "Writer":
    """Return what writes a model, after all that is wrong with it was refused."""
    known = tasks.load(task)
    settings = {**(options or {}), **({"prompt_template": prompt_template} if prompt_template else {})}
    try:
        known.options(**settings)
    except ValidationError as error:
        raise ConfigError("log_model", [f"options.{said(each)}" for each in from_pydantic(error, known.options)]) from None
    package = packing.package(model, known, scratch, task=task, base=None if base is None else Path(base))
    return Writer(package, known, settings)


@dataclass(frozen=True)
class Writer:
    """What MLflow takes for a flavor: it writes a package as an MLflow model."""

    package: Package
    task: Task
    settings: Mapping[str, Any]

    def save_model(self, *, path: str, mlflow_model: Model, input_example: pd.DataFrame | None) -> None:
        """Write the model's folder; raises ModelError if it could not be scored when it is loaded again."""
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        packing.write(self.package, folder)
        mlflow_model.signature = signature.of_task(self.task)
        if input_example is not None:
            (folder / EXAMPLE).write_text(input_example.to_json(orient="split"))
            mlflow_model.saved_input_example_info = {"artifact_path": EXAMPLE, "type": "dataframe", "pandas_orient": "split"}
        mlflow_model.add_flavor("transformers", **self.package.flavor)
        mlflow.pyfunc.add_to_model(
            mlflow_model, loader_module="sparkcoil.scorer", code="code", python_env="python_env.yaml", model_config=dict(self.settings)
        )
        mlflow_model.save(str(folder / "MLmodel"))
        gate.check(folder, self.package.name)
        fitness.check(LoggedModel(self.package.name, None, folder), self.task)
