"""The sections of a run file as frozen values, each with what can be judged of it by itself.

Knows nothing of files (runfile.py reads them), Spark, MLflow or torch.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field, ValidationInfo, field_validator

from sparkcoil import ledger
from sparkcoil.fields import (
    Attention,
    Column,
    Columns,
    Condition,
    Count,
    Deletes,
    Device,
    Dtype,
    Flag,
    Format,
    Keys,
    Keywords,
    Number,
    Publish,
    Query,
    Root,
    Seconds,
    Setting,
    Share,
    TableName,
    Text,
    Trust,
    Version,
)
from sparkcoil.pacing import CHUNK_SECONDS
from sparkcoil.problems import Problem, Section, expected


class ModelConfig(Section):
    """Which model scores, and how it is run."""

    uri: Text
    """models:/name/3, models:/name@alias, runs:/..., m-... or a path."""
    dtype: Dtype = "auto"
    """auto: as logged; fastest: bfloat16 or float16 where native, faster, and in agreement on a sample."""
    device: Device = "auto"
    """cuda refuses to run on an executor without a GPU."""
    shared: Flag = False
    """The model's files lie on a file system that every executor sees under the same path; else Spark sends them."""
    base: Text | None = None
    """The base model of an adapter logged without it: a checkpoint directory, or the URI of a logged model."""
    trust: Trust = ()
    """What of the artifact may run code when it is loaded; nothing by default."""
    attn_implementation: Attention | None = None
    """As in transformers; its own choice by default."""
    load_kwargs: Keywords = Field(default={})
    """Further arguments of from_pretrained."""
    options: Annotated[Mapping[str, Any], expected("a mapping of the task's options")] = {}
    """Inference options of the task, under their Hugging Face names."""


class SourceConfig(Section):
    """Which rows are scored: exactly one of a table, a path and a query."""

    table: TableName | None = None
    """A table by its name."""
    path: Text | None = None
    """A file or folder; a relative one lies in the folder that the job runs in."""
    query: Query | None = None
    """A SELECT whose rows are the source; it is pinned to no version."""
    format: Annotated[Format | None, Field(validate_default=True)] = None
    """What lies under the path; delta unless said otherwise."""
    options: Annotated[Mapping[str, Setting], expected("a mapping of reader options")] = {}
    """Options of Spark's reader, such as `{sep: ";"}`; without any, CSV is read with `header: true, multiLine: true, escape: '"'`."""
    version: Version | None = None
    """The version of a Delta table; without it the newest is pinned at the start and recorded."""
    keys: Keys = Field(default=None, validate_default=True)
    """The columns that identify a row; always given, unless the format is openai."""
    columns: Columns = Field(default=None, validate_default=True)
    """An input of the task, or a name in a prompt template -> a column or SQL expression; by itself where the format is openai."""
    where: Condition | None = None
    """Which rows of the source, as a SQL condition."""
    roots: Annotated[tuple[Root, ...], expected("a list of folders and URI prefixes")] = ()
    """Where files that rows name may lie, such as `/data/calls` or `s3a://bucket/calls`; one that lies elsewhere is a failed row."""

    @field_validator("format")
    @classmethod
    def _delta_unless_said(cls, value: Format | None, info: ValidationInfo) -> Format | None:
        return "delta" if value is None and info.data.get("path") is not None else value

    @staticmethod
    def conflicts(data: Mapping[str, Any]) -> Iterator[Problem]:
        """Yield what is wrong between the kinds of source, and between its key columns."""
        yield from _unless_exactly_one(data, ("table", "path", "query"))
        if data.get("format") is not None and data.get("path") is None:
            yield Problem(("format",), "given without path, and only a path has a format")
        if data.get("options") and data.get("path") is None:
            yield Problem(("options",), "given without path, and only a path is read with options")
        if data.get("version") is not None and (data.get("query") is not None or data.get("format") not in (None, "delta")):
            yield Problem(("version",), "only Delta tables and paths have versions")
        yield from _column_conflicts(data, "keys")


