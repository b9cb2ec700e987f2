"""Settings as people log them with a model, for a native pipeline: what each of them comes to here, or that nothing follows it."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jobs
import mlflow
import numpy as np
import peft
import pytest
import tiny_encoders as tiny
import tiny_models
import tiny_speech
import torch
import transformers
import yaml
from mlflow import MlflowClient
from pyspark.sql import SparkSession
from runs import make_table
from sentence_transformers import SentenceTransformer
from sentence_transformers.models import Dense, Normalize, Pooling, Transformer

from sparkcoil import engines, log_model, models, native, options, tasks
from sparkcoil.artifact import LoggedModel
from sparkcoil.engines import Placement
from sparkcoil.errors import ConfigError, ModelError
from sparkcoil.registry import write_model
from sparkcoil.scoring import Scoring

ASR = tasks.load("automatic-speech-recognition")
WRITING = tasks.load("text-generation")


def model_with(folder: Path, task: str, config: Mapping[str, Any]) -> LoggedModel:
    """Return a logged model of which nothing but its settings is read."""
    flavors = {"transformers": {"task": task}, "python_function": {"loader_module": "mlflow.transformers", "config": dict(config)}}
    (folder / "MLmodel").write_text(yaml.safe_dump({"flavors": flavors}))
    return LoggedModel("models:/m/1", "1", folder)


def set_config(logged: Path, config: Mapping[str, Any]) -> None:
    """Write a model_config into a logged model, as `mlflow.transformers.log_model(model_config=...)` does."""
    metadata = yaml.safe_load((logged / "MLmodel").read_text())
    metadata["flavors"]["python_function"]["config"] = dict(config)
    (logged / "MLmodel").write_text(yaml.safe_dump(metadata))


@pytest.mark.parametrize(
    ("task", "config", "expected"),
    [
        ("text-classification", {"truncation": True, "padding": True, "batch_size": 8, "device": 0}, {"truncation": "truncate_right"}),
        ("text-classification", {"truncation": False}, {"truncation": "fail"}),
        ("text-classification", {"return_all_scores": True}, {"top_k": None}),
        ("automatic-speech-recognition", {"return_timestamps": True}, {"return_timestamps": "segment"}),
        ("automatic-speech-recognition", {"return_timestamps": False}, {"return_timestamps": "none"}),
        ("automatic-speech-recognition", {"return_timestamps": "word"}, {"return_timestamps": "word"}),
        ("automatic-speech-recognition", {"chunk_length_s": 30, "stride_length_s": [5, 3]}, {"stride_length_s": (5.0, 3.0)}),
        (
            "automatic-speech-recognition",
            {"generate_kwargs": {"language": "fr", "task": "transcribe", "num_beams": 2}},
            {"language": "fr", "task": "transcribe", "num_beams": 2},
        ),
        ("text-generation", {"generate_kwargs": {"max_new_tokens": 7, "stop_strings": ["END"]}}, {"max_new_tokens": 7, "stop": ("END",)}),
        ("token-classification", {"grouped_entities": True}, {"aggregation_strategy": "simple"}),
    ],
)
def test_a_native_setting_is_the_option_that_means_the_same(
    tmp_path: Path, task: str, config: dict[str, Any], expected: dict[str, Any]
) -> None:
    found = options.resolve(model_with(tmp_path, task, config), tasks.load(task), {})
    assert {name: getattr(found.options, name) for name in expected} == expected
    assert native.not_followed(found.ignored) == ""


def test_only_a_setting_that_is_still_in_force_is_judged(tmp_path: Path) -> None:
    model = model_with(tmp_path, "automatic-speech-recognition", {"return_timestamps": "char"})
    with pytest.raises(ModelError, match="its model config cannot be used: return_timestamps"):
        options.resolve(model, ASR, {})
    assert options.resolve(model, ASR, {"return_timestamps": "word"}).options.return_timestamps == "word"
    with pytest.raises(ConfigError, match=r"model\.options\.return_timestamps"):
        options.resolve(model, ASR, {"return_timestamps": "chars"})


def test_what_nothing_follows_and_might_change_predictions_is_said_of_the_run(tmp_path: Path) -> None:
    config = {"generate_kwargs": {"forced_decoder_ids": [[1, 2]]}, "batch_size": 4, "ignore_labels": ["O"]}
    found = options.resolve(model_with(tmp_path, "automatic-speech-recognition", config), ASR, {})
    assert native.not_followed(found.ignored) == "ignore_labels (model config), forced_decoder_ids (model config)"


def score(folder: Path, uri: str, source: Mapping[str, Any], into: str, **model: Any) -> jobs.Ended:
    """Return how the job ends that scores a source with a model."""
    run = {"name": "logged", "tracking": "none", "model": {"uri": uri, **model}, "source": source, "target": {"table": into}}
    (folder / "logged.yaml").write_text(yaml.safe_dump(run))
    return jobs.here("score", folder / "logged.yaml", cwd=folder)


def test_what_mlflows_own_tutorial_logs_with_a_whisper_is_scored(spark: SparkSession, tmp_path: Path) -> None:
    artifact = tiny_speech.tiny_whisper(tmp_path / "tiny")
    write_model(artifact / "model", tmp_path / "logged", task="automatic-speech-recognition")
    config = {"return_timestamps": "word", "chunk_length_s": 2, "stride_length_s": [0.25, 0.125], "batch_size": 4, "device": "cpu"}
    set_config(tmp_path / "logged", {**config, "generate_kwargs": {"language": "de", "max_new_tokens": 6, "odd": 1}})
    rows = [(1, bytearray(tiny_speech.wav(tiny_speech.noise(1.2, 1))))]
    make_table(spark, "tutorial", rows, "id BIGINT, sound BINARY")
    ended = score(
        tmp_path, str(tmp_path / "logged"), {"table": "tutorial", "keys": ["id"], "columns": {"audio": "sound"}}, "tutorial_scored"
    )
    assert (ended.code, ended.report["rows"]["ok"]) == (0, 1), ended.said
    assert ended.report["options"]["language"] == "de"
    assert "not followed: odd (model config)" in ended.said
    assert spark.table("tutorial_scored").select("prediction.language").head()[0] == "de"


def test_what_a_generation_config_asks_of_generate_alone_changes_nothing(tmp_path: Path) -> None:
    artifact = tiny_models.tiny_causal(tmp_path)
    expected = tiny_models.predictions(WRITING, artifact, ["once", "upon a"], max_new_tokens=6)
    file = artifact / "model" / "generation_config.json"
    asked = {"return_dict_in_generate": True, "output_scores": True, "stop_strings": ["zzz"], "cache_implementation": "static"}
    file.write_text(json.dumps({**json.loads(file.read_text()), **asked}))
    assert tiny_models.predictions(WRITING, artifact, ["once", "upon a"], max_new_tokens=6) == expected


def test_stop_strings_of_a_generation_config_end_a_text(tmp_path: Path) -> None:
    artifact = tiny_models.tiny_causal(tmp_path / "tiny")
    write_model(artifact / "model", tmp_path / "logged", task="text-generation")
    text = tiny_models.predictions(WRITING, artifact, ["hello"], max_new_tokens=12)[0]["text"]
    file = tmp_path / "logged" / "model" / "generation_config.json"
    content = json.loads(file.read_text())
    file.unlink()  # which is the checkpoint's own, linked
    file.write_text(json.dumps({**content, "stop_strings": [text[3:5]]}))
    found = options.resolve(LoggedModel("m", None, tmp_path / "logged"), WRITING, {}).options
    assert found.stop == (text[3:5],)
    ended = tiny_models.predictions(WRITING, artifact, ["hello"], max_new_tokens=12, stop=list(found.stop))[0]
    assert (ended["text"], ended["finish_reason"]) == (text[: text.find(text[3:5])], "stop")


def test_a_special_token_ends_a_text_that_names_it_as_a_stop(tmp_path: Path) -> None:
    artifact = tiny_models.tiny_causal(tmp_path)
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(artifact / "model")
    token = tiny_models.native(artifact, ["hello"], max_new_tokens=8)[0][4]
    name = tokenizer.convert_ids_to_tokens(token)
    settings = json.loads((artifact / "model" / "tokenizer.json").read_text())
    settings["added_tokens"].append(
        {"id": token, "content": name, "special": True, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    )
    (artifact / "model" / "tokenizer.json").write_text(json.dumps(settings))
    found = tiny_models.predictions(WRITING, artifact, ["hello"], max_new_tokens=8, stop=[name])[0]
    assert (found["completion_tokens"] <= 5, found["finish_reason"]) == (True, "stop")


CHAT = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"


def test_an_answer_that_the_assistant_has_begun_is_gone_on_with(tmp_path: Path) -> None:
    artifact = tiny_models.tiny_causal(tmp_path, chat_template=CHAT)
    begun = [{"role": "user", "content": "say"}, {"role": "assistant", "content": "the socket"}]
    chat = tasks.load("llm/v1/chat")
    chosen = chat.options(max_tokens=6)
    engine: Any = engines.load("causal", artifact, chosen, Placement("cpu", "float32"))
    records = Scoring(chat, engine, chosen, engine.budget).score([{"messages": [dict(each) for each in begun]}])[0]
    wanted = tiny_models.native(artifact, ["user: say\nassistant: the socket"], special=False, max_new_tokens=6)[0]
    content = (records[0].prediction or {})["text"]
    assert content.strip() == tiny_models.text_of(artifact, wanted).strip()


@pytest.mark.long("runs")
def test_labels_that_were_logged_with_a_zero_shot_model_count(spark: SparkSession, tmp_path: Path) -> None:
    named = {
        "label2id": {"contradiction": 0, "neutral": 1, "entailment": 2},
        "id2label": {0: "contradiction", 1: "neutral", 2: "entailment"},
    }
    artifact = tiny.build(tmp_path / "tiny", "AutoModelForSequenceClassification", **named)
    write_model(artifact / "model", tmp_path / "logged", task="zero-shot-classification", options={"candidate_labels": ["rain", "sun"]})
    make_table(spark, "unlabelled", [(1, "a wet day")])
    source = {"table": "unlabelled", "keys": ["id"], "columns": {"text": "body"}}
    ended = score(tmp_path, str(tmp_path / "logged"), source, "unlabelled_scored")
    assert (ended.code, ended.report["rows"]["ok"]) == (0, 1), ended.said
    write_model(artifact / "model", tmp_path / "bare", task="zero-shot-classification")
    ended = score(tmp_path, str(tmp_path / "bare"), source, "bare_scored")
    assert ended.code == 2 and "needs one of candidate_labels" in ended.said


def test_a_tokenizer_that_was_saved_to_cut_the_beginning_does_so(tmp_path: Path) -> None:
    artifact = tiny.build(tmp_path / "tiny", "AutoModelForSequenceClassification")
    file = artifact / "model" / "tokenizer_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "truncation_side": "left"}))
    write_model(artifact / "model", tmp_path / "logged", task="text-classification")
    model, task = LoggedModel("m", None, tmp_path / "logged"), tasks.load("text-classification")
    found = options.resolve(model, task, {})
    assert (found.options.truncation, found.origins["truncation"]) == ("truncate_left", "tokenizer")
    assert options.resolve(model, task, {"truncation": "truncate_right"}).options.truncation == "truncate_right"


def embedder(folder: Path, *, limit: int = 20) -> SentenceTransformer:
    """Return a tiny sentence-transformers model with a prompt, a layer of its own and vectors of length 1."""
    artifact = tiny.build(folder / "tiny", "AutoModel")
    transformer = Transformer(str(artifact / "model"), max_seq_length=limit)
    torch.manual_seed(4)
    pooling = Pooling(32, pooling_mode="mean")
    modules = [transformer, pooling, Dense(32, 8, activation_function=torch.nn.Tanh()), Normalize()]
    return SentenceTransformer(modules=modules, prompts={"query": "query: "}, default_prompt_name="query", device="cpu")


def test_an_embedder_that_mlflow_has_logged_gives_what_it_gives_itself(spark: SparkSession, home: Path, tmp_path: Path) -> None:
    model = embedder(tmp_path)
    with mlflow.start_run():
        info = mlflow.sentence_transformers.log_model(model, name="embedder", pip_requirements=["mlflow"])
    texts = [" leading and trailing ", "Paris " * 40, "étude", *tiny.SENTENCES]
    make_table(spark, "sentences", list(enumerate(texts)))
    source = {"table": "sentences", "keys": ["id"], "columns": {"text": "body"}}
    ended = score(tmp_path, info.model_uri, source, "sentences_scored")
    assert (ended.code, ended.report["task"], ended.report["rows"]["ok"]) == (0, "feature-extraction", len(texts)), ended.said
    found = {row["id"]: row["embedding"] for row in spark.sql("SELECT id, prediction.embedding FROM sentences_scored").collect()}
    assert np.abs(np.stack([found[i] for i in range(len(texts))]) - model.encode(texts)).max() < 1e-6


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet"])
def test_the_limit_of_an_embedder_is_found_in_whichever_file_has_it(tmp_path: Path, family: str) -> None:
    embedder(tmp_path, limit=11).save_pretrained(str(tmp_path / "saved"))
    shutil.move(tmp_path / "saved" / "sentence_bert_config.json", tmp_path / "saved" / f"sentence_{family}_config.json")
    write_model(tmp_path / "saved", tmp_path / "logged", task="feature-extraction")
    task = tasks.load("feature-extraction")
    engine: Any = engines.load("embedder", tmp_path / "logged", task.options(), Placement("cpu", "float32"))
    assert engine.max_length == 11


@pytest.mark.long("runs")
def test_an_embedder_with_its_transformer_in_a_folder_of_its_own_is_scored(spark: SparkSession, home: Path, tmp_path: Path) -> None:
    model = embedder(tmp_path, limit=9)
    with mlflow.start_run():
        info = mlflow.sentence_transformers.log_model(model, name="old", pip_requirements=["mlflow"])
    logged = Path(shutil.copytree(models.resolve(info.model_uri).path, tmp_path / "old"))
    saved = logged / "model.sentence_transformer"
    modules = json.loads((saved / "modules.json").read_text())
    own = saved / "0_Transformer"
    own.mkdir()
    for file in [
        each for each in saved.iterdir() if each.is_file() and each.name not in ("modules.json", "config_sentence_transformers.json")
    ]:
        shutil.move(file, own / file.name)
    modules[0]["path"] = "0_Transformer"
    (saved / "modules.json").write_text(json.dumps(modules))
    make_table(spark, "old_sentences", [(1, "Paris " * 40)])
    ended = score(tmp_path, str(logged), {"table": "old_sentences", "keys": ["id"], "columns": {"text": "body"}}, "old_scored")
    assert (ended.code, ended.report["rows"]["ok"]) == (0, 1), ended.said
    found = spark.sql("SELECT prediction.embedding FROM old_scored").head()[0]
    assert np.abs(np.array(found) - model.encode("Paris " * 40)).max() < 1e-6


def test_an_encoder_that_was_saved_alone_is_loaded_by_its_own_class(tmp_path: Path) -> None:
    artifact = tiny_models.tiny_seq2seq(tmp_path / "t5")
    model = transformers.T5EncoderModel.from_pretrained(artifact / "model")
    shutil.rmtree(artifact / "model" / "model.safetensors", ignore_errors=True)
    model.save_pretrained(artifact / "model")
    engine: Any = engines.load("embedder", artifact, tasks.load("feature-extraction").options(), Placement("cpu", "float32"))
    assert engine.facts["model"] == "T5EncoderModel"


def test_a_masked_language_model_without_a_pooler_gives_embeddings(tmp_path: Path) -> None:
    artifact = tiny.build(tmp_path, "AutoModelForMaskedLM")
    task = tasks.load("feature-extraction")
    engine: Any = engines.load("embedder", artifact, task.options(), Placement("cpu", "float32"))
    record = Scoring(task, engine, task.options(), engine.budget).score([{"text": b"Paris"}])[0][0]
    assert record.error is None and len((record.prediction or {})["embedding"]) == 32


def test_an_adapter_with_added_tokens_grows_its_base(tmp_path: Path) -> None:
    artifact = tiny_models.tiny_causal(tmp_path, family="llama")
    model: Any = transformers.AutoModelForCausalLM.from_pretrained(artifact / "model")
    rows = model.get_input_embeddings().num_embeddings
    model.resize_token_embeddings(rows + 3)
    lora = peft.LoraConfig(task_type="CAUSAL_LM", r=2, target_modules=["q_proj"], modules_to_save=["embed_tokens", "lm_head"])
    torch.manual_seed(1)
    peft.get_peft_model(model, lora).save_pretrained(artifact / "peft")
    engine: Any = engines.load("causal", artifact, WRITING.options(), Placement("cpu", "float32"))
    assert engine.model.get_input_embeddings().num_embeddings == rows + 3


def test_an_adapter_of_another_base_is_refused_with_both_sizes(tmp_path: Path) -> None:
    artifact = tiny_models.tiny_causal(tmp_path / "small", family="llama")
    other: Any = transformers.AutoModelForCausalLM.from_pretrained(
        tiny_models.tiny_causal(tmp_path / "large", family="llama", hidden_size=64) / "model"
    )
    lora = peft.LoraConfig(task_type="CAUSAL_LM", r=2, target_modules=["q_proj"], init_lora_weights=False)
    peft.get_peft_model(other, lora).save_pretrained(artifact / "peft")
    with pytest.raises(ModelError, match=r"of shape \[2, 64\] in the adapter, and of \[2, 32\] in its base"):
        engines.load("causal", artifact, WRITING.options(), Placement("cpu", "float32"))


@pytest.mark.long("runs")
def test_n_grams_as_kenlm_keeps_them_are_no_pickle_and_the_run_says_that_they_are_not_used(
    spark: SparkSession, tmp_path: Path, audio_model: str
) -> None:
    artifact = Path(shutil.copytree(models.resolve(audio_model).path, tmp_path / "logged"))
    ngrams = artifact / "model" / "language_model"
    ngrams.mkdir()
    (ngrams / "5gram.bin").write_bytes(b"mmap lm http://kheafield.com/code format version 5\n\0" + bytes(64))
    (ngrams / "attrs.json").write_text(json.dumps({"alpha": 0.5, "beta": 1.5}))
    make_table(spark, "spoken", [(1, bytearray(tiny_speech.wav(tiny_speech.noise(0.8, 1))))], "id BIGINT, sound BINARY")
    ended = score(tmp_path, str(artifact), {"table": "spoken", "keys": ["id"], "columns": {"audio": "sound"}}, "spoken_scored")
    assert (ended.code, ended.report["rows"]["ok"]) == (0, 1), ended.said
    assert "greedy" in ended.report["throughput"]["decoding"]


@pytest.fixture(scope="module")
def versions(home: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a model with two versions, the first of them in production and the second the `candidate`."""
    artifact = tiny.build(tmp_path_factory.mktemp("tiny"), "AutoModelForSequenceClassification")
    for alias in (None, "candidate"):
        log_model(artifact / "model", task="text-classification", name="versioned", alias=alias)
    return "versioned"


