"""OpenAI batch files as a source: which rows they hold, and which line refuses a run."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from sparkcoil import source
from sparkcoil.errors import SourceError
from sparkcoil.sections import SourceConfig
from sparkcoil.source import PinnedSource

URL = "/v1/chat/completions"


def request(key: Any, **body: Any) -> str:
    return json.dumps({"custom_id": key, "method": "POST", "url": URL, "body": body})


def pinned(spark: SparkSession, path: Path, **fields: Any) -> PinnedSource:
    return source.pin(spark, SourceConfig.model_validate({"path": str(path), "format": "openai", **fields}))


def bodies(found: PinnedSource) -> dict[str, Any]:
    return {row["custom_id"]: json.loads(row["body"]) for row in found.frame.collect()}


def test_the_format_has_its_own_keys_and_columns() -> None:
    config = SourceConfig.model_validate({"path": "requests.jsonl", "format": "openai"})
    assert (config.keys, config.columns) == (("custom_id",), {"request": "body", "url": "url", "method": "method"})
    given = SourceConfig.model_validate({"path": "requests.jsonl", "format": "openai", "columns": {"request": "lower(body)"}})
    assert (given.keys, given.columns) == (("custom_id",), {"request": "lower(body)"})


def test_a_body_comes_through_as_it_was_written(spark: SparkSession, tmp_path: Path) -> None:
    body = {"t": 0.1, "big": 2**70, "text": 'é 🙂 "quoted"\n\t\\ \u2028', "nested": [{"a": None}, True, 1.5e-9], "lone": "\ud800"}
    (tmp_path / "in.jsonl").write_text("\n".join([request("a", **body), "", "  \t", request("b")]) + "\r\n\r\n")
    found = pinned(spark, tmp_path / "in.jsonl")
    assert bodies(found) == {"a": body, "b": {}}
    assert {(row["method"], row["url"]) for row in found.frame.collect()} == {("POST", URL)}


def test_a_mark_at_the_beginning_of_a_file_is_passed_over(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text(request("a", x=1), encoding="utf-8-sig")
    assert bodies(pinned(spark, tmp_path / "in.jsonl")) == {"a": {"x": 1}}


def test_a_folder_a_glob_and_a_condition_choose_lines(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(request("a"))
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(request("b").encode()))
    (tmp_path / "c.txt").write_text(request("c"))
    assert set(bodies(pinned(spark, tmp_path))) == {"a", "b", "c"}
    assert set(bodies(pinned(spark, tmp_path / "*.jsonl"))) == {"a"}
    assert set(bodies(pinned(spark, tmp_path, options={"pathGlobFilter": "*.jsonl*"}))) == {"a", "b"}
    assert set(bodies(pinned(spark, tmp_path, where="custom_id > 'a'"))) == {"b", "c"}


@pytest.mark.parametrize(
    "line",
    [
        "secret",
        "[]",
        "null",
        '"secret"',
        '{"body": {}}',
        '{"custom_id": null, "body": {}}',
        '{"custom_id": "secret"} {"custom_id": "secret"}',
        '{"custom_id": "a"}, {"custom_id": "b"}',
        '{"custom_id": "a", "body": {"secret": 1}',
        "{'custom_id': 'a'}",
        '{"custom_id": "a", "body": {"t": NaN}}',
        '{"custom_id": "a", "body": "\xff"}',
    ],
)
def test_a_line_that_names_no_row_is_refused_by_its_number(spark: SparkSession, tmp_path: Path, line: str) -> None:
    (tmp_path / "some requests.jsonl").write_bytes("\n".join([request("x"), "", line, request("y")]).encode("latin-1"))
    with pytest.raises(SourceError, match=r"expected a JSON object with a custom_id on every line; found none on line 3") as caught:
        pinned(spark, tmp_path / "some requests.jsonl")
    assert str(caught.value).endswith("found none on line 3 of some requests.jsonl")
    assert "secret" not in str(caught.value)


def test_of_many_bad_lines_the_first_is_named_with_its_file_and_the_others_counted(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("\n".join(request(i) for i in map(str, range(2000))))
    (tmp_path / "b.jsonl").write_text("\n".join([request("x"), *["[]"] * 41]))
    with pytest.raises(SourceError, match=r"found none on line 2 of b.jsonl, nor on 40 others$"):
        pinned(spark, tmp_path, where="custom_id = 'x'")


def test_a_missing_file_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"^source: .*nowhere.jsonl: \[PATH_NOT_FOUND"):
        pinned(spark, tmp_path / "nowhere.jsonl")
