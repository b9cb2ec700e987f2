"""From a URI to a pinned model, and what an artifact may not hold."""

import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from cluster import free_port
from mlflow import MlflowClient

from sparkcoil import digest, log_model, models
from sparkcoil.artifact import LoggedModel
from sparkcoil.errors import ModelError


@pytest.fixture
def artifact(text_model: str, tmp_path: Path) -> Path:
    """A copy of the logged model's files, for a test to spoil."""
    return Path(shutil.copytree(models.resolve(text_model).path, tmp_path / "artifact"))


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("models:/assistant/3", "assistant/3"),
        ("models:/m-0a1b", "m-0a1b"),
        ("runs:/0a1b/model", "0a1b/model"),
        ("/data/models/assistant/", "assistant"),
        ("file:///data/assistant", "assistant"),
        ("s3://bucket/assistant", "assistant"),
    ],
)
def test_a_model_has_a_name_without_the_path_to_it(uri: str, name: str) -> None:
    assert LoggedModel(uri, None, Path()).name == name


def test_an_alias_is_resolved_to_a_version(text_model: str) -> None:
    model = models.resolve(text_model)
    version = str(MlflowClient().get_model_version_by_alias("docstring_topic", "champion").version)
    assert (model.uri, model.version, model.flavor["task"]) == (f"models:/docstring_topic/{version}", version, "text-classification")


def test_every_form_of_uri_names_the_same_files(text_model: str) -> None:
    model = models.resolve(text_model)
    forms = [f"models:/docstring_topic/{model.version}", f"models:/{model.model_id}", str(model.model_id), str(model.path)]
    assert {models.resolve(form).digest for form in forms} == {model.digest}


def test_the_digest_changes_with_any_file(artifact: Path) -> None:
    before = models.resolve(str(artifact)).digest
    (artifact / "README.md").write_text("changed")
    assert models.resolve(str(artifact)).digest != before


def test_the_digest_is_remembered_without_reading_the_files(artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = models.resolve(str(artifact)).digest
    monkeypatch.setattr(digest, "of_file", lambda path: pytest.fail("a file was read"))
    assert models.resolve(str(artifact)).digest == known


def test_an_unknown_name_is_refused_with_the_nearest_one(text_model: str) -> None:
    with pytest.raises(ModelError, match=r"models:/docstring_topik@champion: .*did you mean 'docstring_topic'\?"):
        models.resolve("models:/docstring_topik@champion")


@pytest.mark.parametrize(
    "uri", ["models:/docstring_topic@nobody", "models:/docstring_topic/99", "models:/docstring_topic", "/no/such/folder"]
)
def test_a_uri_without_a_model_is_refused(text_model: str, uri: str) -> None:
    with pytest.raises(ModelError, match=f"model.uri: {uri}"):
        models.resolve(uri)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of a running MLflow server that hands out artifacts itself, set as the tracking store."""
    url = f"http://127.0.0.1:{free_port()}"
    store = ["--backend-store-uri", f"sqlite:///{tmp_path}/server.db", "--artifacts-destination", str(tmp_path / "artifacts")]
    command = [sys.executable, "-m", "mlflow", "server", "--port", url.rsplit(":", 1)[1], "--workers", "1", *store]
    before = mlflow.get_tracking_uri()
    with (tmp_path / "server.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=tmp_path, start_new_session=True)
    try:
        wait_until_healthy(f"{url}/health")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
        mlflow.set_tracking_uri(url)
        yield url
    finally:
        mlflow.set_tracking_uri(before)
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)


def wait_until_healthy(url: str) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=5)
            return
        except OSError:
            time.sleep(0.3)
    raise TimeoutError(f"no answer from {url}")


@pytest.mark.long("outside")
def test_a_model_behind_an_artifact_server_is_fetched_once(server: str, examples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow.set_experiment("served")
    logged = log_model(examples / "models" / "docstring_topic", task="text-classification", name="served")
    stored = MlflowClient().get_logged_model(logged.model_id).artifact_location
    assert stored.startswith("mlflow-artifacts:")
    found = models.resolve(logged.uri)
    assert models.resolve(stored).digest == models.resolve(logged.model_id).digest == found.digest
    monkeypatch.setattr(mlflow.artifacts, "download_artifacts", lambda **_: pytest.fail("fetched again"))
    assert models.resolve(logged.uri).path == found.path
