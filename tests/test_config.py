"""A run as a value: what is right is taken, and all that is wrong is said at once."""

import subprocess
import sys
from collections.abc import Mapping
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field, ValidationError, field_validator

from sparkcoil import ledger
from sparkcoil.agreement import check_call
from sparkcoil.config import RunConfig, json_schema, problems_in
from sparkcoil.errors import ConfigError
from sparkcoil.problems import said, value_at
from sparkcoil.sections import SourceConfig
from sparkcoil.tasks import Input, Options, Task


class ShoutOptions(Options):
    top_k: int | None = Field(default=None, ge=1)
    volume: Literal["loud", "quiet"] = "loud"
    stop: int | list[str] | None = None
    password: str = "open sesame"

    @field_validator("password")
    @classmethod
    def _long_enough(cls, value: str) -> str:
        if len(value) < 8:
            raise ValueError("a password needs 8 characters")
        if " " not in value:
            raise ValueError(f"{value!r} has no blank")
        return value


SHOUT = Task(
    name="shout",
    inputs=(Input("text", ("string",)), Input("accent", ("string",), required=False), Input("volume", ("string",), required=False)),
    prediction="text STRING",
    options=ShoutOptions,
    engine="encoder",
    heads=("ForShouting",),
    read=lambda row, options: (row["text"], ()),
    write=lambda outputs, facts, options: [{"text": each} for each in outputs],
)


def document(**sections: Any) -> dict[str, Any]:
    """A right run file's document, with sections replaced."""
    return {
        "name": "demo",
        "model": {"uri": "models:/topic@champion"},
        "source": {"table": "docs", "keys": ["id"], "columns": {"text": "body"}},
        "target": {"table": "docs_scored"},
        **sections,
    }


def source(**fields: Any) -> dict[str, Any]:
    return document(source={"keys": ["id"], "columns": {"text": "body"}, **fields})


def sentences(data: Mapping[str, Any]) -> list[str]:
    return [said(problem, data) for problem in problems_in(data)]


def run(**sections: Any) -> RunConfig:
    return RunConfig.model_validate(document(**sections))


def refusals(config: RunConfig, task: Task = SHOUT) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        check_call(config.name, task, config.model.options, config.source.columns)
    assert caught.value.where == config.name
    return caught.value.problems


def test_takes_what_the_contract_shows() -> None:
    config = run(
        task="text-classification",
        model={"uri": "models:/topic@champion", "dtype": "auto", "device": "auto", "options": {"top_k": 3}},
        source={"table": "docs", "version": 12, "keys": ["module", "qualname"], "columns": {"text": "body"}, "where": "lang = 'en'"},
        target={"table": "docs_scored", "keep": ["lang"]},
        rows={"max_failed_share": 0.01},
        batching={},
        spark={},
    )
    assert config.source.keys == ("module", "qualname")
    assert config.model.options == {"top_k": 3}
    assert config.rows.max_failed_share == 0.01


def test_fills_in_the_documented_defaults() -> None:
    config = run()
    assert (config.task, config.model.dtype, config.model.device, dict(config.model.options)) == (None, "auto", "auto", {})
    assert (config.rows.max_failed_share, config.target.keep, dict(config.spark)) == (0.05, (), {})
    assert {name for name, value in config.batching.model_dump().items() if value is not None} == {"chunk_seconds", "batch_timeout_seconds"}


def test_a_path_is_delta_unless_said_otherwise() -> None:
    assert RunConfig.model_validate(source(path="/data/docs")).source.format == "delta"
    assert RunConfig.model_validate(source(path="/data/docs", format="csv")).source.format == "csv"
    assert RunConfig.model_validate(source(table="docs")).source.format is None


def test_openai_files_have_keys_and_columns_of_their_own_and_other_formats_have_none() -> None:
    openai = {"path": "/data/requests.jsonl", "format": "openai"}
    assert sentences(document(source=openai)) == []
    assert sentences(document(source={**openai, "keys": []})) == ["source.keys: expected a list of one or more column names, found []"]
    assert sentences(document(source={**openai, "format": "json"})) == ["source.keys: missing"]
    assert sentences(document(source={"table": "t", "format": "openai"})) == [
        "source.format: given without path, and only a path has a format"
    ]


