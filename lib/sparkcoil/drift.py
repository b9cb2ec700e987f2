"""Whether a table that is there can take a run's predictions: the columns it has, held against those it should have."""

import json
from collections.abc import Collection, Iterator, Mapping

from pyspark.sql.types import StructType

from sparkcoil.errors import did_you_mean
from sparkcoil.ledger import CHALLENGER

# Where Spark notes the length of a VARCHAR or CHAR, which to it is a STRING.
LENGTH = "__CHAR_VARCHAR_TYPE_STRING"
# What Delta notes of a column that it fills by itself.
EXPRESSION = "delta.generationExpression"
GENERATED = (EXPRESSION, "delta.identity.start")


def problems(found: StructType, wanted: StructType, *, may_lack: Collection[str] = ()) -> Iterator[str]:
    """Yield a sentence for each column that is missing, not wanted, or of another type; what Delta fills by itself may be there."""
    there, asked = (types(schema) for schema in (found, wanted))
    filled = {field.name for field in found if any(name in field.metadata for name in GENERATED)} | {CHALLENGER}  # of a run before
    for name in {**asked, **there}:
        if asked.get(name) == there.get(name) or (name not in asked and name in filled) or (name not in there and name in may_lack):
            continue
        near = did_you_mean(name, there) if name not in there else ""
        hint = near if "did you mean" in near else ""
        yield f"column {name}: expected {asked.get(name, 'no such column')}, found {there.get(name, 'no such column')}{hint}"


def key_problems(recorded: str | None, keys: Collection[str]) -> Iterator[str]:
    """Yield a sentence if a table was made with other key columns; one that does not say which it was made with passes."""
    if recorded and set(json.loads(recorded)) != set(keys):
        asked, made = ", ".join(keys), ", ".join(json.loads(recorded))
        yield f"keys: expected {asked}, found {made}, by which its rows were scored; go back to those keys, or score into a new target"


def padding_problems(found: StructType, padded: Mapping[str, str | None]) -> Iterator[str]:
    """Yield a sentence for each key that a table pads with blanks to another length than its source does.

    No such key ever equals the source's, so that every run would insert all rows once more. `padded` has the CHAR type of each key in the
    source, None for a key of another type.
    """
    for name, declared in padded.items():
        there = declared_char(found, name)
        if there is not None and there != declared:
            yield (
                f"key column {name}: expected {declared or 'string'}, found {there}, which pads keys with blanks, so that none equals the "
                f"source's; make it a STRING or VARCHAR column in a new table"
            )


def declared_char(schema: StructType, name: str) -> str | None:
    """Return the CHAR type that a column was declared with, None for any other, a VARCHAR too: nothing is padded there."""
    kind = next((str(field.metadata.get(LENGTH, "")) for field in schema if field.name == name), "").lower()
    return kind if kind.startswith("char(") else None


def lacks(found: StructType, wanted: StructType) -> bool:
    """Tell whether a table lacks a column."""
    return not {*types(wanted)} <= {*types(found)}


def types(schema: StructType) -> dict[str, str]:
    """Return columns by name with their types in words."""
    return {field.name: field.dataType.simpleString() for field in schema}
