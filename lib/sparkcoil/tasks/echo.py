"""echo: the sha256 of each text from a model without weights, which misbehaves where a text tells it to; for tests."""

import os
from collections.abc import Sequence

from pydantic import Field

from sparkcoil.errors import RowError
from sparkcoil.prompts import blank
from sparkcoil.tasks import Facts, Input, Options, Prediction, Row, Task, decode_text


class EchoOptions(Options):
    """How long the model takes, and where it notes what it was called with."""

    row_seconds: float = Field(default=0.0, ge=0, allow_inf_nan=False, description="how long each row of a batch takes")
    batch_seconds: float = Field(default=0.0, ge=0, allow_inf_nan=False, description="how long each batch takes beside its rows")
    log: str | None = Field(default=None, description="a folder in which every row of every call is noted; by default none is")


def read(row: Row, options: EchoOptions) -> tuple[str, tuple[str, ...]]:
    """Return the row's text, and a warning for a blank one."""
    text = decode_text(row["text"], "text")
    return text, blank(text)


def write(results: Sequence[str | None], facts: Facts, options: EchoOptions) -> list[Prediction | RowError]:
    """Return each text's hash with the process that made it; a row without one had a result that is not finite."""
    return [
        RowError("output", "non_finite", "the model gave NaN") if each is None else {"echo": each, "worker": os.getpid()}
        for each in results
    ]


TASK = Task(
    name="echo",
    inputs=(Input("text", ("string",)),),
    prediction="echo STRING, worker BIGINT",
    options=EchoOptions,
    engine="echo",
    heads=("SparkcoilEcho",),
    read=read,
    write=write,
    parts=(),
)
