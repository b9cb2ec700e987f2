"""From an MLflow URI to a pinned model on this machine, and from there to the staged scorer that `spark_udf` loads."""

import hashlib
import shutil
import tempfile
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
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
    elif "/" in name:
        found = newest(client, uri, *name.rsplit("/", 1))
    else:
        raise ModelError(f"model.uri: {uri}: expected models:/NAME/VERSION, models:/NAME@ALIAS, models:/NAME/latest or models:/m-ID")
    return f"models:/{found.name}/{found.version}", str(found.version)


def newest(client: MlflowClient, uri: str, name: str, stage: str) -> ModelVersion:
    """Return a model's newest version, of all or in a stage of old registries; raises ModelError where there is none."""
    versions = client.search_model_versions(f"name='{name}'")
    chosen = [each for each in versions if stage.lower() in ("latest", str(each.current_stage).lower())]
    if not chosen:
        stages = sorted({str(each.current_stage) for each in versions} - {"None"})
        raise ModelError(
            f"model.uri: {uri}: expected a version, `latest` or a stage that a version is in, found {stage!r}{did_you_mean(stage, stages)}"
        )
    return max(chosen, key=lambda each: int(each.version))


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
        return logged_under(uri) or str(RunsArtifactRepository.get_underlying_uri(uri))
    if name == uri:
        return uri
    if name.startswith("m-"):
        return str(MlflowClient().get_logged_model(name).artifact_location)
    source = str(MlflowClient().get_model_version_download_uri(*name.rsplit("/", 1)))
    return location(source) if source.startswith(("models:/", "runs:/")) else source


def logged_under(uri: str) -> str | None:
    """Return where the model lies that `runs:/RUN/NAME` names, if MLflow 3 has logged it: beside the run's artifacts, not among them."""
    run_id, _, name = uri.removeprefix("runs:/").partition("/")
    client = MlflowClient()
    run = client.get_run(run_id)
    models = [client.get_logged_model(each.model_id) for each in (run.outputs.model_outputs if run.outputs else ())]
    chosen = [each for each in models if each.name == name.strip("/")]
    return str(max(chosen, key=lambda each: each.creation_timestamp).artifact_location) if chosen else None


def nearest_alias(name: str, alias: str) -> str:
    """Return a hint at the alias of a model that is nearest to one that it does not have, or nothing."""
    try:
        return did_you_mean(alias, MlflowClient().get_registered_model(name).aliases)
    except MlflowException:
        return ""


def nearest_name(uri: str) -> str:
    """Return a hint at the registered model, or at its alias, whose name is nearest to a `models:/` URI's, or nothing."""
    if not uri.startswith("models:/") or uri.startswith("models:/m-"):
        return ""
    try:
        known = [each.name for each in MlflowClient().search_registered_models(max_results=1000)]
    except MlflowException:
        return ""
    name = uri.removeprefix("models:/").split("@")[0].split("/")[0]
    if name not in known:
        return did_you_mean(name, known)
    return nearest_alias(name, uri.split("@", 1)[1]) if "@" in uri else ""


def stage(spec: Spec) -> Path:
    """Return a small MLflow model around the spec, whose loader is `sparkcoil.scorer` and whose code is this library."""
    folder = cache.temporary("scorer")
    spec.save(folder)
    staged = mlflow.models.Model(run_id=None)
    library.copy_into(folder / "code")
    mlflow.pyfunc.add_to_model(staged, loader_module=scorer.__name__, code="code")
    staged.save(folder / "MLmodel")
    return folder