@pytest.mark.parametrize(("task", "refused"), [("llm/v1/chat", False), ("llm/v1/embeddings", False), ("text-generation", True)])
def test_only_tasks_that_answer_requests_have_openai_files(task: str, refused: bool) -> None:
    data = document(task=task, source={"path": "in.jsonl", "format": "openai"}, target={"table": "t", "jsonl": "out.jsonl"})
    sentence = f"is for llm/v1/chat, llm/v1/completions and llm/v1/embeddings; the task is {task}"
    assert sentences(data) == ([f"source.format: openai {sentence}", f"target.jsonl: {sentence}"] if refused else [])


def test_values_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        run().name = "other"


def test_a_wrong_field_does_not_hide_a_conflict_or_another_section() -> None:
    data = document(
        nme="demo",
        model={"dtyp": "auto"},
        source={"table": "docs", "query": "SELECT 1", "format": "delta", "version": "new", "keys": ["a", "A", "status", 5]},
        target={"keep": ["a"]},
        rows={"max_failed_share": "lots"},
        batching=[],
    )
    assert sorted(sentences(data)) == [
        "batching: expected a mapping, found []",
        "model.dtyp: unknown key; did you mean 'dtype'?",
        "model.uri: missing",
        "nme: unknown key; did you mean 'name'?",
        "rows.max_failed_share: expected a number from 0 to 1, found 'lots'",
        "source.format: given without path, and only a path has a format",
        "source.keys.1: repeats an earlier column, found 'A'",
        "source.keys.2: is a column of the prediction table's own, found 'status'; rename it",
        "source.keys.3: expected a column name, found 5",
        "source.version: expected a table version, a whole number from 0, found 'new'",
        "source.version: only Delta tables and paths have versions",
        "source: expected exactly one of table, path, query; found table and query",
        "target.keep.0: is one of source.keys already, found 'a'",
        "target: expected exactly one of table, path; found none",
    ]


def test_an_empty_run_says_what_is_missing() -> None:
    assert sentences({}) == ["name: missing", "model: missing", "source: missing", "target: missing"]


