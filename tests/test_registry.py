"""Putting a model into MLflow: what is taken, what is written, what is refused, and that nothing is left behind half logged."""

import base64
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jobs
import mlflow
import pandas as pd
import peft
import pytest
import tiny_encoders
import tiny_models
import torch
import transformers
import typer
import ways
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from typer.testing import CliRunner

from sparkcoil import cli, log_model, models, signature, tasks
from sparkcoil.errors import ConfigError, EnvironmentError_, ModelError
from sparkcoil.registry import Logged

LABELS = {"id2label": {0: "red", 1: "green", 2: "blue"}, "label2id": {"red": 0, "green": 1, "blue": 2}}
CLASSIFY = "text-classification"


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A tiny classifier's checkpoint directory."""
    return tiny_encoders.build(tmp_path / "tiny", "AutoModelForSequenceClassification", **LABELS) / "model"


@pytest.fixture
def nothing_new(home: Path) -> Iterator[None]:
    """Pass if a test leaves no run, logged model or registered version behind that was not there before."""
    before = everything()
    yield
    assert everything() == before


def everything() -> list[str]:
    """Return the ids of all that MLflow has."""
    client = MlflowClient()
    experiments = [each.experiment_id for each in client.search_experiments()]
    runs = [each.info.run_id for each in client.search_runs(experiments)]
    logged = [each.model_id for each in client.search_logged_models(experiments)]
    return [*runs, *logged, *(f"{each.name}/{each.version}" for each in client.search_model_versions(max_results=1000))]


def predicted(logged: Logged, **inputs: Any) -> pd.DataFrame:
    """Return what plain MLflow says of inputs; every row must be scored."""
    found = mlflow.pyfunc.load_model(logged.uri).predict(pd.DataFrame(inputs))
    assert found["error"].tolist() == [""] * len(found)
    return found


def labels_of(logged: Logged) -> list[tuple[str, float]]:
    """Return the label and the score of each of the sentences."""
    found = predicted(logged, text=ways.SENTENCES)
    return [(label, round(score, 4)) for label, score in zip(found["label"], found["score"], strict=True)]


def natively(pipe: Any) -> list[tuple[str, float]]:
    """Return the label and the score that the native pipeline gives each of the sentences."""
    said = [pipe(text, truncation=True)[0] for text in ways.SENTENCES]
    return [(each["label"], round(each["score"], 4)) for each in said]


def refuse_to_load(*_: Any, **__: Any) -> None:
    raise AssertionError("weights were loaded")