def test_the_latest_version_is_named_once_and_by_its_number(versions: str) -> None:
    assert models.resolve(f"models:/{versions}/latest").uri == f"models:/{versions}/2"


def test_a_stage_names_the_newest_version_in_it(versions: str) -> None:
    with pytest.warns(FutureWarning):
        MlflowClient().transition_model_version_stage(versions, "1", "Production")
    assert models.resolve(f"models:/{versions}/Production").uri == f"models:/{versions}/1"
    with pytest.raises(ModelError, match="found 'Productoin'; did you mean 'Production'"):
        models.resolve(f"models:/{versions}/Productoin")


def test_a_wrong_alias_gets_the_nearest(versions: str) -> None:
    with pytest.raises(ModelError, match=r"did you mean 'candidate'\?"):
        models.resolve(f"models:/{versions}@candidat")


def test_what_mlflow_3_has_logged_under_a_run_is_found_by_the_run(home: Path, tmp_path: Path) -> None:
    artifact = tiny.build(tmp_path, "AutoModelForSequenceClassification")
    pipe = tiny.pipeline("text-classification", artifact)
    with mlflow.start_run() as run:
        info = mlflow.transformers.log_model(pipe, name="by_run", pip_requirements=["mlflow"])
    found = models.resolve(f"runs:/{run.info.run_id}/by_run")
    assert found.digest == models.resolve(f"models:/{info.model_id}").digest
