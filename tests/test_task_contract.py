"""What is asked of every task alike, through Spark: one row out for each row in, typed as documented, bad rows failed by themselves."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import tiny_encoders
import tiny_models
import ways
from pyspark.sql import SparkSession
from runs import text_run

from sparkcoil import ledger, run, tasks
from sparkcoil.registry import write_model

CONTEXT = tiny_encoders.SENTENCES[0]
TABLE = json.dumps({"city": ["Paris", "Warsaw"], "people": ["2", "1"]})
ODD = ("12", "🙂 smiles", "é" * 40, "a\u0300 \x00 end", "word " * 3000)


def encoder(auto_class: str, **config: Any) -> Callable[[Path], Path]:
    """Return what builds a tiny encoder."""
    return lambda folder: tiny_encoders.build(folder, auto_class, **config) / "model"


def speech(folder: Path) -> Path:
    """Build a tiny wav2vec2."""
    for part in ways.speech(folder):
        part.save_pretrained(folder / "model")
    return folder / "model"


def chatting(folder: Path) -> Path:
    """Build a tiny model that chats."""
    return tiny_models.tiny_causal(folder, chat_template=tiny_models.CHAT_TEMPLATE) / "model"


def tapas(folder: Path) -> Path:
    """Build a tiny TAPAS."""
    folder.mkdir()
    return tiny_encoders.build_tapas(folder) / "model"


# For each task: what builds a model, a row that it can score, and the input that is varied.
CASES: Mapping[str, tuple[Callable[[Path], Path], Mapping[str, Any], str]] = {
    "automatic-speech-recognition": (speech, {"audio": None}, "audio"),
    "feature-extraction": (encoder("AutoModel"), {"text": CONTEXT}, "text"),
    "fill-mask": (encoder("AutoModelForMaskedLM"), {"text": "the cat sat on the [MASK]"}, "text"),
    "llm/v1/chat": (chatting, {"messages": '[{"role": "user", "content": "an array"}]'}, "messages"),
    "llm/v1/completions": (lambda folder: tiny_models.tiny_causal(folder) / "model", {"prompt": "an array"}, "prompt"),
    "llm/v1/embeddings": (encoder("AutoModel"), {"input": CONTEXT}, "input"),
    "question-answering": (encoder("AutoModelForQuestionAnswering"), {"question": "Who?", "context": CONTEXT}, "context"),
    "summarization": (lambda folder: tiny_models.tiny_seq2seq(folder) / "model", {"text": "an array"}, "text"),
    "table-question-answering": (tapas, {"query": "Who?", "table": TABLE}, "query"),
    "text-classification": (encoder("AutoModelForSequenceClassification"), {"text": CONTEXT}, "text"),
    "text-generation": (lambda folder: tiny_models.tiny_causal(folder) / "model", {"text": "an array"}, "text"),
    "text2text-generation": (lambda folder: tiny_models.tiny_seq2seq(folder) / "model", {"text": "an array"}, "text"),
    "token-classification": (encoder("AutoModelForTokenClassification"), {"text": CONTEXT}, "text"),
    "translation": (lambda folder: tiny_models.tiny_seq2seq(folder) / "model", {"text": "an array"}, "text"),
    "zero-shot-classification": (
        encoder("AutoModelForSequenceClassification", id2label={0: "contradiction", 1: "neutral", 2: "entailment"}),
        {"text": CONTEXT, "candidate_labels": ["sports", "science"]},
        "text",
    ),
}


def rows_of(task: str, scratch: Path) -> list[dict[str, Any]]:
    """Return rows for a task: a good one, the same again, NULL, empty, and odd texts."""
    _, good, varied = CASES[task]
    if task == "automatic-speech-recognition":
        sound = ways.sounds_of(*ways.speech(scratch)).inputs["audio"][0]
        return [{"audio": cell} for cell in (sound, sound, None, b"", b"RIFF", b"text, no sound")]
    return [dict(good), dict(good), {**good, varied: None}, {**good, varied: ""}, *({**good, varied: each} for each in ODD)]


def test_every_task_is_asked() -> None:
    assert set(CASES) == set(tasks.names())


@pytest.mark.parametrize("name", sorted(CASES))
def test_each_row_has_its_typed_prediction_or_its_error(spark: SparkSession, tmp_path: Path, name: str) -> None:
    build, good, _ = CASES[name]
    write_model(build(tmp_path / "built"), tmp_path / "logged", task=name)
    rows = [{"id": i, **row} for i, row in enumerate(rows_of(name, tmp_path / "sounds"))]
    inputs = {"audio": "binary", "candidate_labels": "array<string>"}
    schema = ", ".join(["id BIGINT", *(f"{each} {inputs.get(each, 'string')}" for each in good)])
    spark.createDataFrame(rows, schema).write.format("delta").save(str(tmp_path / "in"))
    source = {"path": str(tmp_path / "in"), "keys": ["id"], "columns": {each: each for each in good}}
    model: dict[str, Any] = {"uri": str(tmp_path / "logged")}
    if "max_new_tokens" in tasks.load(name).options.model_fields:
        model["options"] = {"max_new_tokens": 4}
    target = {"path": str(tmp_path / "out")}
    config = text_run("-", "-", "-", model=model, source=source, target=target, rows={"max_failed_share": 1.0})
    report = run(spark, config)
    scored = spark.read.format("delta").load(str(tmp_path / "out")).orderBy("id")
    found = scored.collect()
    assert [row["id"] for row in found] == list(range(len(rows)))
    assert all((row["status"] == "ok") == (row["prediction"] is not None) == (row["error"] is None) for row in found)
    assert found[0]["status"] == "ok"
    assert found[0]["prediction"] == found[1]["prediction"]
    assert report.throughput["computed_rows"] == len(rows) - 1
    assert found[2]["error"]["code"] == "null_input"
    assert {row["error"]["stage"] for row in found if row["error"]} == {"input"}
    expected = spark.createDataFrame([], ledger.ddl(tasks.load(name).prediction)).schema
    assert scored.schema["prediction"].dataType.simpleString() == expected["prediction"].dataType.simpleString()
    assert run(spark, config).status == "nothing_due"
