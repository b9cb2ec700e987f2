"""From a URI to a pinned model, and what an artifact may not hold."""

import json
import shutil
from pathlib import Path

import mlflow
import pytest
import yaml
from mlflow import MlflowClient

from sparkcoil import log_model, models, tasks
from sparkcoil.errors import ConfigError, ModelError

TASK = tasks.load("text-classification")


@pytest.fixture
def artifact(text_model: str, tmp_path: Path) -> Path:
    """A copy of the logged model's files, for a test to spoil."""
    return Path(shutil.copytree(models.resolve(text_model).path, tmp_path / "artifact"))


def test_an_alias_is_resolved_to_a_version(text_model: str) -> None:
    model = models.resolve(text_model)
    assert (model.uri, model.version, model.flavor["task"]) == ("models:/docstring_topic/1", "1", "text-classification")


def test_every_form_of_uri_names_the_same_files(text_model: str) -> None:
    model = models.resolve(text_model)
    forms = ["models:/docstring_topic/1", f"models:/{model.model_id}", str(model.model_id), str(model.path)]
    assert {models.resolve(form).digest for form in forms} == {model.digest}


def test_the_digest_changes_with_any_file(artifact: Path) -> None:
    before = models.resolve(str(artifact)).digest
    (artifact / "README.md").write_text("changed")
    assert models.resolve(str(artifact)).digest != before


def test_the_digest_is_remembered_without_reading_the_files(artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = models.resolve(str(artifact)).digest
    monkeypatch.setattr(models, "file_digest", lambda path: pytest.fail("a file was read"))
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


def test_another_flavor_is_refused(tmp_path: Path, home: Path) -> None:
    mlflow.pyfunc.save_model(tmp_path / "other", python_model=lambda model_input: model_input, pip_requirements=[])
    with pytest.raises(ModelError, match="expected a model logged with the transformers flavor, found the flavors: python_function"):
        models.check(models.resolve(str(tmp_path / "other")), TASK)


def test_a_model_class_of_another_task_is_refused(artifact: Path) -> None:
    task = tasks.load("automatic-speech-recognition")
    with pytest.raises(ModelError, match="expects a model class ending in ForCTC, found BertForSequenceClassification"):
        models.check(models.resolve(str(artifact)), task)


@pytest.mark.parametrize("name", ["model/pytorch_model.bin", "model/weights.pt", "components/tokenizer/x.pkl", "model/modeling_x.py"])
def test_a_file_that_may_run_code_is_refused_by_name(artifact: Path, name: str) -> None:
    (artifact / name).write_bytes(b"not read")
    with pytest.raises(ModelError, match=name):
        models.check(models.resolve(str(artifact)), TASK)


def test_remote_code_is_refused(artifact: Path) -> None:
    config = artifact / "model" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "auto_map": {"AutoModel": "evil.Model"}}))
    with pytest.raises(ModelError, match=r"model/config.json points to code of the model's own \(auto_map\)"):
        models.check(models.resolve(str(artifact)), TASK)


def test_code_paths_are_refused(artifact: Path) -> None:
    metadata = yaml.safe_load((artifact / "MLmodel").read_text())
    metadata["flavors"]["python_function"]["code"] = "code"
    (artifact / "MLmodel").write_text(yaml.safe_dump(metadata))
    with pytest.raises(ModelError, match="carries code of its own"):
        models.check(models.resolve(str(artifact)), TASK)


def test_a_link_out_of_the_artifact_is_refused(artifact: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("{}")
    (artifact / "model" / "link.json").symlink_to(tmp_path / "secret")
    with pytest.raises(ModelError, match=r"model/link.json is a link out of the artifact"):
        models.check(models.resolve(str(artifact)), TASK)


def test_an_artifact_without_weights_is_refused(artifact: Path) -> None:
    shutil.rmtree(artifact / "model")
    with pytest.raises(ModelError, match="the artifact holds no weights"):
        models.check(models.resolve(str(artifact)), TASK)


def test_logging_registers_a_version_with_the_alias(examples: Path, home: Path) -> None:
    logged = log_model(examples / "models" / "keypad", task="automatic-speech-recognition", name="logged", alias="best")
    assert str(MlflowClient().get_model_version_by_alias("logged", "best").version) == logged.version
    assert models.resolve("models:/logged@best").architecture == "Wav2Vec2ForCTC"


def test_logging_refuses_what_is_no_checkpoint_of_the_task(examples: Path, tmp_path: Path, home: Path) -> None:
    with pytest.raises(ModelError, match="expected a checkpoint directory"):
        log_model(tmp_path, task="text-classification")
    with pytest.raises(ModelError, match="expected a model class ending in ForSequenceClassification, found Wav2Vec2ForCTC"):
        log_model(examples / "models" / "keypad", task="text-classification")
    with pytest.raises(ConfigError, match="alias: given without a name"):
        log_model(examples / "models" / "keypad", task="automatic-speech-recognition", alias="best")
