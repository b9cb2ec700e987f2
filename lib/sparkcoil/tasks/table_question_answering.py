"""table-question-answering: a question about a table gets the cells that answer it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from sparkcoil.errors import RowError
from sparkcoil.tasks import Facts, Input, Options, Prediction, Row, Task, decode_text

Item = tuple[str, tuple[str, ...], tuple[tuple[str, ...], ...]]


class TableQuestionAnsweringOptions(Options):
    """What happens to a table longer than the model can read."""

    truncation: Literal["drop_rows_to_fit", "fail"] = Field(
        default="drop_rows_to_fit", description="leave out the last rows of an over-long table, or `fail` the row"
    )
    max_length: int | None = Field(default=None, ge=1, description="tokens of question and table; by default all that the model can read")


def read(row: Row, options: TableQuestionAnsweringOptions) -> tuple[Item, tuple[str, ...]]:
    """Return the question, the table's columns and its cells as text, with a warning for a blank question."""
    query = decode_text(row["query"], "query")
    records = records_of(row["table"])
    columns = tuple(dict.fromkeys(str(name) for record in records for name in record))
    if not columns:
        raise RowError("input", "empty_table", "the table has no cells")
    cells = tuple(tuple(cell(record.get(name)) for name in columns) for record in records)
    return (query, columns, cells), () if query.strip() else ("blank_input",)


def records_of(table: Any) -> list[Mapping[str, Any]]:
    """Return the rows of a table: an array of structs, or JSON of rows or of columns; raises RowError for anything else."""
    if table is None:
        raise RowError("input", "null_input", "table is NULL")
    content = parsed(decode_text(table, "table")) if isinstance(table, bytes | str) else list(table)
    if isinstance(content, dict) and all(isinstance(column, list) for column in content.values()):
        height = max(map(len, content.values()), default=0)
        return [{name: column[i] for name, column in content.items() if i < len(column)} for i in range(height)]
    if isinstance(content, list) and all(isinstance(record, dict) for record in content):
        return content
    raise RowError("input", "invalid_table", "expected a table as a list of rows or an object of columns")


def parsed(text: str) -> Any:
    """Return the content of JSON text; raises RowError where it is none."""
    try:
        content = json.loads(text)
        json.dumps(content, ensure_ascii=False).encode()  # half of a surrogate pair could not leave the worker
        return content
    except (ValueError, RecursionError):
        raise RowError("input", "invalid_table", "table is not valid JSON") from None


def cell(value: Any) -> str:
    """Return a cell as the model reads it: text."""
    return "" if value is None else str(value)


def write(selections: Sequence[Any], facts: Facts, options: TableQuestionAnsweringOptions) -> list[Prediction | RowError]:
    """Return each question's cells, what is to be done with them, and both as one text, like the native pipeline's."""
    return [
        {"answer": prefix(each.aggregator, facts) + ", ".join(each.cells), "cells": list(each.cells), "aggregator": each.aggregator}
        for each in selections
    ]


def prefix(aggregator: str | None, facts: Facts) -> str:
    """Return what stands before the cells in an answer; nothing for the aggregator that does nothing."""
    return "" if aggregator is None or aggregator == facts["no_aggregation"] else f"{aggregator} > "


TASK = Task(
    name="table-question-answering",
    inputs=(Input("query", ("string",)), Input("table", ("string", "array"))),
    prediction="answer STRING, cells ARRAY<STRING>, aggregator STRING",
    options=TableQuestionAnsweringOptions,
    engine="tables",
    heads=("TapasForQuestionAnswering",),
    read=read,
    write=write,
)
