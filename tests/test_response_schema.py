"""Response schemas: from Spark types to JSON Schema and back, and which texts fit."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkcoil.response_schema import Misfit, read_schema

DDL = "name STRING NOT NULL, age INT, tags ARRAY<STRING>, at STRUCT<x: DOUBLE NOT NULL, y: DOUBLE>, counts MAP<STRING, BIGINT>"
GOOD: dict[str, Any] = {"name": "é", "age": None, "tags": ["a", None], "at": {"x": 1, "y": 2.5}, "counts": {"k": 3}}


def fits(schema: Any, value: Any) -> str | None:
    """Return None where a value fits, else the code."""
    try:
        read_schema(schema).parsed(value if isinstance(value, str) else json.dumps(value))
    except Misfit as error:
        return error.code
    return None


def test_a_spark_type_takes_what_it_can_hold() -> None:
    assert fits(DDL, GOOD) is None
    assert json.loads(read_schema(DDL).parsed(json.dumps(GOOD))) == GOOD


@pytest.mark.parametrize(
    "change",
    [
        {"name": None},
        {"name": 1},
        {"age": 1.5},
        {"age": 2**31},
        {"age": True},
        {"tags": "a"},
        {"tags": [1]},
        {"at": {"x": None, "y": 1}},
        {"at": {"x": 1}},
        {"counts": {"k": "3"}},
        {"further": 1},
    ],
    ids=str,
)
def test_a_spark_type_refuses_what_is_missing_too_much_or_of_another_type(change: dict[str, Any]) -> None:
    assert fits(DDL, {**GOOD, **change}) == "schema_mismatch"


@pytest.mark.parametrize("name", GOOD)
def test_a_spark_type_refuses_a_text_without_one_of_its_fields(name: str) -> None:
    assert fits(DDL, {each: value for each, value in GOOD.items() if each != name}) == "schema_mismatch"


@pytest.mark.parametrize(
    "text", ["", "name: x", "{'name': 1}", '{"a": NaN}', '{"a": Infinity}', '{"a": 1e999}', '{"a": "\\ud800"}', "[" * 9999]
)
def test_what_is_no_json_says_so(text: str) -> None:
    assert fits("a STRING", text) == "not_json"


def test_json_may_stand_in_a_fenced_block_and_nowhere_else() -> None:
    assert fits("a INT", '```json\n{"a": 1}\n```') is None
    assert fits("a INT", '\n```\n{"a":\n1}\n```\n') is None
    assert fits("a INT", 'Here: ```json\n{"a": 1}\n```') == "not_json"
    assert fits("a INT", '{"a": 1} and more') == "not_json"


def test_null_alone_fits_nothing() -> None:
    assert fits("a INT", "null") == "schema_mismatch"


def test_a_whole_number_fits_an_integer_however_it_is_written() -> None:
    assert json.loads(read_schema("a INT").parsed('{"a": 2.0}')) == {"a": 2}
    assert isinstance(json.loads(read_schema("a INT").parsed('{"a": 2.0}'))["a"], int)


def test_the_message_names_the_place_in_the_schema_and_nothing_of_the_text() -> None:
    with pytest.raises(Misfit) as caught:
        read_schema("counts MAP<STRING, INT>").parsed('{"counts": {"canary": "canary"}}')
    assert str(caught.value) == "the text does not fit response_schema at properties.counts.additionalProperties.type"


@pytest.mark.parametrize(
    ("schema", "ddl"),
    [
        ({"type": "object", "properties": {"a": {"type": "string"}, "b-c": {"type": "integer"}}}, "STRUCT<`a`: STRING, `b-c`: BIGINT>"),
        ({"type": "array", "items": {"type": "number"}}, "ARRAY<DOUBLE>"),
        ({"properties": {"a": {"enum": ["x", "y", None]}}}, "STRUCT<`a`: STRING>"),
        ({"properties": {"a": {"const": True}, "b": {"enum": [1, 2]}}}, "STRUCT<`a`: BOOLEAN, `b`: BIGINT>"),
        ({"type": "object", "additionalProperties": {"type": ["boolean", "null"]}}, "MAP<STRING, BOOLEAN>"),
        ({"properties": {"a": {"anyOf": [{"type": "string"}, {"type": "null"}]}}}, "STRUCT<`a`: STRING>"),
        ({"properties": {"a": {"anyOf": [{"type": "string"}, {"type": "integer"}]}}}, "STRUCT<`a`: STRING>"),
        ({"properties": {"a": {"type": "object"}, "b": True}}, "STRUCT<`a`: MAP<STRING, STRING>, `b`: STRING>"),
        ({"type": "object"}, "MAP<STRING, STRING>"),
        ({"properties": {"a": {"$ref": "#/$defs/p"}}, "$defs": {"p": {"type": ["number", "null"]}}}, "STRUCT<`a`: DOUBLE>"),
    ],
    ids=str,
)
def test_a_json_schema_has_a_spark_type(schema: dict[str, Any], ddl: str) -> None:
    assert read_schema(schema).ddl == read_schema(json.dumps(schema)).ddl == ddl


def test_a_json_schema_is_held_to_its_own_rules_and_to_its_spark_type() -> None:
    schema = {"properties": {"a": {"type": "string", "maxLength": 2}, "n": {"type": "integer"}}, "required": ["a"]}
    assert fits(schema, {"a": "xy", "further": 1}) is None
    assert fits(schema, {"a": "xyz"}) == "schema_mismatch"
    assert fits(schema, {"a": "x", "n": 2**63}) == "schema_mismatch"


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ("a TIMESTAMP", "expected a type among TINYINT.* found TIMESTAMP"),
        ("a MAP<INT, STRING>", "keys of a MAP are STRING"),
        *((each, "expected fields with their types") for each in ("", "a", "a INT,", "a STRUCT<>", "<")),
        *((each, "a field's name") for each in ("a INT, A INT", "`a.b` INT", "a STRUCT<x: INT, x: INT>")),
        ({"type": "string"}, "fields of an object, or an array"),
        ({"properties": {"a": {"type": 7}}}, "not a JSON Schema at properties.a.type"),
        ({"properties": {"a b": {}}}, "a field's name"),
        ({"properties": {"a": {}, "A": {}}}, "a field's name"),
        ({"$ref": "#"}, "refers to itself"),
        ({"properties": {"a": {"$ref": "#/$defs/none"}}}, "leads nowhere"),
        ({"properties": {"a": {"$ref": "https://example.org/s.json"}}}, "leads nowhere"),
        ({"properties": {"a": {}}, "allOf": [{"$ref": "https://example.org/s.json"}]}, "leads out of the schema"),
        ("{not json", "Expecting"),
    ],
    ids=str,
)
def test_what_is_no_schema_is_refused_with_the_reason(schema: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_schema(schema)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*GOOD, "x", "y", "k"]), inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*GOOD]), VALUES))
def test_any_json_fits_or_is_a_misfit(value: dict[str, Any]) -> None:
    assert fits(DDL, value) in (None, "schema_mismatch", "not_json")
