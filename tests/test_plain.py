"""A model that we have logged, as MLflow itself loads and runs it."""

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import mlflow
import numpy as np
import pandas as pd
import plain_user
import pytest
import tiny_encoders
import tiny_models
import torch
import transformers
import ways

from sparkcoil import log_model, models, tasks
from sparkcoil.errors import ModelError, RowError
from sparkcoil.plain import as_cell, as_columns, as_row, input_names
from sparkcoil.scoring import Record
from sparkcoil.sections import ModelConfig
from sparkcoil.selection import select

TEXTS = [tiny_encoders.SENTENCES[1], None, "12", " ", tiny_encoders.SENTENCES[0], "12", "étude à Besançon"]
LABELS = {"id2label": {0: "red", 1: "green", 2: "blue"}, "label2id": {"red": 0, "green": 1, "blue": 2}}


class Case(NamedTuple):
    """A logged model, its inputs, what it gives natively for each row that can be scored, and the version of its files before."""

    uri: str
    inputs: dict[str, list[Any]]
    expected: list[dict[str, Any] | None]
    digest: str


def case(checkpoint: Path, task: str, inputs: dict[str, list[Any]], expected: Sequence[dict[str, Any] | None], **given: Any) -> Case:
    """Log a checkpoint for a task."""
    uri = log_model(checkpoint, task=task, name=f"plain_{task.replace('-', '_')}", **given).uri
    return Case(uri, inputs, list(expected), models.resolve(uri).digest)


def classification(folder: Path) -> Case:
    """Return a classifier that two texts may be given to, with what the native pipeline says."""
    pipe = tiny_encoders.pipeline("text-classification", tiny_encoders.build(folder, "AutoModelForSequenceClassification", **LABELS))
    expected = [None if each is None else pipe(each, truncation=True)[0] for each in TEXTS]
    return case(folder / "model", "text-classification", {"text": TEXTS}, expected)


def summarization(folder: Path) -> Case:
    """Return a T5 for a task that transformers 5 no longer has, with what `generate` writes after the logged prefix."""
    checkpoint = tiny_models.tiny_seq2seq(folder) / "model"
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(checkpoint).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint)
    prompts = [f"Sum up: {each}" for each in TEXTS if each is not None]
    written = iter(ways.texts_of(model, tokenizer, prompts, max_new_tokens=6).expected)
    expected = [None if each is None else dict(next(written)) for each in TEXTS]
    return case(checkpoint, "summarization", {"text": TEXTS}, expected, options={"max_new_tokens": 6, "prefix": "Sum up: "})


def embeddings(folder: Path) -> Case:
    """Return an embedder that takes the first token's vector, as its sentence-transformers files say, with those vectors."""
    checkpoint = tiny_encoders.build(folder, "AutoModel") / "model"
    (checkpoint / "1_Pooling").mkdir()
    (checkpoint / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 32, "pooling_mode_cls_token": True}))
    modules = [{"idx": i, "path": path, "type": f"sentence_transformers.models.{name}"} for i, (name, path) in enumerate(MODULES.items())]
    (checkpoint / "modules.json").write_text(json.dumps(modules))
    model, tokenizer = (getattr(transformers, each).from_pretrained(checkpoint) for each in ("AutoModel", "AutoTokenizer"))
    with torch.inference_mode():
        vectors = [None if each is None else model.eval()(**tokenizer(each, return_tensors="pt"))[0][0, 0] for each in TEXTS]
    expected = [None if each is None else {"embedding": each.tolist()} for each in vectors]
    return case(checkpoint, "feature-extraction", {"text": TEXTS}, expected)


MODULES = {"Transformer": "", "Pooling": "1_Pooling"}


def answers(folder: Path) -> Case:
    """Return an extractive question answerer, with the likeliest span of each context."""
    checkpoint = tiny_encoders.build(folder, "AutoModelForQuestionAnswering") / "model"
    model = transformers.AutoModelForQuestionAnswering.from_pretrained(checkpoint).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint)
    questions = ["Who barked?", None, "Where was she born?", " "]
    contexts = [tiny_encoders.SENTENCES[i] for i in (1, 1, 0, 3)]
    expected: list[dict[str, Any] | None] = []
    for question, context in zip(questions, contexts, strict=True):
        expected.append(None if question is None else {"answer": ways.best_span(model, tokenizer, question, context)})
    return case(checkpoint, "question-answering", {"question": questions, "context": contexts}, expected)


