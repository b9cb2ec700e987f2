"""The form that a generated text must have, as JSON Schema and as a Spark type, whichever of the two it was written in.

Knows nothing of Spark or torch.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from jsonschema import Draft202012Validator, SchemaError

from sparkcoil import ledger

JsonSchema = Mapping[str, Any]

WHOLE = {"TINYINT": 8, "SMALLINT": 16, "INT": 32, "INTEGER": 32, "BIGINT": 64, "LONG": 64}
PLAIN = {"FLOAT": "number", "DOUBLE": "number", "STRING": "string", "BOOLEAN": "boolean"}
# Spark's types for those of JSON.
SCALARS = {"string": "STRING", "integer": "BIGINT", "number": "DOUBLE", "boolean": "BOOLEAN"}
NESTED = re.compile(r"(?is)(ARRAY|STRUCT|MAP)\s*<(.*)>")
NOT_NULL = re.compile(r"(?i)\s+NOT\s+NULL\b")
NOT_NULL_ITSELF = re.compile(rf"{NOT_NULL.pattern}\s*$")
NAME = re.compile(r"[\w-]+")
FENCED = re.compile(r"(?s)\s*```(?:json)?\s*\n(.*)\n\s*```\s*")
DEEPEST = 20


class Misfit(Exception):
    """A text does not fit; the message says where in the schema, never what the text holds."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class ResponseSchema:
    """What a text must fit: `written` is what was asked for, `typed` what the Spark type `ddl` can hold."""

    written: Draft202012Validator
    typed: Draft202012Validator
    ddl: str

    def parsed(self, text: str) -> str:
        """Return the JSON of a text, which may stand in a fenced block; raises Misfit where it does not fit."""
        fenced = FENCED.fullmatch(text)
        try:
            value = json.loads(fenced[1] if fenced else text, parse_float=number, parse_constant=number)
            written = json.dumps(value, ensure_ascii=False)
            written.encode()  # half of a surrogate pair could not leave the worker
        except (ValueError, RecursionError):
            raise Misfit("not_json", "the text is not JSON") from None
        for error in (*self.written.iter_errors(value), *self.typed.iter_errors(value)):
            # Not the place in the text, whose keys are the row's.
            where = ".".join(map(str, error.absolute_schema_path))
            raise Misfit("schema_mismatch", f"the text does not fit response_schema at {where}")
        return written


def number(text: str) -> int | float:
    """Return a JSON number, a whole one as an integer, which Spark reads into any type; raises ValueError for one that is none."""
    value = float(text)
    if value - value != 0:
        raise ValueError(text)
    return int(value) if value.is_integer() else value


def read_schema(written: str | JsonSchema) -> ResponseSchema:
    """Return the schema written as a Spark DDL string, or as JSON Schema or its text; raises ValueError for any other."""
    return _read(json.dumps(written) if isinstance(written, Mapping) else written.strip())


@lru_cache
def _read(text: str) -> ResponseSchema:
    if text.startswith("{"):
        schema = json.loads(text)
        refuse_unlawful(schema)
        ddl = type_of(schema, schema, DEEPEST)
        if any(not str(each).startswith("#") for each in references(schema)):
            raise ValueError("a $ref leads out of the schema")
    else:
        ddl = text if NESTED.fullmatch(text) else f"STRUCT<{', '.join(f'`{name}`: {kind}' for name, kind in fields_of(text))}>"
        schema = of_type(ddl, strict=True)
        schema["type"] = schema["type"][:1]
    if not NESTED.fullmatch(ddl):
        raise ValueError("expected the fields of an object, or an array")
    ddl = NOT_NULL.sub("", ddl)
    return ResponseSchema(Draft202012Validator(schema), Draft202012Validator(of_type(ddl, strict=False)), ddl)


def refuse_unlawful(schema: JsonSchema) -> None:
    """Pass for what is JSON Schema; raises ValueError with the place that is not."""
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise ValueError(f"not a JSON Schema at {'.'.join(map(str, error.absolute_path)) or 'its top'}") from None


def of_type(kind: str, *, strict: bool) -> dict[str, Any]:
    """Return the JSON Schema of a Spark type; where it is strict, each field must be there, and no other."""
    name, nested = kind.strip().upper(), NESTED.fullmatch(kind.strip())
    if nested:
        return of_nested(nested[1].upper(), nested[2], strict=strict)
    if name in WHOLE:
        bound = 2 ** (WHOLE[name] - 1)
        return {"type": ["integer", "null"], "minimum": -bound, "maximum": bound - 1}
    if name not in PLAIN:
        raise ValueError(f"expected a type among {', '.join([*WHOLE, *PLAIN])}, ARRAY, MAP and STRUCT, found {kind.strip()}")
    # Spark takes any JSON as text into a STRING.
    return {"type": [PLAIN[name], "null"]} if strict or name != "STRING" else {}


