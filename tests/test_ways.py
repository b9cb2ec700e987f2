"""Every way of logging a model, by every form of URI: scored as the native model says, or refused before a row is read."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cluster
import mlflow
import pytest
import ways
from mlflow import MlflowClient
from pyspark.sql import SparkSession
from runs import text_run
from ways import WAYS, Scores, Way

from sparkcoil import run
from sparkcoil.errors import SparkcoilError
from sparkcoil.sections import ModelConfig
from sparkcoil.selection import select

SCORED = [each for each in WAYS if each.refused is None]
REFUSED = [each for each in WAYS if each.refused is not None]

pytestmark = pytest.mark.usefixtures("scratch")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub cache of this module's own."""
    from huggingface_hub import constants

    folder = tmp_path_factory.mktemp("hub")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(constants, "HF_HUB_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module")
def made(hub: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Scores | None]]:
    """The folders of the models made so far, by the name of their way."""
    return {}


@pytest.fixture
def model(request: pytest.FixtureRequest, made: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Scores | None]:
    """The folder of the way's model, made once."""
    each: Way = request.param
    if each.name not in made:
        made[each.name] = ways.make(each, tmp_path_factory.mktemp("way"))
    return made[each.name]


def uris(folder: Path, name: str) -> dict[str, str]:
    """Log a model's folder in MLflow, and return every form of URI that names it, by form."""
    client = MlflowClient()
    with mlflow.start_run() as started:
        mlflow.log_artifacts(str(folder), "model")
    created = client.create_logged_model(started.info.experiment_id, name=name)
    client.log_model_artifacts(created.model_id, str(folder))
    client.finalize_logged_model(created.model_id, "READY")
    version = mlflow.register_model(f"models:/{created.model_id}", name)
    client.set_registered_model_alias(name, "champion", str(version.version))
    return {
        "models:/name/1": f"models:/{name}/{version.version}",
        "models:/name@alias": f"models:/{name}@champion",
        "models:/m-id": f"models:/{created.model_id}",
        "m-id": created.model_id,
        "runs:/id/path": f"runs:/{started.info.run_id}/model",
        "file:": folder.as_uri(),
        "a path": str(folder),
    }


@pytest.mark.parametrize("model", SCORED, ids=[each.name for each in SCORED], indirect=True)
def test_it_scores_as_the_native_model_does(spark: SparkSession, model: tuple[Path, Scores], tmp_path: Path) -> None:
    differing = ways.differences(spark, *model, tmp_path)
    assert differing == []


@pytest.mark.parametrize("model", SCORED[:1], ids=[SCORED[0].name], indirect=True)
def test_every_form_of_uri_names_it(home: Path, model: tuple[Path, Scores]) -> None:
    folder, scores = model
    found = {}
    for form, uri in uris(folder, "way_of_naming").items():
        selection = select(ModelConfig(**{**scores.model, "uri": uri}), name=form, task=None, columns=None)
        found[form] = selection.logged.digest
        assert "@" not in selection.logged.uri
    assert len(set(found.values())) == 1


@pytest.mark.long("clusters")
@pytest.mark.timeout(1200)
def test_one_of_each_kind_scores_on_a_cluster_whose_executors_know_no_network(tmp_path: Path) -> None:
    with cluster.standalone(tmp_path, workers=1) as master:
        command = [sys.executable, str(Path(ways.__file__)), master, str(tmp_path / "models")]
        own = {**os.environ, "HF_HUB_CACHE": str(tmp_path / "hub"), "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db"}
        done = subprocess.run(command, cwd=tmp_path, env=own, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1]) == {each: [] for each in ways.ON_CLUSTER}


@pytest.mark.parametrize("model", REFUSED, ids=[each.name for each in REFUSED], indirect=True)
def test_it_is_refused_before_a_row_is_read(spark: SparkSession, model: tuple[Path, None], request: pytest.FixtureRequest) -> None:
    folder, _ = model
    reason = REFUSED[request.node.callspec.indices["model"]].refused
    spark.createDataFrame([(1, "text")], "id BIGINT, text STRING").write.format("delta").mode("overwrite").saveAsTable("way_refused")
    inputs = {"text": "text"}
    with pytest.raises(SparkcoilError, match=reason) as caught:
        run(spark, text_run(str(folder), "-", "way_refused_scored", source={"table": "way_refused", "keys": ["id"], "columns": inputs}))
    assert caught.value.exit_code == 3
    if spark.catalog.tableExists("way_refused_scored"):
        assert spark.table("way_refused_scored").count() == 0