@pytest.mark.parametrize(
    ("section", "value", "sentence"),
    [
        ("name", "  ", "name: expected text, found '  '"),
        ("name", 5, "name: expected text, found 5"),
        ("model", "m", "model: expected a mapping, found 'm'"),
        ("model", {"uri": ""}, "model.uri: expected text, found ''"),
        ("model", {"uri": "m", "dtype": "flaot32"}, "model.dtype: expected a dtype, found 'flaot32'; did you mean 'float32'?"),
        ("model", {"uri": "m", "device": "tpu7"}, "model.device: expected a device, found 'tpu7'; known: auto, cpu, cuda"),
        ("model", {"uri": "m", "options": [1]}, "model.options: expected a mapping of the task's options, found [1]"),
        ("rows", {"max_failed_share": 1.5}, "rows.max_failed_share: expected a number from 0 to 1, found 1.5"),
        ("rows", {"max_failed_share": float("nan")}, "rows.max_failed_share: expected a number from 0 to 1, found nan"),
        ("rows", {"max_failed_share": True}, "rows.max_failed_share: expected a number from 0 to 1, found True"),
        ("batching", {"window_rows": 0}, "batching.window_rows: expected a whole number above 0, found 0"),
        ("batching", {"chunk_rows": True}, "batching.chunk_rows: expected a whole number above 0, found True"),
        ("batching", {"max_batch_seconds": 0}, "batching.max_batch_seconds: expected a number of seconds above 0, found 0"),
        ("batching", {"max_batch_row": 1}, "batching.max_batch_row: unknown key; did you mean 'max_batch_rows'?"),
        ("rows", None, "rows: expected a mapping, found None"),
        ("batching", {"max_batch_tokens": 1.5}, "batching.max_batch_tokens: expected a whole number above 0, found 1.5"),
        (
            "batching",
            {"max_batch_seconds": float("inf")},
            "batching.max_batch_seconds: expected a number of seconds above 0, found inf",
        ),
        ("spark", [], "spark: expected a mapping of Spark settings, found []"),
        ("spark", {"spark.x": [1]}, "spark.spark.x: expected text, a number, true or false, found [1]"),
        ("target", {"table": "t", "keep": ["b", "B"]}, "target.keep.1: repeats an earlier column, found 'B'"),
        ("target", {"table": "t", "path": "/p"}, "target: expected exactly one of table, path; found table and path"),
    ],
)
def test_says_what_was_expected_and_found(section: str, value: Any, sentence: str) -> None:
    assert sentences(document(**{section: value})) == [sentence]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "source: expected exactly one of table, path, query; found none"),
        ({"path": "/p", "format": "parqet"}, "source.format: expected a format, found 'parqet'; did you mean 'parquet'?"),
        ({"path": "/p", "format": "csv", "version": 1}, "source.version: only Delta tables and paths have versions"),
        ({"query": "SELECT 1", "version": 1}, "source.version: only Delta tables and paths have versions"),
        ({"table": "t", "format": "csv"}, "source.format: given without path, and only a path has a format"),
        ({"table": "t", "version": -1}, "source.version: expected a table version, a whole number from 0, found -1"),
        ({"table": "t", "keys": []}, "source.keys: expected a list of one or more column names, found []"),
        ({"table": "t", "keys": "id"}, "source.keys: expected a list of one or more column names, found 'id'"),
        ({"table": "t", "keys": [5]}, "source.keys.0: expected a column name, found 5"),
        ({"table": "t", "keys": [" "]}, "source.keys.0: expected a column name, found ' '"),
        ({"table": "t", "keyz": ["a"]}, "source.keyz: unknown key; did you mean 'keys'?"),
        ({"table": "t", "version": 1.5}, "source.version: expected a table version, a whole number from 0, found 1.5"),
        ({"table": "t", "columns": []}, "source.columns: expected a mapping of the task's inputs to columns, found []"),
        ({"table": "t", "columns": {"text": 1}}, "source.columns.text: expected a column name or SQL expression, found 1"),
        ({"table": "t", "where": True}, "source.where: expected a SQL condition, found True"),
    ],
)
def test_says_what_is_wrong_with_a_source(fields: Mapping[str, Any], sentence: str) -> None:
    assert sentences(source(**fields)) == [sentence]


@pytest.mark.parametrize("name", ["docs", "lake.docs", "main.lake.docs_1", "`odd name; drop`", "main.`a.b`.c", "delta.`/data/docs`"])
def test_takes_table_names_of_one_to_three_parts(name: str) -> None:
    assert sentences(source(table=name)) == []


@pytest.mark.parametrize(
    "name", ["", "a.b.c.d", "a b", "docs; DROP TABLE x", "a.", ".a", "`a", "``", "`a``b`", "docs\n", "docs--", "a'b", "x\x00", "dócs"]
)
def test_refuses_anything_else_as_a_table_name(name: str) -> None:
    expected = f"expected a table name of one to three parts, each a word or in backquotes, found {name!r}"
    assert sentences(source(table=name)) == [f"source.table: {expected}"]
    assert sentences(document(target={"table": name})) == [f"target.table: {expected}"]


@pytest.mark.parametrize("column", ledger.COLUMNS)
def test_the_ledgers_own_columns_are_neither_keys_nor_kept(column: str) -> None:
    found = f"is a column of the prediction table's own, found {column!r}; rename it"
    assert sentences(source(table="t", keys=[column])) == [f"source.keys.0: {found}"]
    assert sentences(document(target={"table": "t", "keep": [column]})) == [f"target.keep.0: {found}"]


def test_spark_settings_become_text() -> None:
    assert run(spark={"a": True, "b": False, "c": 8, "d": 0.5, "e": "4g"}).spark == {
        "a": "true",
        "b": "false",
        "c": "8",
        "d": "0.5",
        "e": "4g",
    }


