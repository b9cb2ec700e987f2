"""Texts of a form that was asked for: the options that ask, and a text held against them. Knows nothing of Spark or torch."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from sparkcoil.errors import RowError
from sparkcoil.prompts import TemplateOptions
from sparkcoil.response_schema import Misfit, read_schema
from sparkcoil.tasks import Task

PARSED = "parsed"
# The codes of texts that have not the form asked for.
MISFITS = ("not_json", "schema_mismatch")


def checked_schema(written: str | Mapping[str, Any]) -> str | Mapping[str, Any]:
    """Return a response schema as it is written; raises ValueError for one that is neither a Spark type nor JSON Schema."""
    read_schema(written)
    return written


class StructuredOptions(TemplateOptions):
    """Which form a text must have."""

    response_schema: Annotated[str | dict[str, Any], AfterValidator(checked_schema)] | None = Field(
        default=None,
        description="fields such as `name STRING, age INT`, or a JSON Schema: the text must be such JSON, and is `prediction.parsed`",
    )
    response_retries: int = Field(default=2, ge=0, le=10, description="further tries, by sampling, where a text is not of that form")

    def fit(self, task: Task) -> Task:
        """Return the task with a field for what was parsed, if a form is asked for."""
        fitted = super().fit(task)
        if self.response_schema is None:
            return fitted
        kind = read_schema(self.response_schema).ddl
        return replace(fitted, prediction=f"{fitted.prediction}, {PARSED} {kind}", json_fields=(*fitted.json_fields, PARSED))


def judged(text: str, options: StructuredOptions) -> str | RowError | None:
    """Return the JSON of a text, or the failure of its row where it is not of the form asked for; None where none is."""
    if options.response_schema is None:
        return None
    try:
        return read_schema(options.response_schema).parsed(text)
    except Misfit as error:
        return RowError("output", error.code, str(error), retryable=True)
