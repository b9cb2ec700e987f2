"""Puts a model into MLflow with its task, its signature and a pyfunc that gives row-true results also without sparkcoil's jobs.

A checkpoint directory is taken as it is: its weights are not loaded. A pipeline or components are saved first.
"""

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from pydantic import ValidationError

from sparkcoil import assembly, fitness, gate, options, packing, refused, scorer, signature, tasks
from sparkcoil import known as questions
from sparkcoil.artifact import LoggedModel
from sparkcoil.errors import ConfigError, EnvironmentError_, ModelError, did_you_mean, first_line
from sparkcoil.packing import Package
from sparkcoil.plain import PlainModel
from sparkcoil.problems import from_pydantic, said
from sparkcoil.tasks import Task

EXAMPLE = "input_example.json"
NAME = re.compile(r"[^/:]*[^/:\s][^/:]*")
ALIAS = re.compile(r"(?!(?i:latest|v\d+)$)[\w-]{1,255}")


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
    input_example: Mapping[str, Sequence[Any]] | pd.DataFrame | None = None,
    metadata: Mapping[str, Any] | None = None,
    known_answers: str | Path | Sequence[Mapping[str, Any]] | None = None,
) -> Logged:
    """Log a model as an MLflow transformers model, and register it under `name` with `alias`.

    `model` is a checkpoint or adapter directory, a transformers pipeline, or a mapping of components with the model under
    `model`; `base` is the checkpoint directory of an adapter's base, `options` are inference options to go with the model.
    `known_answers` are questions by the task's input names, or a file of them as JSON lines; one without a `prediction` is answered here.
    Raises ConfigError for wrong arguments, ModelError for what is no model of the task or could not be scored, both before
    MLflow is asked anything, and EnvironmentError_ where MLflow does not take it.
    """
    known, settings, example, asked = checked(task, name, alias, options, prompt_template, input_example, known_answers)
    with tempfile.TemporaryDirectory(prefix="sparkcoil-log-") as scratch:
        writer = prepared(model, Path(scratch), known, settings, task=task, base=base, example=example, asked=asked)
        title = name or writer.package.name
        with recorded(title):
            notes = {**writer.package.notes, **(metadata or {})}
            info = Model.log(artifact_path=None, name=re.sub(r"""[/:.%"']""", "_", title), flavor=writer, metadata=notes)
            version = registered(str(info.model_id), name, alias) if name else None
    return Logged(f"models:/{name}/{version}" if name else f"models:/{info.model_id}", str(info.model_id), version)


def write_model(
    model: Any,
    folder: str | Path,
    *,
    task: str,
    base: str | Path | None = None,
    options: Mapping[str, Any] | None = None,
    known_answers: str | Path | Sequence[Mapping[str, Any]] | None = None,
) -> None:
    """Write a model as log_model logs it into a folder that is not there yet."""
    known, settings, _, asked = checked(task, None, None, options, None, None, known_answers)
    with tempfile.TemporaryDirectory(prefix="sparkcoil-log-") as scratch:
        writer = prepared(model, Path(scratch), known, settings, task=task, base=base, example=None, asked=asked)
        writer.save_model(path=str(folder), mlflow_model=Model(metadata=dict(writer.package.notes)))


def checked(
    task: str,
    name: str | None,
    alias: str | None,
    options: Mapping[str, Any] | None,
    prompt_template: str | None,
    input_example: Any,
    known_answers: str | Path | Sequence[Mapping[str, Any]] | None,
) -> tuple[Task, dict[str, Any], pd.DataFrame | None, Sequence[Mapping[str, Any]] | None]:
    """Return the task, the options to log, the input example and the known answers; raises ConfigError with every problem of them."""
    problems = list(name_problems(name, alias))
    try:
        known = tasks.load(task)
    except ModelError:
        unknown = f"task: unknown task, found {task!r}{refused.hint(task, tasks.every_name())}"
        raise ConfigError("log_model", [*problems, unknown]) from None
    settings = {**(options or {}), **({"prompt_template": prompt_template} if prompt_template else {})}
    try:
        chosen = known.options(**settings)
        known, settings = chosen.fit(known), chosen.model_dump(mode="json", exclude_unset=True)
    except ValidationError as error:
        problems += [f"options.{said(each)}" for each in from_pydantic(error, known.options)]
    try:
        example = None if input_example is None else pd.DataFrame(input_example)
    except (ValueError, TypeError) as error:
        problems.append(f"input_example: expected columns of one length ({first_line(error)})")
        example = None
    problems += [] if example is None else example_problems(known, [str(each) for each in example.columns])
    asked = questions.read_lines(Path(known_answers)) if isinstance(known_answers, str | Path) else known_answers
    problems += [] if asked is None else questions.problems(asked, known, settings)
    if problems:
        raise ConfigError("log_model", problems)
    return known, settings, example, asked