CASES = {
    "text-classification": classification,
    "summarization": summarization,
    "feature-extraction": embeddings,
    "question-answering": answers,
}


@pytest.fixture(scope="module")
def cases(home: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    """A logged model for each of a few tasks."""
    return {task: make(tmp_path_factory.mktemp("plain")) for task, make in CASES.items()}


@pytest.fixture(scope="module")
def found(cases: dict[str, Case], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a process gets that has MLflow and Spark, and sparkcoil from nowhere but the models."""
    folder = tmp_path_factory.mktemp("user")
    # Without `site` no .pth file is read, so that an editable install is not found.
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    python.chmod(0o755)
    own = {"PYTHONPATH": sysconfig.get_path("purelib"), "PYSPARK_PYTHON": str(python), "PYSPARK_DRIVER_PYTHON": str(python)}
    asked = json.dumps({each.uri: each.inputs for each in cases.values()})
    command = [str(python), plain_user.__file__, os.environ["MLFLOW_TRACKING_URI"], asked]
    done = subprocess.run(command, cwd=folder, env={**os.environ, **own}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout.splitlines()[-1]))


def differences(rows: Sequence[dict[str, Any]], expected: Sequence[dict[str, Any] | None]) -> list[str]:
    """Return what rows hold that the native model does not say, a line each."""
    lines = []
    for i, (row, native) in enumerate(zip(rows, expected, strict=True)):
        if native is None:
            lines += [f"row {i}: {row}"] if (row["status"], row["error"].split(":")[0]) != ("failed", "input/null_input") else []
            continue
        lines += [f"row {i}: {row['error']}"] if (row["status"], row["error"]) != ("ok", "") else []
        lines += [f"row {i}: {name} {row[name]!r} {native[name]!r}" for name in native if not same(row[name], native[name])]
    return lines


def same(ours: Any, native: Any) -> bool:
    """Tell whether two values are equal, numbers within 1e-4."""
    if isinstance(native, list):
        return len(ours) == len(native) and all(map(same, ours, native))
    return abs(ours - native) <= 1e-4 if isinstance(native, float) else bool(ours == native)


@pytest.mark.long("outside")
@pytest.mark.parametrize("task", CASES)
def test_plain_pyfunc_gives_each_row_what_the_native_model_says(task: str, cases: dict[str, Case], found: dict[str, Any]) -> None:
    assert differences(found["found"][cases[task].uri][0], cases[task].expected) == []


@pytest.mark.long("outside")
@pytest.mark.parametrize("task", CASES)
def test_plain_spark_udf_gives_each_row_what_the_native_model_says(task: str, cases: dict[str, Case], found: dict[str, Any]) -> None:
    assert differences(found["found"][cases[task].uri][1], cases[task].expected) == []


@pytest.mark.long("outside")
def test_the_library_comes_from_the_model_where_nothing_else_has_it(cases: dict[str, Case], found: dict[str, Any]) -> None:
    first = models.resolve(cases["text-classification"].uri).path
    assert Path(found["library"]) == first / "code" / "sparkcoil" / "__init__.py"


@pytest.mark.long("outside")
def test_a_model_that_was_used_plainly_is_still_the_same_to_a_run(cases: dict[str, Case], found: dict[str, Any]) -> None:
    model = cases["text-classification"]
    assert list(models.resolve(model.uri).path.rglob("__pycache__"))
    selected = select(ModelConfig(uri=model.uri), name="plain", task=None, columns=None)
    assert selected.logged.digest == model.digest


@pytest.mark.parametrize("task", ["text-classification", "feature-extraction"])
def test_mlflow_loads_the_native_pipeline(task: str, cases: dict[str, Case]) -> None:
    pipe, model = mlflow.transformers.load_model(cases[task].uri), cases[task]
    assert pipe.task == task
    if task == "text-classification":
        said = [None if each is None else pipe(each, truncation=True)[0]["label"] for each in TEXTS]
        assert said == [each and each["label"] for each in model.expected]
    else:
        assert same(pipe(TEXTS[0])[0][0], (model.expected[0] or {})["embedding"])


@pytest.mark.parametrize("task", CASES)
def test_pyfunc_in_the_same_process_gives_each_row_what_the_native_model_says(task: str, cases: dict[str, Case]) -> None:
    assert differences(plain_user.with_pyfunc(cases[task].uri, cases[task].inputs), cases[task].expected) == []


def test_a_run_honours_the_logged_options(cases: dict[str, Case]) -> None:
    selected = select(ModelConfig(uri=cases["summarization"].uri), name="plain", task=None, columns=None)
    logged = {name: selected.plain_options[name] for name in ("max_new_tokens", "prefix")}
    assert (logged, selected.effective.origins["prefix"]) == ({"max_new_tokens": 6, "prefix": "Sum up: "}, "model config")


def test_the_prompt_template_is_honoured_plainly_and_by_a_run(home: Path, tmp_path: Path) -> None:
    model, tokenizer = ways.causal(tmp_path)
    template = 'Answer {{"as": "JSON"}}: {prompt}'
    uri = log_model(tmp_path / "causal" / "model", task="text-generation", prompt_template=template, options={"max_new_tokens": 8}).uri
    expected = ways.texts_of(model, tokenizer, ['Answer {"as": "JSON"}: ' + each for each in ways.PROMPTS]).expected
    found = mlflow.pyfunc.load_model(uri).predict(pd.DataFrame({"text": ways.PROMPTS}))
    assert found["text"].tolist() == [each["text"] for each in expected]
    assert select(ModelConfig(uri=uri), name="plain", task=None, columns=None).plain_options["prompt_template"] == template


def test_a_logged_option_can_be_overridden_when_mlflow_loads_the_model(cases: dict[str, Case]) -> None:
    model = mlflow.pyfunc.load_model(cases["summarization"].uri, model_config={"max_new_tokens": 2})
    assert model.predict(pd.DataFrame({"text": ["an array"]}))["completion_tokens"].tolist() == [2]


def test_no_rows_give_no_rows_with_the_same_columns(cases: dict[str, Case]) -> None:
    model = mlflow.pyfunc.load_model(cases["text-classification"].uri)
    none = model.predict(pd.DataFrame({"text": pd.Series([], dtype=object)}))
    assert (len(none), list(none.columns)) == (0, ["label", "score", "scores", "status", "error"])


def test_an_index_of_the_users_own_is_kept(cases: dict[str, Case]) -> None:
    model = mlflow.pyfunc.load_model(cases["text-classification"].uri)
    assert model.predict(pd.DataFrame({"text": ["a", "b"]}, index=[7, 3])).index.tolist() == [7, 3]


def test_a_pair_of_texts_is_scored_where_the_second_is_given(cases: dict[str, Case]) -> None:
    model = mlflow.pyfunc.load_model(cases["text-classification"].uri)
    both = model.predict(pd.DataFrame({"text": ["Paris", "Paris"], "text_pair": ["London", None]}))
    assert both["status"].tolist() == ["ok", "ok"]
    assert both["score"][0] != pytest.approx(both["score"][1])
    assert both["score"][1] == pytest.approx(model.predict(pd.DataFrame({"text": ["Paris"]}))["score"][0])


def test_a_single_column_under_another_name_is_the_first_input() -> None:
    assert input_names(pd.Index(["body"]), tasks.load("text-classification")) == ["text"]


def test_a_column_that_is_no_input_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(ModelError, match=r"'contxt' is no input of question-answering; did you mean 'context'\?"):
        input_names(pd.Index(["question", "contxt"]), tasks.load("question-answering"))


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("é", "é".encode()),
        (b"\x00", b"\x00"),
        (float("nan"), None),
        (pd.NA, None),
        (None, None),
        (np.int64(3), 3),
        (np.array(["a", "b"], dtype=object), ["a", "b"]),
        (np.array([{"role": "user", "content": "hi"}], dtype=object), [{"role": "user", "content": "hi"}]),
    ],
)
def test_a_cell_comes_as_it_does_in_a_run(cell: Any, expected: Any) -> None:
    assert as_cell(cell) == expected


def test_a_null_in_an_optional_input_counts_as_not_given_and_in_a_required_one_as_null() -> None:
    assert as_row((None, float("nan")), ["text", "max_new_tokens"], tasks.load("summarization")) == {"text": None}


@pytest.mark.parametrize("name", tasks.names())
def test_a_failed_row_has_a_value_without_nulls_in_every_column(name: str) -> None:
    filled = as_columns(Record(None, RowError("input", "null_input", "text is NULL")), tasks.load(name))
    assert (filled["status"], filled["error"]) == ("failed", "input/null_input: text is NULL")
    assert None not in filled.values()
