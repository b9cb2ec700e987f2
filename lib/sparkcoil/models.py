"""From an MLflow URI to a pinned model on this machine, and from there to the staged scorer that `spark_udf` loads."""

import atexit
import hashlib
import shutil
import tempfile
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.runs_artifact_repo import RunsArtifactRepository

from sparkcoil import cache, digest, library, scorer
from sparkcoil.artifact import LoggedModel
from sparkcoil.errors import ModelError, did_you_mean, first_line
from sparkcoil.spec import Spec


def resolve(uri: str) -> LoggedModel:
    """Return the model that a URI names at this moment; raises ModelError where there is none."""
    uri = f"models:/{uri}" if uri.startswith("m-") else uri
    try:
        pinned, version = pin(uri)
        path = fetched(pinned)
    except (MlflowException, OSError, ValueError) as error:
        store = f" (MLflow's tracking store is {mlflow.get_tracking_uri()})" if isinstance(error, MlflowException) else ""
        raise ModelError(f"model.uri: {uri}: {first_line(error)}{store}{nearest_name(uri)}") from error
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
    """Return the artifact's files on this machine: where they lie, or in a copy that is kept by where or what they are.

    A version never changes, so that its files are fetched once; what lies under a run or a path may, and is fetched each time.
    """
    where = location(uri)
    if urlsplit(where).scheme in ("", "file"):
        return Path(url2pathname(urlsplit(where).path) if where.startswith("file:") else where).resolve(strict=True)
    kept = cache.folder("fetched") / hashlib.sha256(where.encode()).hexdigest()
    if kept.is_dir() and uri.startswith("models:/"):
        return kept
    unfinished = Path(tempfile.mkdtemp(prefix="unfinished-", dir=kept.parent))
    try:
        files = Path(mlflow.artifacts.download_artifacts(artifact_uri=where, dst_path=str(unfinished)))
        if not uri.startswith("models:/"):
            kept = kept.parent / digest.of_folder(files)
        if not kept.is_dir():
            files.rename(kept)
        return kept
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def location(uri: str) -> str:
    """Return where the files of a URI lie, as a path or as the URI of a store."""
    name = uri.removeprefix("models:/")
    if uri.startswith("runs:/"):
        return str(RunsArtifactRepository.get_underlying_uri(uri))
    if name == uri:
        return uri
    if name.startswith("m-"):
        return str(MlflowClient().get_logged_model(name).artifact_location)
    source = str(MlflowClient().get_model_version_download_uri(*name.rsplit("/", 1)))
    return location(source) if source.startswith(("models:/", "runs:/")) else source


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
    atexit.register(shutil.rmtree, folder, ignore_errors=True)  # until then executors may start, and a stream may ask for it again
    spec.save(folder)
    staged = mlflow.models.Model(run_id=None)
    library.copy_into(folder / "code")
    mlflow.pyfunc.add_to_model(staged, loader_module=scorer.__name__, code="code")
    staged.save(folder / "MLmodel")
    return folder