def test_quotes_long_values_shortened_and_control_characters_escaped() -> None:
    [long] = sentences(document(rows={"max_failed_share": "x" * 500}))
    assert long == f"rows.max_failed_share: expected a number from 0 to 1, found '{'x' * 56}..."
    [hostile] = sentences(document(**{"a\nb\u202e": 1}))
    assert hostile.startswith(r"'a\nb\u202e': unknown key; known: ")


def test_a_value_built_in_python_is_held_to_the_same() -> None:
    with pytest.raises(ValidationError, match="expected exactly one of table, path, query; found table and path") as caught:
        SourceConfig(table="t", path="hunter2", keys=("id", "id"), columns={"text": "body"})
    assert "repeats an earlier column" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_sections_built_in_python_are_compared_with_each_other() -> None:
    parts = run(target={"table": "t", "keep": ["lang"]})
    clash = SourceConfig(table="t", keys=("Lang",), columns={"text": "body"})
    with pytest.raises(ValidationError, match=r"is one of source.keys already"):
        RunConfig(name="demo", model=parts.model, source=clash, target=parts.target)


def test_an_unknown_task_is_reported_with_the_nearest_one() -> None:
    assert sentences(document(task="text-clasification")) == [
        "task: unknown task, found 'text-clasification'; did you mean 'text-classification'?"
    ]
    assert sentences(document(task="sentiment-analyses")) == [
        "task: unknown task, found 'sentiment-analyses'; did you mean 'sentiment-analysis'?"
    ]


def test_a_task_is_known_by_its_aliases() -> None:
    assert sentences(document(task="sentiment-analysis")) == []


def test_the_task_of_a_run_judges_options_and_inputs_though_other_things_are_wrong() -> None:
    data = document(
        task="text-classification",
        model={"options": {"topk": 3}},
        source={"keys": ["id"], "columns": {"txt": "body"}},
    )
    assert sorted(sentences(data)) == [
        "model.options.topk: unknown key; did you mean 'top_k'?",
        "model.uri: missing",
        "source.columns.text: missing, and text-classification needs it",
        "source.columns.txt: unknown input; did you mean 'text'?",
        "source: expected exactly one of table, path, query; found none",
    ]


def test_check_call_takes_a_run_that_fits() -> None:
    check_call("run", SHOUT, {"top_k": 2, "volume": "quiet"}, {"text": "body"})


def test_check_call_takes_an_option_per_row() -> None:
    check_call("run", SHOUT, {}, {"text": "body", "volume": "how"})


def test_check_call_reports_every_problem_at_once() -> None:
    options = {"topk": 1, "top_k": 0, "volume": "mute", "stop": {}}
    config = run(model={"uri": "m", "options": options}, source={"table": "t", "keys": ["id"], "columns": {"acent": "a"}})
    assert refusals(config) == (
        "model.options.top_k: expected a value greater than or equal to 1",
        "model.options.volume: expected 'loud' or 'quiet'",
        "model.options.stop: expected a valid integer, or expected a valid list",
        "model.options.topk: unknown key; did you mean 'top_k'?",
        "source.columns.acent: unknown input; did you mean 'accent'?",
        "source.columns.text: missing, and shout needs it",
    )


def test_check_call_passes_on_a_tasks_own_sentence_unless_it_quotes_the_value() -> None:
    assert refusals(run(model={"uri": "m", "options": {"password": "short"}})) == ("model.options.password: a password needs 8 characters",)
    for secret in ("hunter2hunter2", "hunter2\nhunter2", "hunter2\\'\"2"):
        assert refusals(run(model={"uri": "m", "options": {"password": secret}})) == (
            "model.options.password: not a value that this option takes",
        )


def test_check_call_names_the_caller_and_checks_options_alone_without_columns() -> None:
    check_call("score()", SHOUT, {"top_k": 1}, None)
    with pytest.raises(ConfigError) as caught:
        check_call("score()", SHOUT, {"topk": 1}, None)
    assert str(caught.value) == "score(): 1 problem\n  - model.options.topk: unknown key; did you mean 'top_k'?"
    with pytest.raises(ConfigError, match=r"source\.columns\.text: missing, and shout needs it"):
        check_call("score()", SHOUT, {}, {})


