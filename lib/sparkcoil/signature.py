"""The MLflow signature of a task: its inputs as columns, and its prediction's fields as columns with `status` and `error`."""

import base64
import re
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models.signature import ModelSignature
from mlflow.types import ColSpec, Schema
from mlflow.types.schema import AnyType, Array, DataType, Object, Property

from sparkcoil import ledger
from sparkcoil.tasks import Input, Task

SCALARS = {
    "STRING": DataType.string,
    "INT": DataType.integer,
    "BIGINT": DataType.long,
    "FLOAT": DataType.float,
    "DOUBLE": DataType.double,
    "BOOLEAN": DataType.boolean,
    "BINARY": DataType.binary,
}
INPUTS = {"string": DataType.string, "binary": DataType.binary}
ANY: Any = AnyType()  # type: ignore[no-untyped-call]
STATUS = "status STRING, error STRING"


def of_task(task: Task) -> ModelSignature:
    """Return the signature of a task; an input that may arrive as more than text or bytes is of any type."""
    inputs = [ColSpec(input_type(each), name, required=each.required) for name, each in {each.label: each for each in task.inputs}.items()]
    fields = ledger.split_fields(f"{task.wire}, {STATUS}")
    return ModelSignature(Schema([*inputs]), Schema([*(ColSpec(of_type(kind), name) for name, kind in fields)]))


def input_type(given: Input) -> Any:
    """Return MLflow's type for an input; a number is of any, since a column with a null in it arrives as floats, which MLflow refuses."""
    return INPUTS.get(given.types[0], ANY) if len(given.types) == 1 else ANY


def of_type(kind: str) -> DataType | Array | Object:
    """Return MLflow's type for one of Spark's, as DDL has it."""
    nested = re.fullmatch(r"(?i)(ARRAY|STRUCT)<(.*)>", kind.strip())
    if nested is None:
        return SCALARS[kind.strip().upper()]
    if nested[1].upper() == "ARRAY":
        return Array(of_type(nested[2]))
    fields = [(name.rstrip(":"), inner) for name, inner in ledger.split_fields(nested[2])]
    return Object([Property(name, of_type(inner)) for name, inner in fields])


def write_example(example: pd.DataFrame, file: Path) -> None:
    """Write an input example as MLflow reads it: JSON, in which bytes are base64."""
    plain = example.astype(object).map(lambda cell: base64.b64encode(cell).decode() if isinstance(cell, bytes | bytearray) else cell)
    file.unlink(missing_ok=True)
    file.write_text(plain.to_json(orient="split", index=False))