def of_nested(outer: str, inner: str, *, strict: bool) -> dict[str, Any]:
    """Return the JSON Schema of an ARRAY, a MAP or a STRUCT."""
    if outer == "ARRAY":
        return {"type": ["array", "null"], "items": of_type(inner, strict=strict)}
    if outer == "MAP":
        key, _, value = inner.partition(",")
        if key.strip().upper() != "STRING":
            raise ValueError("the keys of a MAP are STRING")
        return {"type": ["object", "null"], "additionalProperties": of_type(value, strict=strict)}
    properties = {}
    for name, kind in fields_of(inner):
        filled = NOT_NULL_ITSELF.sub("", kind)
        properties[name] = field = of_type(filled, strict=strict)
        if filled != kind:
            field["type"] = field["type"][:1]
    rules = {"required": [*properties], "additionalProperties": False} if strict else {}
    return {"type": ["object", "null"], "properties": properties, **rules}


def fields_of(written: str) -> list[tuple[str, str]]:
    """Return the names and types of fields in DDL; raises ValueError where there are none, or names that Spark could not tell apart."""
    try:
        fields = [(name.rstrip(":").strip("`"), kind) for name, kind in ledger.split_fields(written)]
    except ValueError:
        raise ValueError("expected fields with their types, such as `name STRING, age INT`") from None
    for name, _ in fields:
        field_name(name, [each for each, _ in fields])
    return fields


def type_of(schema: Any, root: JsonSchema, depth: int) -> str:
    """Return the Spark type that holds what fits a JSON Schema; text, which may be JSON, where there is no other."""
    if depth == 0:
        raise ValueError("the schema is nested too deeply, or refers to itself")
    if not isinstance(schema, Mapping):
        return "STRING"
    if "$ref" in schema:
        return type_of(pointed_at(root, str(schema["$ref"])), root, depth - 1)
    choices = [each for each in schema.get("anyOf") or schema.get("oneOf") or () if each != {"type": "null"}]
    if len(choices) == 1:
        return type_of(choices[0], root, depth - 1)
    kinds = kinds_of(schema)
    if kinds == {"object"} and isinstance(schema.get("properties"), Mapping) and schema["properties"]:
        fields = [
            f"{field_name(name, schema['properties'])}: {type_of(each, root, depth - 1)}" for name, each in schema["properties"].items()
        ]
        return f"STRUCT<{', '.join(fields)}>"
    if kinds == {"object"}:
        return f"MAP<STRING, {type_of(schema.get('additionalProperties'), root, depth - 1)}>"
    if kinds == {"array"}:
        return f"ARRAY<{type_of(schema.get('items'), root, depth - 1)}>"
    if kinds == {"integer", "number"}:
        return "DOUBLE"
    return SCALARS.get(next(iter(kinds)), "STRING") if len(kinds) == 1 else "STRING"


def kinds_of(schema: JsonSchema) -> set[str]:
    """Return the types that values of a schema may have, apart from null."""
    if "type" in schema:
        given = schema["type"]
        return {*([given] if isinstance(given, str) else map(str, given))} - {"null"}
    values = schema.get("enum", [schema["const"]] if "const" in schema else [])
    found = {"boolean" if isinstance(each, bool) else "integer" if isinstance(each, int) else type(each).__name__ for each in values}
    named = {"str": "string", "float": "number"}
    return {named.get(each, each) for each in found - {"NoneType"}} or {"object" if "properties" in schema else "any"}


def field_name(name: str, fields: Sequence[str] | Mapping[str, Any]) -> str:
    """Return a property's name as DDL has it; raises ValueError for one that Spark could not tell apart, or could not spell."""
    if not NAME.fullmatch(name) or [each.lower() for each in fields].count(name.lower()) > 1:
        raise ValueError("a field's name is of letters, digits, _ and -, and differs from the others by more than its case")
    return f"`{name}`"


def pointed_at(root: JsonSchema, reference: str) -> Any:
    """Return the part of a schema that a reference such as `#/$defs/item` leads to; raises ValueError where it leads nowhere."""
    found: Any = root
    for step in reference.removeprefix("#").strip("/").split("/") if reference != "#" else ():
        found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, Mapping) else None
    if found is None or not reference.startswith("#"):
        raise ValueError("a $ref leads nowhere within the schema")
    return found


def references(schema: Any) -> Iterator[Any]:
    """Yield all references within a schema: jsonschema would fetch one that is a URL."""
    if isinstance(schema, Mapping):
        yield from (schema[name] for name in ("$ref", "$dynamicRef") if name in schema)
    for each in schema.values() if isinstance(schema, Mapping) else schema if isinstance(schema, list) else ():
        yield from references(each)
