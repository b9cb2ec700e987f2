"""The prediction table: its columns after the keys and the kept ones, the same whatever the data. Knows nothing of Spark."""

import re
from collections.abc import Mapping

ERROR = "STRUCT<stage: STRING, code: STRING, message: STRING, retryable: BOOLEAN, attempts: INT>"

COLUMNS: Mapping[str, str] = {
    "prediction": "STRUCT<{prediction}>",
    "status": "STRING",
    "error": ERROR,
    "warnings": "ARRAY<STRING>",
    "input_hash": "STRING",
    "model_uri": "STRING",
    "model_version": "STRING",
    "model_digest": "STRING",
    "run_id": "STRING",
    "scored_at": "TIMESTAMP",
}


# The type of bytes in a DDL string, at any depth; a struct's field of that name is followed by a colon.
BYTES = re.compile(r"(?i)\bBINARY\b(?=\s*(?:[,>]|$))")

# What another model says of the same row, NULL where it was not asked; a column of targets whose run file names a challenger.
CHALLENGER = "challenger"
CHALLENGER_COLUMNS = ("prediction", "status", "error", "warnings", "model_uri", "model_version", "model_digest")

# When a row's key left the source, NULL while it is there: the last column, where `target.deletes` is `mark`.
DELETED_AT = "deleted_at"


def ddl(prediction: str) -> str:
    """Return the DDL of the ledger's columns for a task whose prediction has the fields of a DDL string."""
    fields = ", ".join(colon_separated(prediction))
    return ", ".join(f"{name} {kind.format(prediction=fields)}" for name, kind in COLUMNS.items())


def challenger_ddl(prediction: str) -> str:
    """Return the DDL of the column with what a challenger says."""
    fields = ", ".join(colon_separated(prediction))
    inner = ", ".join(f"{name}: {COLUMNS[name].format(prediction=fields)}" for name in CHALLENGER_COLUMNS)
    return f"{CHALLENGER} STRUCT<{inner}>"


def colon_separated(fields: str) -> list[str]:
    """Return the fields of a table's DDL as those of a struct: `name: TYPE`."""
    return [f"{name}: {kind}" for name, kind in split_fields(fields)]


def split_fields(fields: str) -> list[tuple[str, str]]:
    """Return the top-level fields of a DDL string as pairs of name and type."""
    found, depth, start = [], 0, 0
    for i, character in enumerate(fields + ","):
        depth += (character in "<(") - (character in ">)")
        if character == "," and depth == 0:
            name, kind = fields[start:i].split(maxsplit=1)
            found.append((name, kind))
            start = i + 1
    return found


def opened(kind: str) -> tuple[str, str]:
    """Return the outermost word of a type in capitals, and what stands in its angle brackets."""
    outer, _, inner = kind.strip().partition("<")
    return outer.upper(), inner.removesuffix(">")


def fields_of(inner: str) -> list[tuple[str, str]]:
    """Return the fields of a struct, by what stands in its angle brackets, as pairs of name and type."""
    return [(name.rstrip(":"), kind) for name, kind in split_fields(inner)]
