"""SQL statements with models as functions: what a file or a text holds of them, done one after the other, their first rows printed."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import SparkSession

from sparkcoil import functions
from sparkcoil.errors import ConfigError, SparkcoilError, first_line
from sparkcoil.notebook import register

REFUSED = re.compile(re.escape(functions.refusal("NAME")).replace("NAME", r"(\w+") + r"\w+/\w+)")
# Texts, quoted names and comments, within which a semicolon ends nothing; then the semicolon; then all else.
TOKENS = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`[^`]*`|--[^\n]*|/\*.*?\*/|;|[^'"`;/-]+|.""", re.DOTALL)


def read(query: str) -> list[str]:
    """Return the statements of a text, or of the file that it names; raises ConfigError where it is meant as a file and none is there."""
    path = Path(query)
    if path.suffix == ".sql" and not path.is_file():
        raise ConfigError("sql", [f"no file {query}"])
    found = list(split(path.read_text(encoding="utf-8") if path.suffix == ".sql" else query))
    if not found:
        raise ConfigError("sql", ["expected a statement, found none"])
    return found


def split(text: str) -> Iterator[str]:
    """Yield the statements between semicolons, without comments; hints stay."""
    statement = ""
    for token in [*TOKENS.findall(text), ";"]:
        if token == ";":
            if statement.strip():
                yield statement.strip()
            statement = ""
        elif token.startswith(("--", "/*")) and not token.startswith("/*+"):
            statement += " "
        else:
            statement += token


def models(given: Sequence[str]) -> dict[str, str]:
    """Return models' URIs by the names of their functions, of texts such as `topic=models:/topic@champion`; raises ConfigError."""
    pairs = [each.partition("=") for each in given]
    problems = [f"--function: expected name=uri, found {name!r}" for name, _, uri in pairs if not (name.isidentifier() and uri)]
    problems += [f"--function: {name} is given more than once" for name, count in Counter(name for name, *_ in pairs).items() if count > 1]
    if problems:
        raise ConfigError("sql", problems)
    return {name: uri for name, _, uri in pairs}


def do(
    spark: SparkSession, statements: Sequence[str], uris: Mapping[str, str], *, on_error: Any, rows: int, shown: Callable[[str], None]
) -> None:
    """Do the statements in order with the functions there, and show up to so many rows of what each of them gives, as JSON.

    Raises ConfigError where Spark refuses a statement, and SparkcoilError where a function that raises meets a row that fails.
    """
    for name, uri in uris.items():
        register(spark, name, uri, on_error=on_error)
    for number, statement in enumerate(statements, 1):
        try:
            for row in spark.sql(statement).take(rows):
                shown(json.dumps(row.asDict(recursive=True), default=str))
        except AnalysisException as error:
            raise ConfigError("sql", [f"statement {number}: {first_line(error)}"]) from None
        except (PySparkException, Py4JJavaError) as error:
            told = refused(error)
            if told is None:
                raise
            raise SparkcoilError(f"statement {number}: {told}") from None


def refused(error: Exception) -> str | None:
    """Return which function has refused a row, and with which code, of what Spark raises; None where none has.

    Of writers' errors that stands in one of their causes.
    """
    cause = getattr(error, "java_exception", None) or getattr(error, "_origin", None)
    while cause is not None:
        if found := REFUSED.search(str(cause.getMessage())):
            return found[1]
        cause = cause.getCause()
    return None