def test_a_checkpoint_directory_is_logged_without_loading_its_weights(
    home: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = natively(transformers.pipeline(CLASSIFY, str(checkpoint)))
    with monkeypatch.context() as patched:
        patched.setattr(transformers.PreTrainedModel, "from_pretrained", refuse_to_load)
        patched.setattr(torch, "load", refuse_to_load)
        logged = log_model(checkpoint, task=CLASSIFY)
    assert labels_of(logged) == expected


def sharded(checkpoint: Path) -> Path:
    """Cut a checkpoint's weights into shards."""
    model = transformers.AutoModelForSequenceClassification.from_pretrained(checkpoint)
    (checkpoint / "model.safetensors").unlink()
    model.save_pretrained(checkpoint, max_shard_size="20KB")
    assert len(list(checkpoint.glob("*.safetensors"))) > 2
    return checkpoint


def test_a_checkpoint_in_shards_is_logged_without_loading_them(home: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = natively(transformers.pipeline(CLASSIFY, str(checkpoint)))
    sharded(checkpoint)
    with monkeypatch.context() as patched:
        patched.setattr(transformers.PreTrainedModel, "from_pretrained", refuse_to_load)
        logged = log_model(checkpoint, task=CLASSIFY)
    assert labels_of(logged) == expected


def test_a_pipeline_is_logged_as_it_is_in_memory(home: Path, checkpoint: Path) -> None:
    pipe = transformers.pipeline(CLASSIFY, str(checkpoint))
    torch.nn.init.normal_(pipe.model.classifier.weight)
    assert labels_of(log_model(pipe, task=CLASSIFY)) == natively(pipe)


def test_a_model_with_its_tokenizer_is_logged(home: Path, checkpoint: Path) -> None:
    pipe = transformers.pipeline(CLASSIFY, str(checkpoint))
    assert labels_of(log_model({"model": pipe.model, "tokenizer": pipe.tokenizer}, task="sentiment-analysis")) == natively(pipe)


@pytest.mark.parametrize("given", ["parts", "processor"])
def test_a_speech_model_is_logged_with_its_feature_extractor_or_its_processor(given: str, home: Path, tmp_path: Path) -> None:
    model, extractor, tokenizer = ways.speech(tmp_path / "speech")
    parts = {"tokenizer": tokenizer, "feature_extractor": extractor}
    processor = {"processor": transformers.Wav2Vec2Processor(feature_extractor=extractor, tokenizer=tokenizer)}
    scores = ways.sounds_of(model, extractor, tokenizer)
    logged = log_model({"model": model, **(parts if given == "parts" else processor)}, task="automatic-speech-recognition")
    assert predicted(logged, **scores.inputs)["text"].tolist() == [each["text"] for each in scores.expected]


def test_a_directory_that_a_processor_was_saved_into_is_logged_with_its_parts(home: Path, tmp_path: Path) -> None:
    model, extractor, tokenizer = ways.speech(tmp_path / "speech")
    transformers.Wav2Vec2Processor(feature_extractor=extractor, tokenizer=tokenizer).save_pretrained(tmp_path / "saved")
    model.save_pretrained(tmp_path / "saved")
    scores = ways.sounds_of(model, extractor, tokenizer)
    logged = log_model(tmp_path / "saved", task="automatic-speech-recognition")
    assert predicted(logged, **scores.inputs)["text"].tolist() == [each["text"] for each in scores.expected]
    assert isinstance(mlflow.transformers.load_model(logged.uri).feature_extractor, transformers.Wav2Vec2FeatureExtractor)


@pytest.mark.parametrize("base", ["given", "named"])
def test_an_adapter_directory_is_logged_with_the_base_that_is_given_or_that_it_names(base: str, home: Path, tmp_path: Path) -> None:
    model, tokenizer, weights = ways.adapted_causal(tmp_path)
    model.save_pretrained(tmp_path / "adapter")
    if base == "given":
        name_base(tmp_path / "adapter", "elsewhere/tiny")
    scores = ways.texts_of(model, tokenizer)
    given = {"base": weights} if base == "given" else {}
    logged = log_model(tmp_path / "adapter", task="text-generation", options={"max_new_tokens": 8}, **given)
    assert predicted(logged, **scores.inputs)["text"].tolist() == [each["text"] for each in scores.expected]


def name_base(adapter: Path, name: str) -> None:
    """Make an adapter name another base."""
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": name}))


def test_an_adapted_model_is_logged_with_the_base_that_is_in_memory_not_the_one_it_came_from(home: Path, tmp_path: Path) -> None:
    model, tokenizer, _ = ways.adapted_classifier(tmp_path)
    with torch.no_grad():
        model.get_base_model().bert.embeddings.word_embeddings.weight.mul_(1.5)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    logged = log_model({"model": model, "tokenizer": tokenizer}, task=CLASSIFY)
    scores = ways.labels_of_adapted(model, tokenizer)
    assert labels_of(logged) == [(str(each["label"]), round(each["score"], 4)) for each in scores.expected]
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


def test_mlflow_loads_an_adapted_model_natively_with_its_base(home: Path, tmp_path: Path) -> None:
    model, tokenizer, _ = ways.adapted_causal(tmp_path)
    logged = log_model({"model": model, "tokenizer": tokenizer}, task="text-generation")
    pipe = mlflow.transformers.load_model(logged.uri)
    assert isinstance(pipe.model, peft.PeftModel)
    ids = tokenizer("an array", return_tensors="pt").input_ids
    with torch.inference_mode():
        assert torch.allclose(pipe.model(ids).logits, model(ids).logits, atol=1e-4)


def test_what_a_training_run_left_in_the_directory_is_left_out(home: Path, checkpoint: Path) -> None:
    for name in ("training_args.bin", "optimizer.pt", "rng_state.pth", "pytorch_model.bin", "trainer_state.json"):
        (checkpoint / name).write_bytes(b"\x80\x02.")
    (checkpoint / "checkpoint-500").mkdir()
    shutil.copy(checkpoint / "model.safetensors", checkpoint / "checkpoint-500")
    written = models.resolve(log_model(checkpoint, task=CLASSIFY).uri).path / "model"
    assert sorted(each.name for each in written.iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]


def test_a_directory_whose_name_mlflow_does_not_take_is_logged(home: Path, checkpoint: Path) -> None:
    moved = checkpoint.rename(checkpoint.with_name("tiny.v1:3%"))
    assert MlflowClient().get_logged_model(log_model(moved, task=CLASSIFY).model_id).name == "tiny_v1_3_"


def test_a_version_is_registered_under_the_name_with_the_alias(home: Path, checkpoint: Path) -> None:
    first, second = (log_model(checkpoint, task=CLASSIFY, name="our.registered", alias="best-1") for _ in range(2))
    assert (first.uri, second.uri, second.version) == ("models:/our.registered/1", "models:/our.registered/2", "2")
    assert models.resolve("models:/our.registered@best-1").uri == second.uri


def test_the_run_that_logs_ends_well_and_holds_the_model(home: Path, checkpoint: Path) -> None:
    logged = log_model(checkpoint, task=CLASSIFY)
    run = mlflow.get_run(str(MlflowClient().get_logged_model(logged.model_id).source_run_id))
    assert (run.info.status, [each.model_id for each in run.outputs.model_outputs]) == ("FINISHED", [logged.model_id])


def test_within_a_run_of_the_callers_own_the_model_goes_there_and_the_run_goes_on(home: Path, checkpoint: Path) -> None:
    with mlflow.start_run() as mine:
        logged = log_model(checkpoint, task=CLASSIFY)
        assert mlflow.active_run().info.run_id == mine.info.run_id
    assert MlflowClient().get_logged_model(logged.model_id).source_run_id == mine.info.run_id


def test_the_model_card_and_the_licence_are_carried_and_what_they_say_is_in_the_metadata(home: Path, checkpoint: Path) -> None:
    card = "---\nlicense: apache-2.0\nbase_model:\n- someone/base\n---\n# A card\n"
    (checkpoint / "README.md").write_text(card)
    (checkpoint / "LICENSE").write_text("the licence")
    found = models.resolve(log_model(checkpoint, task=CLASSIFY, metadata={"team": "search"}).uri)
    assert ((found.path / "model_card.md").read_text(), (found.path / "LICENSE.txt").read_text()) == (card, "the licence")
    assert found.notes == {
        "license": "apache-2.0",
        "base_model": "someone/base",
        "transformers_version": transformers.__version__,
        "torch_version": torch.__version__.split("+")[0],
        "team": "search",
    }


def test_the_commit_of_a_download_of_the_hub_is_in_the_metadata(home: Path, checkpoint: Path, tmp_path: Path) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    (tmp_path / "snapshots").mkdir()
    found = models.resolve(log_model(checkpoint.rename(tmp_path / "snapshots" / commit), task=CLASSIFY).uri)
    assert found.notes["commit"] == commit


def test_a_card_that_cannot_be_read_keeps_no_model_from_being_logged(home: Path, checkpoint: Path) -> None:
    (checkpoint / "README.md").write_bytes(b"---\n\xff: [\n---\n")
    assert "license" not in models.resolve(log_model(checkpoint, task=CLASSIFY).uri).notes


def test_the_dtype_of_the_weights_is_kept_for_native_loading(home: Path, checkpoint: Path) -> None:
    model = transformers.AutoModelForSequenceClassification.from_pretrained(checkpoint, dtype=torch.bfloat16)
    model.save_pretrained(checkpoint)
    assert mlflow.transformers.load_model(log_model(checkpoint, task=CLASSIFY).uri).model.dtype == torch.bfloat16


EXAMPLES: dict[str, tuple[str, dict[str, Sequence[Any]]]] = {
    "texts": (CLASSIFY, {"text": ["one", "zwei ü", None]}),
    "sounds": ("automatic-speech-recognition", {"audio": [b"\x00\xff", b"RIFF"]}),
}


@pytest.mark.parametrize("kind", EXAMPLES)
def test_the_input_example_can_be_loaded_again(kind: str, home: Path, checkpoint: Path, tmp_path: Path) -> None:
    task, example = EXAMPLES[kind]
    parts = dict(zip(("model", "feature_extractor", "tokenizer"), ways.speech(tmp_path / "speech"), strict=True))
    logged = log_model(checkpoint if task == CLASSIFY else parts, task=task, input_example=example)
    found: Any = Model.load(logged.uri).load_input_example(str(models.resolve(logged.uri).path))
    # A cell that may be more than bytes is of any type, and its bytes come back as the text that is read alike.
    expected = pd.DataFrame(example).map(lambda cell: base64.b64encode(cell).decode() if isinstance(cell, bytes) else cell)
    pd.testing.assert_frame_equal(found, expected)


@pytest.mark.parametrize("name", tasks.names())
def test_every_task_has_a_signature_of_its_inputs_and_its_prediction(name: str) -> None:
    task = tasks.load(name)
    found = signature.of_task(task)
    assert {each.name: each.required for each in found.inputs} == {each.name: each.required for each in task.inputs}
    outputs = [each.name for each in found.outputs]
    assert outputs == [*(field.split()[0] for field in top_level(task.prediction)), "status", "error"]
    assert type(found).from_dict(found.to_dict()) == found


def top_level(fields: str) -> list[str]:
    """Return the fields of a DDL string that lie in no other."""
    while "<" in fields:
        start = fields.rindex("<")
        fields = fields[:start] + fields[fields.index(">", start) + 1 :]
    return [each.strip() for each in fields.split(",")]


def test_a_column_of_a_rows_own_options_may_have_nulls(home: Path, tmp_path: Path) -> None:
    checkpoint = tiny_models.tiny_causal(tmp_path / "causal") / "model"
    logged = log_model(checkpoint, task="text-generation", options={"max_new_tokens": 5})
    found = predicted(logged, text=["the socket is closed"] * 3, max_new_tokens=[2, None, 3])
    assert found["completion_tokens"].tolist() == [2, 5, 3]


def wrong_class(folder: Path) -> dict[str, Any]:
    return {"model": tiny_encoders.build(folder / "x", "AutoModelForTokenClassification") / "model"}


def no_config(folder: Path) -> dict[str, Any]:
    return {"model": folder}


def no_folder(folder: Path) -> dict[str, Any]:
    return {"model": folder / "nowhere"}


def broken_config(folder: Path) -> dict[str, Any]:
    (folder / "config.json").write_text("{")
    return {"model": folder}


def pickled(folder: Path) -> dict[str, Any]:
    checkpoint = tiny_encoders.build(folder / "x", "AutoModelForSequenceClassification") / "model"
    (checkpoint / "model.safetensors").rename(checkpoint / "pytorch_model.bin")
    return {"model": checkpoint}


def lost_shard(folder: Path) -> dict[str, Any]:
    checkpoint = sharded(tiny_encoders.build(folder / "x", "AutoModelForSequenceClassification") / "model")
    max(checkpoint.glob("*.safetensors")).unlink()
    return {"model": checkpoint}


def lost_base(folder: Path) -> dict[str, Any]:
    ways.adapted_classifier(folder)[0].save_pretrained(folder / "adapter")
    name_base(folder / "adapter", "someone/base")
    return {"model": folder / "adapter"}


def odd_adapter(folder: Path) -> dict[str, Any]:
    given = lost_base(folder)
    config = json.loads((given["model"] / "adapter_config.json").read_text())
    (given["model"] / "adapter_config.json").write_text(json.dumps({**config, "task_type": None}))
    return {**given, "base": folder / "tiny" / "model"}


def no_tokenizer(folder: Path) -> dict[str, Any]:
    checkpoint = tiny_encoders.build(folder / "x", "AutoModelForSequenceClassification") / "model"
    for each in checkpoint.glob("tokenizer*"):
        each.unlink()
    return {"model": checkpoint}


def own_code(folder: Path) -> dict[str, Any]:
    checkpoint = tiny_encoders.build(folder / "x", "AutoModelForSequenceClassification") / "model"
    config = json.loads((checkpoint / "config.json").read_text())
    (checkpoint / "config.json").write_text(json.dumps({**config, "auto_map": {"AutoModel": "evil.Model"}}))
    return {"model": checkpoint}


def bare_model(folder: Path) -> dict[str, Any]:
    return {"model": transformers.AutoModelForCausalLM.from_pretrained(tiny_models.tiny_causal(folder, family="llama") / "model")}


def odd_component(folder: Path) -> dict[str, Any]:
    return {"model": {"model": bare_model(folder)["model"], "tokeniser": object()}}


REFUSED: list[tuple[Callable[[Path], dict[str, Any]], str]] = [
    (wrong_class, "expected a model class ending in ForSequenceClassification, found BertForTokenClassification"),
    (no_config, "expected a checkpoint directory, found no config.json in it"),
    (no_folder, "expected a checkpoint directory, found no such directory"),
    (broken_config, r"config.json: cannot be read as JSON \("),
    (pickled, "expected weights as safetensors, found pytorch_model.bin, .*; save the model again with save_pretrained"),
    (lost_shard, r"1 of \d+ shards of its weights are missing, such as model-\d+-of-\d+.safetensors"),
    (lost_base, "its base model someone/base is no checkpoint directory here; give one as base"),
    (odd_adapter, "expected task_type to be one of SEQ_CLS, .*, found None"),
    (no_tokenizer, "the artifact holds no tokenizer; log the model together with its tokenizer"),
    (
        own_code,
        r"model/config.json points to code of the model's own \(auto_map\); log the model with classes that transformers",
    ),
    (bare_model, "expected a directory, a pipeline or components with a model, found LlamaForCausalLM"),
    (odd_component, r"'tokeniser' is no component of a model; did you mean 'tokenizer'\?"),
]


@pytest.mark.usefixtures("nothing_new")
@pytest.mark.parametrize(("make", "reason"), REFUSED, ids=[make.__name__ for make, _ in REFUSED])
def test_it_is_refused_in_a_sentence_and_leaves_nothing_behind(make: Callable[[Path], Any], reason: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"^log_model: .*{reason}") as caught:
        log_model(**make(tmp_path), task=CLASSIFY, name="refused", alias="best")
    assert (caught.value.exit_code, "\n" in str(caught.value)) == (3, False)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"task": "text-clasification"}, "task: unknown task, found 'text-clasification'; did you mean 'text-classification'?"),
    ({"alias": "best"}, "alias: given without a name to register the model under"),
    ({"name": "n", "alias": "v2"}, "alias: expected letters, digits, '_' and '-', and not 'latest' or a version such as 'v1', found 'v2'"),
    ({"name": "a/b"}, "name: expected a name without '/' and ':', found 'a/b'"),
    ({"options": {"topk": 3}}, "options.topk: unknown key; did you mean 'top_k'?"),
    ({"options": {"top_k": 0}}, "options.top_k: expected a value greater than or equal to 1"),
    ({"prompt_template": "{prompt}"}, "options.prompt_template: unknown key"),
    ({"task": "text-generation", "prompt_template": "no place"}, "options.prompt_template: a prompt template must hold {prompt}"),
    ({"input_example": {"txt": ["a"]}}, "input_example.txt: no input of text-classification; did you mean 'text'?"),
    ({"input_example": {"text": ["a", "b"], "text_pair": ["a"]}}, "input_example: expected columns of one length"),
]


