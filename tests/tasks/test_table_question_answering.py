"""Answers from tables held against the native pipeline's, row by row, without Spark."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tiny_encoders as tiny
import torch

from sparkcoil import engines
from sparkcoil.engines import Placement
from sparkcoil.errors import RowError
from sparkcoil.tasks.table_question_answering import TASK, TableQuestionAnsweringOptions, records_of

AGGREGATIONS = {"num_aggregation_labels": 4, "aggregation_labels": {0: "NONE", 1: "SUM", 2: "AVERAGE", 3: "COUNT"}}
TABLE = {"name": ["cat", "dog", "Marie Curie", "🙂"], "age": ["3", "4", "66", ""], "born in": ["Paris", "London", "Warsaw", "1969"]}
LONG = {name: column * 20 for name, column in TABLE.items()}
QUERIES = ("Who barked?", "Where was Marie Curie born?", "12", "🙂", "What sat on the mat", "age", "born in London or Paris?")
PAIRS: list[tuple[str, dict[str, list[str]]]] = [(query, table) for table in (TABLE, LONG, {"a": ["1"]}) for query in QUERIES]


@pytest.fixture(scope="module", params=[{}, {**AGGREGATIONS, "no_aggregation_label_index": 0}], ids=["plain", "aggregating"])
def artifact(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.build_tapas(tmp_path_factory.mktemp("tapas"), **request.param)


def rows(pairs: list[tuple[str, dict[str, list[str]]]]) -> list[dict[str, Any]]:
    return [{"query": query.encode(), "table": json.dumps(table).encode()} for query, table in pairs]


@pytest.fixture(scope="module")
def expected(artifact: Path) -> list[dict[str, Any]]:
    """What the native pipeline says of each question by itself."""
    answer = tiny.pipeline("table-question-answering", artifact)
    return [answer(table=pd.DataFrame(table), query=query) for query, table in PAIRS]


def test_equals_the_native_pipeline(artifact: Path, expected: list) -> None:
    for record, native in zip(tiny.scored(TASK, artifact, rows(PAIRS)), expected, strict=True):
        assert record.prediction == {"answer": native["answer"], "cells": native["cells"], "aggregator": native.get("aggregator")}
    assert len({each["answer"] for each in expected}) > 3


def test_a_table_too_long_loses_rows_with_a_warning_or_is_failed(artifact: Path) -> None:
    row = rows([("Who barked?", LONG)])
    assert tiny.scored(TASK, artifact, row)[0].warnings == ("truncated",)
    error = tiny.scored(TASK, artifact, row, truncation="fail")[0].error
    assert error is not None and error.code == "too_long"


def test_a_question_too_long_is_failed_alone(artifact: Path) -> None:
    failed, fine = tiny.scored(TASK, artifact, rows([("Who barked? " * 40, TABLE), ("Who barked?", TABLE)]))
    assert failed.error is not None and failed.error.code == "too_long"
    assert fine.prediction is not None


def test_a_blank_question_is_answered_with_a_warning(artifact: Path) -> None:
    (record,) = tiny.scored(TASK, artifact, rows([(" ", TABLE)]))
    assert (record.error, record.warnings) == (None, ("blank_input",))


def test_a_table_may_be_json_of_rows_or_columns_or_an_array_of_structs() -> None:
    records = [{"a": 1, "b": None}, {"a": "x", "b": 2.5}]
    cells = [json.dumps(records).encode(), b'{"a": [1, "x"], "b": [null, 2.5]}', np.array(records, dtype=object)]
    read = [TASK.read({"query": b"who?", "table": cell}, TableQuestionAnsweringOptions()) for cell in cells]
    assert read == [(("who?", ("a", "b"), (("1", ""), ("x", "2.5"))), ())] * 3


@pytest.mark.parametrize(
    ("table", "code"),
    [(None, "null_input"), (b"{", "invalid_table"), (b"3", "invalid_table"), (b"[1]", "invalid_table"), (b'{"a": 1}', "invalid_table")],
)
def test_what_is_no_table_is_failed(table: bytes | None, code: str) -> None:
    with pytest.raises(RowError) as caught:
        records_of(table)
    assert caught.value.code == code


@pytest.mark.parametrize("table", [b"[]", b"{}", b"[{}]"])
def test_a_table_without_cells_is_failed(table: bytes) -> None:
    with pytest.raises(RowError, match="no cells"):
        TASK.read({"query": b"who?", "table": table}, TableQuestionAnsweringOptions())


def test_logits_that_are_not_finite_fail_the_row(artifact: Path) -> None:
    engine = engines.load("tables", artifact, TableQuestionAnsweringOptions(), Placement("cpu", "auto"))
    torch.nn.init.constant_(engine.model.output_bias, float("inf"))
    assert engine.forward(engine.prepare([("who?", ("a",), (("1",),))]))[0].code == "non_finite"
