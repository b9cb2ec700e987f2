"""From an MLflow URI to a pinned, checked artifact, and from there to the staged scorer that `spark_udf` loads."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import mlflow
import yaml
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

import sparkcoil
from sparkcoil import cache, scorer, tasks
from sparkcoil.errors import ConfigError, ModelError, did_you_mean, first_line
from sparkcoil.scorer import Spec
from sparkcoil.tasks import Task

# MLflow writes this one beside an artifact that it hands out under a registered name.
NOT_THE_MODELS = {"registered_model_meta"}
UNSAFE_SUFFIXES = {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".h5", ".msgpack", ".joblib"}


@dataclass(frozen=True)
class LoggedModel:
    """A model as one run sees it: `uri` names a version, never an alias, and `path` holds its files."""

    uri: str
    version: str | None
    path: Path

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """The MLmodel file, read as plain data."""
        content: dict[str, Any] = yaml.safe_load((self.path / "MLmodel").read_text())
        return content

    @property
    def model_id(self) -> str | None:
        """The id that MLflow gave the model when it was logged."""
        return self.metadata.get("model_id")

    @cached_property
    def flavor(self) -> dict[str, Any]:
        """The transformers flavor of the MLmodel file; raises ModelError where there is none."""
        flavors = self.metadata.get("flavors") or {}
        if "transformers" not in flavors:
            found = ", ".join(sorted(flavors)) or "none"
            raise ModelError(f"model.uri: {self.uri}: expected a model logged with the transformers flavor, found the flavors: {found}")
        flavor: dict[str, Any] = flavors["transformers"]
        return flavor

    @cached_property
    def architecture(self) -> str:
        """The model class that the checkpoint was saved from."""
        config = json.loads((self.path / "model" / "config.json").read_text())
        return str((config.get("architectures") or ["unknown"])[0])

    @cached_property
    def digest(self) -> str:
        """The sha256 of the artifact's files; remembered while their sizes and times stay, so that a rerun reads none."""
        listing = [(str(file.relative_to(self.path)), file.stat()) for file in files(self.path)]
        stamp = json.dumps([str(self.path), [(name, stat.st_size, stat.st_mtime_ns) for name, stat in listing]])
        remembered = cache.folder("digests") / hashlib.sha256(stamp.encode()).hexdigest()
        if not remembered.exists():
            remembered.write_text(digest(self.path))
        return remembered.read_text()


def files(folder: Path) -> Iterator[Path]:
    """Yield the files of an artifact in a fixed order, without those that MLflow adds on reading."""
    yield from sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in NOT_THE_MODELS)


def digest(folder: Path) -> str:
    """Return the sha256 over the names and contents of an artifact's files."""
    total = hashlib.sha256()
    for path in files(folder):
        total.update(f"{path.relative_to(folder)}\0{file_digest(path)}\n".encode())
    return total.hexdigest()


def file_digest(path: Path) -> str:
    """Return the sha256 of a file, read in blocks."""
    total = hashlib.sha256()
    with path.open("rb") as content:
        while block := content.read(1 << 20):
            total.update(block)
    return total.hexdigest()


def resolve(uri: str) -> LoggedModel:
    """Return the model that a URI names at this moment; raises ModelError where there is none."""
    uri = f"models:/{uri}" if uri.startswith("m-") else uri
    try:
        pinned, version = pin(uri)
        path = fetched(pinned)
    except (MlflowException, OSError) as error:
        raise ModelError(f"model.uri: {uri}: {first_line(error)}{nearest_name(uri)}") from error
    if not (path / "MLmodel").is_file():
        raise ModelError(f"model.uri: {uri}: expected an MLflow model, found no MLmodel file there")
    return LoggedModel(pinned, version, path)


def pin(uri: str) -> tuple[str, str | None]:
    """Return the URI of a version, and the version where there is one, asking the registry once."""
    name = uri.removeprefix("models:/")
    if name == uri or name.startswith("m-"):
        return uri, None
    client = MlflowClient()
    if "@" in name:
        found = client.get_model_version_by_alias(*name.split("@", 1))
    elif "/" in name and name.rsplit("/", 1)[1].isdigit():
        found = client.get_model_version(*name.rsplit("/", 1))
    else:
        raise ModelError(f"model.uri: {uri}: expected models:/NAME/VERSION, models:/NAME@ALIAS or models:/m-ID")
    return f"models:/{found.name}/{found.version}", str(found.version)