class TargetConfig(Section):
    """Where predictions go: exactly one of a table and a path, always Delta."""

    table: TableName | None = None
    """A table by its name; made by the first run."""
    path: Text | None = None
    """A folder; a relative one lies in the folder that the job runs in; made by the first run."""
    keep: Annotated[tuple[Column, ...], expected("a list of column names")] = ()
    """Source columns copied along; refreshed only when the row is due."""
    deletes: Deletes = "keep"
    """What becomes of rows whose key has left the source, or no longer meets source.where; other than keep it asks for a Delta source."""
    max_deletes_share: Share = 0.5
    """With deletes other than keep: the share of the target's rows that may leave in one run; past it the run exits 3."""
    publish: Publish = "chunk"
    """chunk: what is scored can be read chunk by chunk; end: all at once, when the whole run is within its budget and its gates."""
    gates: Annotated[tuple[Text, ...], expected("a list of SQL conditions")] = ()
    """With `publish: end`: conditions on all that the run publishes, such as `avg(prediction.score) > 0.5`; past one the run exits 4."""
    add_columns: Flag = False
    """Whether kept columns that the target lacks are added to it; rows that are there already have NULL in them until they are due."""
    jsonl: Text | None = None
    """A file with the answers to all rows of the source, as in OpenAI's batch output files; for llm/v1 tasks."""

    @staticmethod
    def conflicts(data: Mapping[str, Any]) -> Iterator[Problem]:
        """Yield what is wrong between the kinds of target, and between its kept columns."""
        yield from _unless_exactly_one(data, ("table", "path"))
        yield from _column_conflicts(data, "keep")
        if data.get("gates") and data.get("publish") != "end":
            yield Problem(("gates",), "asks for `publish: end`: otherwise chunks are published before all is scored")


class RowsConfig(Section):
    """What is asked of the rows as a whole."""

    max_failed_share: Share = 0.05
    """The error budget: the share of this run's due rows that may fail; past it the run exits 4."""
    max_failed: Number | None = None
    """The most rows of this run that may fail; past it the run exits 4."""
    max_failed_by_code: Annotated[Mapping[str, Number], expected("a mapping of error codes to numbers of rows")] = {}
    """The most rows of this run that may fail with a code, such as `{timeout: 10}`; past one of them the run exits 4."""
    stop_after: Count = 1000
    """So many rows that fail, and none that does not, end the run with exit code 4, unless all rows may fail."""


class BatchingConfig(Section):
    """How rows are cut into windows and batches, where the defaults should not choose."""

    max_batch_rows: Count | None = None
    """The most rows in a batch."""
    max_batch_tokens: Count | None = None
    """The most tokens in a batch, padding included."""
    max_batch_seconds: Seconds | None = None
    """The most seconds of audio in a batch, padding included."""
    max_batch_pixels: Count | None = None
    """The most pixels in a batch, as the model takes them."""
    batch_timeout_seconds: Seconds = 600
    """How long the model may take for a batch, or for a step of one that is generated; a row that takes longer by itself is failed."""
    window_rows: Count | None = None
    """How many rows are sorted by length and cut into batches together."""
    chunk_seconds: Seconds = CHUNK_SECONDS
    """About how many seconds of scoring are published by one commit: what a killed run repeats at most."""
    chunk_rows: Count | None = None
    """How many rows are published by one commit, instead."""
    partitions: Count | None = None
    """How many Spark tasks a chunk is cut into."""


def _unless_exactly_one(data: Mapping[str, Any], names: tuple[str, ...]) -> Iterator[Problem]:
    given = [name for name in names if data.get(name) is not None]
    if len(given) != 1:
        yield Problem((), f"expected exactly one of {', '.join(names)}; found {' and '.join(given) or 'none'}")


def _column_conflicts(data: Mapping[str, Any], field: str) -> Iterator[Problem]:
    # Spark finds columns whatever their case, so names that differ in case alone are the same name.
    seen: set[str] = set()
    for index, name in names(data, field):
        if name.lower() in seen:
            yield Problem((field, index), "repeats an earlier column", quotes=True)
        if name.lower() in ledger.COLUMNS or name.startswith("__"):
            yield Problem((field, index), "is a column of the prediction table's own", quotes=True, hint="; rename it")
        seen.add(name.lower())


def names(section: Any, field: str) -> list[tuple[int, str]]:
    """Return the names that a section lists, each with its place in the list."""
    values = given(section, field)
    listed = values if isinstance(values, list | tuple) else ()
    return [(index, name) for index, name in enumerate(listed) if isinstance(name, str)]


def given(section: Any, name: str) -> Any:
    """Return what a section says of a key, before and after it is a value."""
    return section.get(name) if isinstance(section, Mapping) else getattr(section, name, None)