def name_problems(name: str | None, alias: str | None) -> Iterator[str]:
    """Yield what is wrong with the names to register a model under."""
    if name is not None and not NAME.fullmatch(name):
        yield f"name: expected a name without '/' and ':', found {name!r}"
    if alias is not None and name is None:
        yield "alias: given without a name to register the model under"
    if alias is not None and not ALIAS.fullmatch(alias):
        yield f"alias: expected letters, digits, '_' and '-', and not 'latest' or a version such as 'v1', found {alias!r}"


def example_problems(task: Task, columns: Sequence[str]) -> Iterator[str]:
    """Yield what keeps columns from being an example of a task's inputs."""
    known = [each.label for each in task.inputs]
    for name in columns:
        if name not in known:
            yield f"input_example.{name}: no input of {task.name}{did_you_mean(name, known)}"
    for each in task.inputs:
        if each.required and each.label not in columns:
            yield f"input_example.{each.name}: missing"


def prepared(
    model: Any,
    scratch: Path,
    known: Task,
    settings: Mapping[str, Any],
    *,
    task: str,
    base: str | Path | None,
    example: pd.DataFrame | None,
    asked: Sequence[Mapping[str, Any]] | None,
) -> "Writer":
    """Return what writes a model, after all that is wrong with it was refused."""
    package = packing.package(model, known, scratch, task=task, base=None if base is None else Path(base))
    folder = scratch / "written"
    folder.mkdir()
    packing.write(package, folder)
    writer = Writer(package, known, settings, example, folder)
    writer.describe(folder, Model(metadata=dict(package.notes)))
    named = str(model) if isinstance(model, str | Path) else type(model).__name__
    refuse_unfit(LoggedModel(named, None, folder), known)
    if asked is not None:
        answer(folder, asked)
    return writer


def answer(folder: Path, asked: Sequence[Mapping[str, Any]]) -> None:
    """Write questions into a written model's folder, with the answers that it gives in this process, as plain MLflow runs it."""
    model = PlainModel(folder, {})
    try:
        questions.write(folder, asked, task=model.task, options=model.scorer.spec.options, score=lambda rows: model.scorer.score(rows)[0])
    finally:
        scorer.forget()


def refuse_unfit(model: LoggedModel, task: Task) -> None:
    """Pass if a written model could be scored when it is loaded again, without a word of trust; raises ModelError."""
    for found in gate.findings(model.path):
        raise ModelError(f"log_model: {model.uri}: {found.name} {found.reason}; {found.remedy or gate.CURE[found.trust]}")
    for problem in fitness.problems(model, task):
        raise ModelError(f"log_model: {model.uri}: {problem}")
    options.resolve(model, task, {})


@dataclass(frozen=True)
class Writer:
    """What MLflow takes for a flavor: it writes a package as an MLflow model."""

    package: Package
    task: Task
    settings: Mapping[str, Any]
    example: pd.DataFrame | None
    folder: Path

    def save_model(self, *, path: str, mlflow_model: Model) -> None:
        """Write the model's folder, which was judged before."""
        assembly.link_tree(self.folder, Path(path))
        self.describe(Path(path), mlflow_model)

    def describe(self, folder: Path, mlflow_model: Model) -> None:
        """Write the MLmodel file, and the example that it names."""
        mlflow_model.signature = signature.of_task(self.task)
        if self.example is not None:
            signature.write_example(self.example, folder / EXAMPLE)
            mlflow_model.saved_input_example_info = {"artifact_path": EXAMPLE, "type": "dataframe", "pandas_orient": "split"}
        mlflow_model.add_flavor("transformers", **self.package.flavor)
        code = "code" if (folder / "code").is_dir() else None
        mlflow.pyfunc.add_to_model(
            mlflow_model, loader_module="sparkcoil.scorer", code=code, python_env="python_env.yaml", model_config=dict(self.settings)
        )
        (folder / "MLmodel").unlink(missing_ok=True)  # the one in the other folder is the same file
        mlflow_model.save(str(folder / "MLmodel"))


@contextmanager
def recorded(title: str) -> Iterator[None]:
    """Log within the caller's MLflow run, or else within a run of its own, which fails with what fails in it."""
    try:
        if mlflow.active_run() is not None:
            yield
        else:
            with mlflow.start_run(run_name=f"log {title}"):
                yield
    except MlflowException as error:
        raise EnvironmentError_(f"log_model: MLflow did not take the model: {first_line(error)}") from error


def registered(model_id: str, name: str, alias: str | None) -> str:
    """Return the new version of a logged model under a name; none is left behind where its alias cannot be set."""
    version = str(mlflow.register_model(f"models:/{model_id}", name).version)
    if alias is not None:
        try:
            MlflowClient().set_registered_model_alias(name, alias, version)
        except MlflowException:
            MlflowClient().delete_model_version(name, version)
            raise
    return version