def fetched(uri: str) -> Path:
    """Return the artifact's files on this machine: where they lie, or where MLflow has downloaded them to."""
    if Path(uri).is_dir():
        return Path(uri).resolve()
    return Path(mlflow.artifacts.download_artifacts(artifact_uri=location(uri))).resolve()


def location(uri: str) -> str:
    """Return what MLflow can download; a logged model's own id it finds only by asking where the files lie."""
    name = uri.removeprefix("models:/")
    return MlflowClient().get_logged_model(name).artifact_location if name.startswith("m-") else uri


def nearest_name(uri: str) -> str:
    """Return a hint at the registered model whose name is nearest to a `models:/` URI's, or nothing."""
    if not uri.startswith("models:/") or uri.startswith("models:/m-"):
        return ""
    try:
        known = [each.name for each in MlflowClient().search_registered_models(max_results=1000)]
    except MlflowException:
        return ""
    name = uri.removeprefix("models:/").split("@")[0].split("/")[0]
    return "" if name in known else did_you_mean(name, known)


def check(model: LoggedModel, task: Task) -> None:
    """Pass if the artifact may be loaded and is of the task; raises ModelError before anything of the artifact has run."""
    flavor = model.flavor
    if not (model.path / "model" / "config.json").is_file():
        raise ModelError(
            f"model.uri: {model.uri}: the artifact holds no weights (model/config.json is missing); log it with save_pretrained=True"
        )
    if (model.metadata["flavors"].get("python_function") or {}).get("code") or flavor.get("code"):
        raise ModelError(f"model.uri: {model.uri}: the artifact carries code of its own (code paths), which is not run")
    for path in files(model.path):
        check_file(model, path)
    if not model.architecture.endswith(task.heads):
        raise ModelError(
            f"model.uri: {model.uri}: task {task.name} expects a model class ending in {' or '.join(task.heads)}, "
            f"found {model.architecture}"
        )


def check_file(model: LoggedModel, path: Path) -> None:
    """Refuse a file that could run code when the model is loaded, or that lies outside the artifact."""
    name = path.relative_to(model.path)
    if not path.resolve().is_relative_to(model.path.resolve()):
        raise ModelError(f"model.uri: {model.uri}: {name} is a link out of the artifact")
    if path.suffix in UNSAFE_SUFFIXES:
        raise ModelError(f"model.uri: {model.uri}: {name} may run code when loaded; save the model as safetensors")
    if path.suffix == ".py":
        raise ModelError(f"model.uri: {model.uri}: {name} is code of the model's own, which is not run")
    if path.suffix == ".json" and path.stat().st_size < 10_000_000 and '"auto_map"' in path.read_text(errors="replace"):
        raise ModelError(f"model.uri: {model.uri}: {name} points to code of the model's own (auto_map), which is not run")


def task_name(model: LoggedModel, asked: str | None) -> str:
    """Return the task of the run: the logged one or the asked one; raises where neither is there, or they disagree."""
    logged = model.flavor.get("task")
    if logged is None and asked is None:
        raise ConfigError(model.uri, ["task: the logged model names none; give one in the run file"])
    if logged is not None and asked is not None and tasks.load(asked) != tasks.load(logged):
        raise ModelError(f"task: the run file says {asked}, and {model.uri} was logged for {logged}")
    return str(asked or logged)


def stage(spec: Spec) -> Path:
    """Return a small MLflow model around the spec, whose loader is `sparkcoil.scorer` and whose code is this library."""
    folder = Path(tempfile.mkdtemp(prefix="sparkcoil-scorer-"))
    spec.save(folder)
    library = Path(sparkcoil.__file__).parent
    staged = mlflow.models.Model(run_id=None)
    carried = library.is_dir()  # it is not where sparkcoil was imported from a zip, which Spark then sends by --py-files
    if carried:
        shutil.copytree(library, folder / "code" / "sparkcoil", ignore=shutil.ignore_patterns("__pycache__"))
    mlflow.pyfunc.add_to_model(staged, loader_module=scorer.__name__, code="code" if carried else None)
    staged.save(folder / "MLmodel")
    return folder
