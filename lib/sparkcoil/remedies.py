"""What Spark, Delta and py4j raise of a table that cannot be made, read or written, as a refusal with the way out."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from py4j.protocol import Py4JError, Py4JJavaError  # type: ignore[import-untyped]
from pyspark.errors import PySparkException

from sparkcoil import errors
from sparkcoil.errors import RefusedError, TargetError, first_line

CONDITION = re.compile(r"\[([A-Z][A-Z0-9_]+)[\].]")
# How Python writes an error of ours in the stack of a worker.
OURS = re.compile(r"^\s*(?:\S+ )*?sparkcoil\.errors\.(\w+): (.+)$", re.MULTILINE)
# By the condition that Spark or Delta names.
REMEDIES: Mapping[str, str] = {
    "SCHEMA_NOT_FOUND": "create the schema first, by CREATE SCHEMA",
    "DATABASE_NOT_FOUND": "create the schema first, by CREATE SCHEMA",
    "CATALOG_NOT_FOUND": "name a catalog that the session has (spark.sql.catalog.NAME)",
    "REQUIRES_SINGLE_PART_NAMESPACE": "name it as schema.table, or by a catalog that the session has (spark.sql.catalog.NAME)",
    "INVALID_SCHEMA_OR_RELATION_NAME": "this catalog takes letters, digits and _ alone",
    "INVALID_IDENTIFIER": "write a name with such a character between backticks",
    "PARSE_SYNTAX_ERROR": "write a name with such a character between backticks",
    "DELTA_CANNOT_MODIFY_APPEND_ONLY": "let its rows be changed: ALTER TABLE … SET TBLPROPERTIES ('delta.appendOnly' = 'false')",
    "DELTA_FEATURES_REQUIRE_MANUAL_ENABLEMENT": "enable what the new column needs, such as by ALTER TABLE … SET TBLPROPERTIES "
    "('delta.feature.timestampNtz' = 'supported')",
    "DELTA_INVALID_CHARACTERS_IN_COLUMN_NAMES": "let it have such columns: ALTER TABLE … SET TBLPROPERTIES "
    "('delta.columnMapping.mode' = 'name')",
    "DELTA_UNSUPPORTED_FEATURES_FOR_WRITE": "install a delta-spark that knows them",
    "DELTA_UNSUPPORTED_FEATURES_FOR_READ": "install a delta-spark that knows them",
}


@contextmanager
def refusing(where: str, refusal: type[RefusedError] = TargetError, *, known: bool = False) -> Iterator[None]:
    """Do the block; raises the refusal, with a remedy where there is one, for what Spark refuses, or only for what has a remedy."""
    try:
        yield
    except (PySparkException, Py4JError) as error:
        name = condition(error)
        if name is None or (known and name not in REMEDIES):
            raise
        raise refusal(f"{where}: {cause(error)}{f'; {REMEDIES[name]}' if name in REMEDIES else ''}") from error


@contextmanager
def refused_by_workers() -> Iterator[None]:
    """Do the block; raises as our own what an executor has refused within it, such as a model whose files have changed."""
    try:
        yield
    except (PySparkException, Py4JError) as error:
        found = OURS.search(str(error))
        refusal = getattr(errors, found[1], None) if found else None
        if found is None or not (isinstance(refusal, type) and issubclass(refusal, RefusedError)):
            raise
        raise refusal(found[2]) from error


def condition(error: BaseException) -> str | None:
    """Return the name of the condition that Spark or Delta raised, None where it names none."""
    found = CONDITION.search(cause(error))
    return found[1] if found else None


def cause(error: BaseException) -> str:
    """Return the first line of what Spark says went wrong, without the call and the stack that py4j puts around it."""
    if not isinstance(error, Py4JJavaError):
        return first_line(error)
    thrown = error.java_exception
    lines = str(thrown.getMessage() or thrown.getClass().getName()).strip().splitlines()
    return lines[0]
