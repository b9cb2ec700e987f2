"""From an MLflow URI to a pinned model on this machine, and from there to the staged scorer that `spark_udf` loads."""

import shutil
import tempfile
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

import sparkcoil
from sparkcoil import scorer
from sparkcoil.artifact import LoggedModel
from sparkcoil.errors import ModelError, did_you_mean, first_line
from sparkcoil.scorer import Spec


def resolve(uri: str) -> LoggedModel:
    """Return the model that a URI names at this moment; raises ModelError where there is none."""
    uri = f"models:/{uri}" if uri.startswith("m-") else uri
    try:
        pinned, version = pin(uri)
        path = fetched(pinned)
    except (MlflowException, OSError, ValueError) as error:
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
