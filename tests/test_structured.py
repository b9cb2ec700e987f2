"""Prompts from several columns, and answers of a given form: from a real model whose every word is a whole JSON text."""

import json
from pathlib import Path
from typing import Any

import pytest
import tiny_models
import torch
from pyspark.sql import SparkSession
from runs import make_table, text_run
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from sparkcoil import register, run, score, scoring_udf, tasks
from sparkcoil.registry import write_model

WORDS = ("tea", "rice", "milk", "good", "bad", "of", "is")
ANSWERS = ('{"product":"tea","stars":5}', '{"product":"rice","stars":null}', '{"product":"milk"}', '{"stars":"none"}', "none", '["tea"]')
SCHEMA = "product STRING NOT NULL, stars INT"
TEMPLATE = "{product} is {verdict}"
ROWS = [(i, product, verdict) for i, (product, verdict) in enumerate((p, v) for p in WORDS[:3] for v in (*WORDS[3:6], None))]


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a random GPT-2 that answers with one token: one of ANSWERS, whole."""
    vocabulary = {word: i for i, word in enumerate(("<pad>", "</s>", "<unk>", *ANSWERS, *WORDS))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    torch.manual_seed(1)
    size = {"n_positions": 32, "n_embd": 32, "n_layer": 2, "n_head": 2, "initializer_range": 0.5, "tie_word_embeddings": False}
    model = GPT2LMHeadModel(GPT2Config(vocab_size=len(vocabulary), bos_token_id=None, eos_token_id=1, **size))
    with torch.no_grad():  # only answers are ever said
        model.lm_head.weight[:3] = model.lm_head.weight[3 + len(ANSWERS) :] = 0
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")
    return tiny_models.saved(tmp_path_factory.mktemp("answers"), model, fast)


def answers(artifact: Path, *, batch: int = 32, **options: Any) -> list[Any]:
    """Return each row's parsed answer, or the code of its failure."""
    task, chosen = tasks.fitted("text-generation", {"max_new_tokens": 1, "prompt_template": TEMPLATE, "response_schema": SCHEMA, **options})
    rows = [{"{product}": product.encode(), "{verdict}": verdict.encode()} for _, product, verdict in ROWS if verdict]
    records = tiny_models.scored(task, artifact, rows, batch=batch, **chosen.model_dump(exclude_unset=True))
    return [each.error.code if each.error else json.loads((each.prediction or {})["parsed"]) for each in records]


def test_what_fits_is_parsed_and_what_does_not_fails_its_row_alone(artifact: Path) -> None:
    prompts = [f"{product} is {verdict}" for _, product, verdict in ROWS if verdict]
    texts = [tiny_models.text_of(artifact, each) for each in tiny_models.native(artifact, prompts, max_new_tokens=1)]
    found = answers(artifact, response_retries=0)
    assert len(set(texts)) > 2 and set(texts) <= {*ANSWERS, *WORDS, ""}
    codes = dict.fromkeys((*ANSWERS[2:4], ANSWERS[5]), "schema_mismatch")
    assert found == [json.loads(text) if text in ANSWERS[:2] else codes.get(text, "not_json") for text in texts]


def test_what_does_not_fit_is_tried_again_and_what_fits_is_not(artifact: Path) -> None:
    once, again = answers(artifact, response_retries=0), answers(artifact, response_retries=10)
    assert [new for old, new in zip(once, again, strict=True) if isinstance(old, dict)] == [old for old in once if isinstance(old, dict)]
    assert sum(isinstance(each, str) for each in again) < sum(isinstance(each, str) for each in once)


def test_tries_do_not_depend_on_the_batch(artifact: Path) -> None:
    assert answers(artifact, batch=1) == answers(artifact) == answers(artifact, batch=2)


@pytest.fixture(scope="module")
def model_uri(artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The model logged with its template."""
    folder = tmp_path_factory.mktemp("logged") / "model"
    write_model(artifact / "model", folder, task="text-generation", options={"prompt_template": TEMPLATE, "max_new_tokens": 1})
    return str(folder)


OPTIONS = {"response_schema": SCHEMA, "response_retries": 10, "return_prompt": True}


@pytest.fixture(scope="module")
def scored(spark: SparkSession, model_uri: str) -> dict[int, Any]:
    """The prediction table's rows of a run, by their key."""
    make_table(spark, "verdicts", ROWS, "id INT, product STRING, verdict STRING")
    source = {"table": "verdicts", "keys": ["id"], "columns": {"verdict": "trim(verdict)"}}
    model = {"uri": model_uri, "options": OPTIONS}
    run(spark, text_run("-", "-", "verdicts_scored", model=model, source=source, rows={"max_failed_share": 1.0}))
    return {row["id"]: row for row in spark.table("verdicts_scored").collect()}


def test_a_run_takes_columns_by_their_names_and_writes_typed_answers(spark: SparkSession, scored: dict[int, Any]) -> None:
    fields = spark.table("verdicts_scored").schema["prediction"].dataType.simpleString()
    assert fields.endswith("parsed:struct<product:string,stars:int>,prompt:string>")
    good = [row["prediction"] for row in scored.values() if row["status"] == "ok"]
    assert good and all(each["parsed"].asDict() == {"stars": None, **json.loads(each["text"])} for each in good)
    assert {each["prompt"] for each in good} <= {f"{product} is {verdict}" for _, product, verdict in ROWS}


def test_a_null_column_of_the_template_fails_its_row(scored: dict[int, Any]) -> None:
    found = {row["id"]: row["error"] and (row["error"]["stage"], row["error"]["code"]) for row in scored.values()}
    assert {key for key, each in found.items() if each == ("input", "null_input")} == {key for key, _, verdict in ROWS if verdict is None}
    assert {each for each in found.values() if each} <= {("input", "null_input"), ("output", "not_json"), ("output", "schema_mismatch")}


def test_every_door_gives_the_same(spark: SparkSession, model_uri: str, scored: dict[int, Any]) -> None:
    table = spark.table("verdicts")
    by_score = score(table, model_uri, keys="id", columns={}, options=OPTIONS)
    by_udf = table.select("id", scoring_udf(spark, model_uri, options=OPTIONS)("product", verdict="verdict").alias("s")).select("id", "s.*")
    register(spark, "judge", model_uri, options=OPTIONS)
    by_sql = spark.sql("SELECT id, s.* FROM (SELECT id, judge(product, verdict) AS s FROM verdicts)")
    expected = {key: row["prediction"] for key, row in scored.items()}
    for frame in (by_score, by_udf, by_sql):
        assert {row["id"]: row["prediction"] for row in frame.collect()} == expected