def test_no_message_of_check_call_holds_a_value() -> None:
    options = {"top_k": "hunter2", "volume": "hunter2", "stop": {"hunter2": 1}, "password": "hunter2"}
    assert "hunter2" not in "".join(refusals(run(model={"uri": "m", "options": options})))


def test_the_json_schema_names_every_key_and_allows_no_other() -> None:
    schema = json_schema()
    sections = ["name", "task", "mode", "model", "source", "target", "rows", "gates", "batching", "stream", "challenger", "cost"]
    sections += ["tracking", "spark"]
    assert list(schema["properties"]) == sections
    assert schema["required"] == ["name", "model", "source", "target"]
    assert [part["additionalProperties"] for part in (schema, *schema["$defs"].values())] == [False] * (1 + len(schema["$defs"]))
    assert schema["$defs"]["RowsConfig"]["properties"]["max_failed_share"]["description"].startswith("The error budget: ")


def test_the_json_schema_gives_every_default_and_choice() -> None:
    parts = json_schema()["$defs"]
    assert parts["ModelConfig"]["properties"]["dtype"]["enum"] == ["auto", "fastest", "float32", "bfloat16", "float16"]
    assert parts["RowsConfig"]["properties"]["max_failed_share"]["default"] == 0.05
    assert parts["SourceConfig"]["properties"]["keys"]["minItems"] == 1
    assert "required" not in parts["SourceConfig"]
    assert sorted(json_schema()["required"]) == ["model", "name", "source", "target"]


WORDS = st.text("abcXYZ_09", min_size=1, max_size=8)
NAMES = st.lists(WORDS.map("c_{}".format), min_size=1, max_size=5, unique_by=str.lower)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
OPTIONS = st.dictionaries(WORDS, SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(WORDS, SCALARS, max_size=3), max_size=3)
PLACES = st.fixed_dictionaries({"table": WORDS}) | st.fixed_dictionaries({"path": WORDS})
SOURCES = PLACES | st.fixed_dictionaries({"query": WORDS}) | st.fixed_dictionaries({"table": WORDS, "version": st.integers(0)})


@st.composite
def configs(draw: st.DrawFn) -> RunConfig:
    names = draw(NAMES)
    cut = draw(st.integers(1, len(names)))
    return run(
        name=draw(WORDS),
        model={"uri": draw(WORDS), "dtype": draw(st.sampled_from(["auto", "fastest"])), "options": draw(OPTIONS)},
        source={**draw(SOURCES), "keys": names[:cut], "columns": draw(st.dictionaries(WORDS, WORDS, min_size=1, max_size=3))},
        target={**draw(PLACES), "keep": names[cut:]},
        rows=draw(st.fixed_dictionaries({}, optional={"max_failed_share": st.floats(0, 1)})),
        batching=draw(
            st.fixed_dictionaries({}, optional={"window_rows": st.integers(1, 2**31 - 1), "max_batch_seconds": st.floats(0.1, 9)})
        ),
        spark=draw(st.dictionaries(WORDS, WORDS | st.booleans() | st.integers() | st.floats(0, 1), max_size=3)),
    )


@settings(max_examples=60, deadline=None)
@given(configs())
def test_a_run_dumped_and_validated_again_is_equal(config: RunConfig) -> None:
    assert RunConfig.model_validate(config.model_dump()) == config
    assert problems_in(config.model_dump(mode="json")) == []


@settings(max_examples=60, deadline=None)
@given(configs(), st.data())
def test_a_key_that_nobody_knows_is_refused_in_every_section(config: RunConfig, data: st.DataObject) -> None:
    document = config.model_dump(mode="json")
    path = data.draw(st.sampled_from([(), ("model",), ("source",), ("target",), ("rows",), ("batching",)]))
    value_at(document, path)[0]["qqqq"] = 1
    [sentence] = sentences(document)
    assert sentence.startswith(f"{'.'.join([*path, 'qqqq'])}: unknown key; known: ")


def test_imports_neither_spark_nor_mlflow_nor_torch() -> None:
    program = "import sys, sparkcoil.runfile; sys.exit(bool({'pyspark', 'mlflow', 'torch', 'transformers'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
