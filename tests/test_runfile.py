"""A run file: right ones load, wrong ones say all that is wrong with them, hostile ones do no harm."""

import copy
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sparkcoil import ledger, tasks
from sparkcoil.config import RunConfig
from sparkcoil.errors import ConfigError
from sparkcoil.runfile import MAX_BYTES, load_config

RIGHT = """\
name: demo
model: {uri: models:/topic@champion, options: {top_k: 3}}
source: {table: docs, keys: [id], columns: {text: body}}
target: {table: docs_scored}
"""

CONF = Path(__file__).parents[1] / "conf"

Write = Callable[[str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a run file and returns where."""

    def written(content: str | bytes) -> Path:
        path = tmp_path / "run.yaml"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return written


def refusals(path: Path, *overrides: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load_config(path, overrides)
    assert caught.value.where == str(path)
    assert caught.value.exit_code == 2
    assert caught.value.__context__ is None, "a chained error would print what the message leaves out"
    return caught.value.problems


def test_reads_a_run(write: Write) -> None:
    config = load_config(write(RIGHT))
    assert config.name == "demo"
    assert config.model.options == {"top_k": 3}
    assert config.source.keys == ("id",)


def test_reports_every_problem_at_once(write: Write) -> None:
    path = write(
        """\
name: demo
name: again
task: text-clasification
model: {uri: "${env:SPARKCOIL_UNSET}", dtyp: auto}
source:
  table: docs
  path: /docs
  keys: [id, id]
  columns: {text: 5}
  columns: {text: 5}
target: {}
rows: {max_failed_share: lots}
"""
    )
    assert refusals(path, "rows", "batching.chunk_rows=none") == (
        "name: duplicate key on line 2, first on line 1",
        "source.columns: duplicate key on line 10, first on line 9",
        "--set: expected key.path=value, found 'rows'",
        "model.uri: environment variable 'SPARKCOIL_UNSET' is not set",
        "model.dtyp: unknown key; did you mean 'dtype'?",
        "source.columns.text: expected a column name or SQL expression, found 5",
        "source: expected exactly one of table, path, query; found table and path",
        "source.keys.1: repeats an earlier column, found 'id'",
        "target: expected exactly one of table, path; found none",
        "rows.max_failed_share: expected a number from 0 to 1, found 'lots'",
        "batching.chunk_rows: expected a whole number above 0, found 'none'",
        "task: unknown task, found 'text-clasification'; did you mean 'text-classification'?",
    )


@pytest.mark.parametrize("name", ["docstrings-topic", "keypad-transcripts"])
def test_the_run_files_of_this_repository_load(name: str) -> None:
    config = load_config(CONF / f"{name}.yaml")
    assert config.name == name
    assert config.task in tasks.names()


def test_the_message_counts_the_problems_and_gives_each_a_line(write: Write) -> None:
    path = write("name: demo\nmodel: {uri: m}\ntarget: {table: t, table: t}\n")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert str(caught.value) == f"{path}: 2 problems\n  - target.table: duplicate key on line 3, first on line 3\n  - source: missing"


def test_relative_paths_stay_as_written(write: Write) -> None:
    config = load_config(write(RIGHT), ["source.table=null", "source.path=data/docs", "model.uri=./model"])
    assert (config.source.path, config.model.uri) == ("data/docs", "./model")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "expected a mapping of keys to values, found an empty file"),
        (b"# nothing\n", "expected a mapping of keys to values, found an empty file"),
        (b"- a\n", "expected a mapping of keys to values, found something else"),
        (b"text", "expected a mapping of keys to values, found something else"),
        (b"a: 1\n---\nb: 2\n", "line 2, column 1: expected a single document in the stream, but found another document"),
        (b"a:\n\tb: 1\n", "line 2, column 1: while scanning for the next token, found character '\\t' that cannot start any token"),
        (b"a: [1\n", "line 2, column 1: while parsing a flow sequence, expected ',' or ']', but got '<stream end>'"),
        (b"name: \xff\n", "not UTF-8 text: byte 6 cannot be read"),
        ("name: x\n".encode("utf-16"), "not UTF-8 text: byte 0 cannot be read"),
        (b"name: \x07\n", "character 7 is not allowed in YAML"),
        (b"#" * (MAX_BYTES + 1), "larger than 1048576 bytes"),
        (b"a: !!python/object/apply:os.system ['exit 9']\n", "line 1, column 4: tags (!name) are not allowed"),
        (b"a: !!binary aGk=\n", "line 1, column 4: tags (!name) are not allowed"),
        (b"!secret a: 1\n", "line 1, column 1: tags (!name) are not allowed"),
        (b"a: &x [1]\nb: *x\n", "line 2, column 4: aliases (*name) are not allowed"),
        (b"a: &x [*x]\n", "line 1, column 8: aliases (*name) are not allowed"),
        (b"[a]: 1\n", "line 1, column 1: a key that is a list or a mapping is not allowed"),
        (b"a: " + b"[" * 1000, "line 1, column 23: more than 20 levels are not allowed"),
        (b"a: [" + b"1," * 20_000 + b"]", "line 1, column 19999: more than 10000 values are not allowed"),
    ],
    ids=lambda value: repr(value[:20]) if isinstance(value, bytes) else "",
)
def test_refuses_what_is_not_plain_yaml(write: Write, content: bytes, problem: str) -> None:
    assert refusals(write(content)) == (problem,)


@pytest.mark.parametrize("content", [b'"\\ud800": 1', b'a: "x\\udfff"', b'a: ["\\ud83d\\ude00"]', b'? "\\ud800"\n: 1'])
def test_refuses_half_a_character_that_no_utf_8_could_hold(write: Write, content: bytes) -> None:
    [problem] = refusals(write(content))
    assert problem.endswith(": half of a surrogate pair (\\ud800 to \\udfff) is not allowed; write the character itself")


@pytest.mark.parametrize(
    "content",
    ["a: " + "x" * 10**6, "- " * 400_000, "? " * 300_000, "{a: " * 200_000, "a:\n" * 200_000, "&a " * 300_000, "a: |\n" + " \n" * 400_000],
    ids=lambda content: repr(content[:6]),
)
def test_a_file_of_a_mebibyte_is_refused_within_seconds(write: Write, content: str) -> None:
    start = time.perf_counter()
    assert refusals(write(content))
    assert time.perf_counter() - start < 10


@pytest.mark.parametrize("content", ['a: "\\UFFFFFFFF"', "%YAML " + "1" * 5000 + ".1\n---\na: 1"])
def test_a_number_that_makes_pyyaml_stumble_is_a_problem_too(write: Write, content: str) -> None:
    [problem] = refusals(write(content))
    assert problem.startswith("not YAML: ")


def test_a_billion_laughs_are_refused_at_the_first(write: Write) -> None:
    lines = ["a: &a [lol, lol, lol, lol]"] + [f"{b}: &{b} [*{a}, *{a}, *{a}, *{a}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True)]
    assert refusals(write("\n".join(lines))) == ("line 2, column 8: aliases (*name) are not allowed",)


def test_refuses_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert refusals(tmp_path / "none.yaml") == ("cannot be read: No such file or directory",)


def test_refuses_a_directory(tmp_path: Path) -> None:
    assert refusals(tmp_path) == ("cannot be read: Is a directory",)


def test_refuses_a_path_that_no_file_can_have() -> None:
    with pytest.raises(ConfigError, match="cannot be read: embedded null byte"):
        load_config("a\0b")


def test_a_byte_order_mark_is_no_problem(write: Write) -> None:
    assert load_config(write(RIGHT.encode("utf-8-sig"))).name == "demo"


@pytest.mark.parametrize("column", ["on", "no", "y", "2020-01-01", "12:30", "0x1f", "010", "1_000", "0.E0", "="])
def test_what_only_old_yaml_reads_as_something_else_stays_text(write: Write, column: str) -> None:
    assert load_config(write(RIGHT), [f"source.keys=[{column}]"]).source.keys == (column,)


def test_a_key_is_always_text(write: Write) -> None:
    assert load_config(write(RIGHT + "spark: {1: a, true: b, on: c}")).spark == {"1": "a", "true": "b", "on": "c"}


def test_spark_settings_are_taken_as_they_are_spelt(write: Write) -> None:
    path = write(RIGHT + "spark: {spark.ui.enabled: False, spark.a: 3.10, spark.b: 8, spark.c: 1.0e+3, spark.d: '4'}")
    assert load_config(path).spark == {"spark.ui.enabled": "false", "spark.a": "3.10", "spark.b": "8", "spark.c": "1.0e+3", "spark.d": "4"}


def test_overrides_are_read_as_yaml_and_applied_in_order(write: Write) -> None:
    overrides = ["rows.max_failed_share=0.5", "source.keys=[a, b]", "model.options={}", "source.where=lang = 'en'", "name=x", "name=y"]
    config = load_config(write(RIGHT), overrides)
    assert (config.rows.max_failed_share, config.source.keys, config.model.options) == (0.5, ("a", "b"), {})
    assert (config.source.where, config.name) == ("lang = 'en'", "y")


def test_an_override_can_set_what_the_file_gets_wrong(write: Write) -> None:
    assert load_config(write(RIGHT + "rows: lots"), ["rows.max_failed_share=0.5"]).rows.max_failed_share == 0.5


def test_an_override_of_a_spark_setting_keeps_its_dots(write: Write) -> None:
    assert load_config(write(RIGHT), ["spark.spark.executor.memory=8g"]).spark == {"spark.executor.memory": "8g"}


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("name", "--set: expected key.path=value, found 'name'"),
        ("=1", "--set: expected key.path=value, found '=1'"),
        ("a.\udcff=1", "--set: expected key.path=value, found 'a.\\udcff=1'"),
        ("rows.=1", "--set: expected key.path=value, found 'rows.=1'"),
        ("a" + ".a" * 5000 + "=1", "--set: expected key.path=value, found 'a" + ".a" * 27 + "...."),
        ("rows.max_failed_shar=1", "rows.max_failed_shar: unknown key; did you mean 'max_failed_share'?"),
        ("source.keys.0=a", "source.keys: expected a list of one or more column names, found {'0': 'a'}"),
        (
            "source.where=a: b",
            "source.where: the value to set is not one YAML value: a list needs [], a mapping {}, and a text with a colon quotes",
        ),
        (
            "source.keys=[a",
            "source.keys: the value to set is not one YAML value: line 1, column 3: "
            + "while parsing a flow sequence, expected ',' or ']', but got '<stream end>'",
        ),
        ("name=!!python/name:os.system", "name: the value to set is not one YAML value: line 1, column 1: tags (!name) are not allowed"),
        ("model.options={a: 1, a: 2}", "model.options.a: duplicate key on line 1, first on line 1"),
    ],
    ids=lambda value: ascii(value[:20]),
)
def test_a_wrong_override_is_named(write: Write, override: str, problem: str) -> None:
    assert refusals(write(RIGHT), override) == (problem,)


def test_variables_are_filled_in_once_anywhere_in_a_text(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUCKET", "b-${env:SHARE}")
    monkeypatch.setenv("SHARE", "0.25")
    path = write(RIGHT + 'rows: {max_failed_share: "${env:SHARE}"}\nspark: {spark.x: "s3://${env:BUCKET}/${env:SHARE}"}')
    config = load_config(path, ["model.options.name=${env:BUCKET}"])
    assert config.rows.max_failed_share == 0.25
    assert config.spark == {"spark.x": "s3://b-${env:SHARE}/0.25"}
    assert config.model.options["name"] == "b-${env:SHARE}"


def test_every_unset_variable_is_named_where_it_stands(write: Write) -> None:
    path = write(RIGHT + 'rows: {max_failed_share: "${env:UNSET_A}"}\nspark: {spark.x: "${env:UNSET_B}-${env:UNSET_C}"}')
    assert refusals(path, "source.keys=['${env:UNSET_D}']") == (
        "source.keys.0: environment variable 'UNSET_D' is not set",
        "rows.max_failed_share: environment variable 'UNSET_A' is not set",
        "spark.spark.x: environment variable 'UNSET_B' is not set",
        "spark.spark.x: environment variable 'UNSET_C' is not set",
    )


@pytest.mark.parametrize("reference", ["${env:}", "${env:a-b}", "${env:HOME", "${env:${env:HOME}}", "${env:\\u00e9}"])
def test_a_malformed_reference_is_not_taken_for_text(write: Write, reference: str) -> None:
    [problem] = refusals(write(RIGHT.replace("docs_scored", f'"{reference}"')))
    assert problem.startswith("target.table: expected ${env:NAME} with the name of an environment variable, found ")


def test_a_variable_that_nothing_fills_in_is_not_taken_for_a_name(write: Write) -> None:
    path = write(
        """\
name: demo
model: {uri: "models:/${MODEL}@champion", base: "${BASE}"}
source: {table: "${TABLE}", keys: [id], columns: {text: "regexp_extract(body, '${PART}', 1)"}}
target: {path: "/data/${ENVIRONMENT}/scored"}
"""
    )
    assert refusals(path) == (
        "model.uri: only ${env:NAME} is filled in, found 'models:/${MODEL}@champion'",
        "model.base: only ${env:NAME} is filled in, found '${BASE}'",
        "source.table: only ${env:NAME} is filled in, found '${TABLE}'",
        "target.path: only ${env:NAME} is filled in, found '/data/${ENVIRONMENT}/scored'",
    )


def test_reader_options_are_taken_as_they_are_spelt_and_only_with_a_path(write: Write) -> None:
    source = "source={path: /in, format: csv, keys: [id], columns: {text: body}, options: {sep: ;, multiLine: false, maxColumns: 3.10}}"
    assert load_config(write(RIGHT), [source]).source.options == {"sep": ";", "multiLine": "false", "maxColumns": "3.10"}
    assert refusals(write(RIGHT), "source.options={sep: ;}") == (
        "source.options: given without path, and only a path is read with options",
    )
    assert refusals(write(RIGHT), source.replace("3.10", "[]")) == (
        "source.options.maxColumns: expected text, a number, true or false, found []",
    )


def test_a_key_unlike_any_other_is_answered_with_the_known_ones(write: Write) -> None:
    assert refusals(write(RIGHT), "nothing.at.all=1") == (
        "nothing: unknown key; known: "
        "batching, challenger, cost, gates, mode, model, name, rows, source, spark, stream, target, task, tracking",
    )


def test_no_message_holds_what_a_variable_stood_for(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANTED", "hunter2; status")
    path = write(
        """\
name: ["${env:PLANTED}"]
task: "${env:PLANTED}"
model: {uri: [{"a": "${env:PLANTED}"}], dtype: "${env:PLANTED}", device: "x${env:PLANTED}", options: "${env:PLANTED}"}
source:
  table: "${env:PLANTED}"
  format: "${env:PLANTED}"
  version: "${env:PLANTED}"
  keys: ["${env:PLANTED}", "${env:PLANTED}"]
  columns: {text: ["${env:PLANTED}"]}
target: {table: "${env:PLANTED}", keep: ["${env:PLANTED}", ["${env:PLANTED}"]]}
rows: "${env:PLANTED}"
batching: {chunk_rows: "${env:PLANTED}"}
spark: {spark.x: ["${env:PLANTED}"]}
"""
    )
    problems = refusals(path)
    assert len(problems) == 19
    assert "hunter2" not in "\n".join(problems)
    assert "batching.chunk_rows: expected a whole number above 0, found '${env:PLANTED}'" in problems


def test_no_message_of_a_task_holds_what_a_variable_stood_for(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANTED", "hunter2")
    path = write(RIGHT + "task: text-classification")
    assert refusals(path, "model.options.top_k=${env:PLANTED}", "model.options.truncation=${env:PLANTED}") == (
        "model.options.top_k: expected a valid integer, found '${env:PLANTED}'",
        "model.options.truncation: expected 'truncate_right', 'truncate_left', 'stride' or 'fail', found '${env:PLANTED}'",
    )


def columns(*, at_least: int) -> st.SearchStrategy[list[str]]:
    texts = st.text(min_size=1).filter(lambda name: name.strip() and "${env:" not in name)
    names = texts.filter(lambda name: name.lower() not in ledger.COLUMNS and not name.startswith("__"))
    return st.lists(names, min_size=at_least, max_size=6, unique_by=str.lower)


TEXTS = st.text(min_size=1).filter(lambda text: text.strip() and "${env:" not in text)
TABLES = st.lists(st.from_regex(r"[A-Za-z0-9_]+|`[^`]+`", fullmatch=True), min_size=1, max_size=3).map(".".join)
COUNTS = st.none() | st.integers(1, 2**31 - 1)
SCALARS = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
JSON = st.recursive(SCALARS, lambda below: st.lists(below, max_size=3) | st.dictionaries(TEXTS, below, max_size=3), max_leaves=8)
BATCHING = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("max_batch_rows", "max_batch_tokens", "window_rows", "chunk_rows", "partitions"), COUNTS)
    | {"max_batch_seconds": st.floats(min_value=1e-9, allow_infinity=False)},
)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Right documents of every kind of source and target."""
    names = draw(columns(at_least=1))
    cut = draw(st.integers(1, len(names)))
    table = st.fixed_dictionaries({"table": TABLES}, optional={"version": st.integers(0, 2**63)})
    path = st.fixed_dictionaries({"path": TEXTS}, optional={"format": st.sampled_from(["delta", "csv", "binaryFile"])})
    where = st.fixed_dictionaries({}, optional={"where": TEXTS})
    return {
        "name": draw(TEXTS),
        "model": draw(
            st.fixed_dictionaries(
                {"uri": TEXTS},
                optional={
                    "dtype": st.sampled_from(["auto", "float16"]),
                    "device": st.sampled_from(["cpu", "cuda"]),
                    "options": st.dictionaries(TEXTS, JSON, max_size=3),
                },
            )
        ),
        "source": {
            **draw(table | path | st.fixed_dictionaries({"query": TEXTS})),
            **draw(where),
            "keys": names[:cut],
            "columns": draw(st.dictionaries(TEXTS, TEXTS, min_size=1, max_size=3)),
        },
        "target": {**draw(st.fixed_dictionaries({"table": TABLES}) | st.fixed_dictionaries({"path": TEXTS})), "keep": names[cut:]},
        "rows": draw(st.fixed_dictionaries({}, optional={"max_failed_share": st.floats(0, 1)})),
        "batching": draw(BATCHING),
        "spark": draw(st.dictionaries(TEXTS, TEXTS | st.booleans() | st.integers(), max_size=3)),
    }


ANYTHING = st.recursive(
    SCALARS
    | st.floats()
    | st.binary()
    | st.dates()
    | st.datetimes()
    | st.sampled_from(["${env:", "${env:X_UNSET}", "delta", "text", "id"]),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(st.text() | st.integers(), below, max_size=4) | st.sets(st.integers()),
    max_leaves=20,
)

FILES = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@FILES
@given(data=documents())
def test_a_run_dumped_and_loaded_again_is_the_same(write: Write, data: Mapping[str, Any]) -> None:
    config = RunConfig.model_validate(data)
    assert load_config(write(yaml.safe_dump(config.model_dump(mode="json")))) == config


@FILES
@given(data=ANYTHING)
def test_any_document_is_a_run_or_a_list_of_problems(write: Write, data: Any) -> None:
    assert loads_or_says_why(write(yaml.safe_dump(data)))


@FILES
@given(data=documents(), replacement=ANYTHING, steps=st.lists(st.integers(0, 9), min_size=1, max_size=3))
def test_a_run_with_anything_put_in_is_a_run_or_a_list_of_problems(
    write: Write, data: dict[str, Any], replacement: Any, steps: Sequence[int]
) -> None:
    assert loads_or_says_why(write(yaml.safe_dump(replaced(data, replacement, steps))))


@FILES
@given(content=st.binary() | st.text("ab:-[]{}&*!|>'\"%@`?#,\n\t \\$", max_size=60).map(str.encode))
def test_any_bytes_are_a_run_or_a_list_of_problems(write: Write, content: bytes) -> None:
    assert loads_or_says_why(write(content))


@FILES
@given(
    overrides=st.lists(st.text("ab.=:[]{}!&*'\"\\ $", max_size=20) | st.builds("{}={}".format, st.sampled_from(["rows", "spark.a"]), TEXTS))
)
def test_any_override_is_taken_or_a_list_of_problems(write: Write, overrides: Sequence[str]) -> None:
    assert loads_or_says_why(write(RIGHT), overrides)


def replaced(data: dict[str, Any], replacement: Any, steps: Sequence[int]) -> dict[str, Any]:
    """The document with the replacement at the place that the steps lead to."""
    document: dict[str, Any] = copy.deepcopy(data)
    holder: Any = document
    for step in steps[:-1]:
        below = [value for value in holder.values() if isinstance(value, dict) and value]
        holder = below[step % len(below)] if below else holder
    holder[list(holder)[steps[-1] % len(holder)]] = replacement
    return document


def loads_or_says_why(path: Path, overrides: Sequence[str] = ()) -> bool:
    """Whether the file is a run or a ConfigError with problems; any other exception passes."""
    before = dict(os.environ)
    try:
        load_config(path, overrides)
    except ConfigError as error:
        return bool(error.problems) and all(error.problems) and "\n" not in "".join(error.problems) and dict(os.environ) == before
    return True