@pytest.mark.usefixtures("nothing_new")
@pytest.mark.parametrize(("given", "problem"), WRONG, ids=[problem.split(",")[0][:40] for _, problem in WRONG])
def test_a_wrong_argument_is_refused_with_the_nearest_right_one(given: dict[str, Any], problem: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        log_model(tmp_path, **{"task": CLASSIFY, **given})
    assert (caught.value.exit_code, problem in str(caught.value)) == (2, True), str(caught.value)


def test_every_wrong_argument_is_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        log_model(tmp_path, task=CLASSIFY, alias="v1", options={"topk": 1}, input_example={"txt": ["a"]})
    assert len(caught.value.problems) == 5


def test_a_run_that_fails_is_marked_as_failed_and_registers_nothing(home: Path, checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "full").write_text("no folder can be made here")
    experiment = mlflow.create_experiment("full", artifact_location=f"file://{tmp_path}/full")
    ours = mlflow.get_experiment_by_name("tests")
    try:
        mlflow.set_experiment(experiment_id=experiment)
        with pytest.raises(OSError, match="full"):
            log_model(checkpoint, task=CLASSIFY, name="never")
    finally:
        mlflow.set_experiment(experiment_id=ours.experiment_id)
    client = MlflowClient()
    assert [each.info.status for each in client.search_runs([experiment])] == ["FAILED"]
    assert [str(each.status) for each in client.search_logged_models([experiment])] == ["FAILED"]
    assert list(client.search_registered_models("name = 'never'")) == []


def test_a_version_whose_alias_cannot_be_set_is_taken_back(home: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise MlflowException("no alias today")

    monkeypatch.setattr(MlflowClient, "set_registered_model_alias", refuse)
    with pytest.raises(EnvironmentError_, match="MLflow did not take the model: no alias today"):
        log_model(checkpoint, task=CLASSIFY, name="half", alias="best")
    assert list(MlflowClient().search_model_versions("name = 'half'")) == []
    assert mlflow.last_active_run().info.status == "FAILED"


def said(*arguments: str) -> tuple[int, dict[str, Any]]:
    """Run the verb in this process, and return its exit code and the JSON of its last line."""
    app = typer.Typer()
    app.command()(cli.log_model)
    done = CliRunner().invoke(app, list(arguments))
    return done.exit_code, json.loads(done.stdout.strip().splitlines()[-1]) if done.stdout.strip() else {}


def test_the_verb_logs_with_options_and_a_template(home: Path, tmp_path: Path) -> None:
    checkpoint = tiny_models.tiny_causal(tmp_path / "causal") / "model"
    options = ["--option", "max_new_tokens=5", "--option", "stop=[a, 'b']", "--prompt-template", "Q: {prompt}"]
    code, line = said(str(checkpoint), "--task", "text-generation", "--name", "verb", "--alias", "best", *options)
    assert (code, line["uri"], line["version"]) == (0, "models:/verb/1", "1")
    found = models.resolve("models:/verb@best").pyfunc["config"]
    assert found == {"max_new_tokens": 5, "stop": ["a", "b"], "prompt_template": "Q: {prompt}"}


def test_the_verb_logs_an_adapter_with_its_base(home: Path, tmp_path: Path) -> None:
    model, _, base = ways.adapted_causal(tmp_path)
    model.save_pretrained(tmp_path / "adapter")
    name_base(tmp_path / "adapter", "someone/base")
    assert said(str(tmp_path / "adapter"), "--task", "text-generation")[0] == 3
    code, line = said(str(tmp_path / "adapter"), "--task", "text-generation", "--base", str(base))
    assert (code, models.resolve(line["uri"]).has_adapter) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--task", "text-clasification"], "did you mean 'text-classification'?"),
        (["--task", CLASSIFY, "--option", "top_k"], "--option: expected name=value, found 'top_k'"),
        (["--task", CLASSIFY, "--option", "top_k=[", "--option", "a=1", "--option", "a=2"], "2 problems"),
        (["--task", CLASSIFY, "--option", "top_k=many"], "options.top_k: expected a valid integer"),
    ],
)
def test_the_verb_exits_2_for_a_wrong_argument(arguments: list[str], problem: str, tmp_path: Path) -> None:
    code, line = said(str(tmp_path), *arguments)
    assert (code, line["exit_code"], problem in line["message"]) == (2, 2, True), line


def test_the_job_says_where_the_model_went_on_its_last_line(home: Path, checkpoint: Path) -> None:
    ended = jobs.here("log_model", checkpoint, "--task", CLASSIFY, "--option", "top_k=2", cwd=home)
    assert ended.code == 0, ended.said[-2000:]
    assert models.resolve(ended.report["uri"]).pyfunc["config"] == {"top_k": 2}
