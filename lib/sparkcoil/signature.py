"""The MLflow signature of a task: its inputs as columns, and its prediction's fields as columns with `status` and `error`."""

import re
from typing import Any

from mlflow.models.signature import ModelSignature
from mlflow.types import ColSpec, Schema
from mlflow.types.schema import AnyType, Array, DataType, Object, Property

from sparkcoil import ledger
from sparkcoil.tasks import Task

SCALARS = {
    "STRING": DataType.string,
    "INT": DataType.integer,
    "BIGINT": DataType.long,
    "FLOAT": DataType.float,
    "DOUBLE": DataType.double,
    "BOOLEAN": DataType.boolean,
    "BINARY": DataType.binary,
}
INPUTS = {
    "string": DataType.string,
    "binary": DataType.binary,
    "integer": DataType.integer,
    "long": DataType.long,
    "double": DataType.double,
}
ANY: Any = AnyType()  # type: ignore[no-untyped-call]
STATUS = "status STRING, error STRING"


def of_task(task: Task) -> ModelSignature:
    """Return the signature of a task; an input that may arrive as more than text or bytes is of any type."""
    inputs = [ColSpec(INPUTS.get(each.types[0], ANY), each.name, required=each.required) for each in task.inputs]
    fields = ledger.split_fields(f"{task.prediction}, {STATUS}")
    return ModelSignature(Schema([*inputs]), Schema([*(ColSpec(of_type(kind), name) for name, kind in fields)]))


def of_type(kind: str) -> DataType | Array | Object:
    """Return MLflow's type for one of Spark's, as DDL has it."""
    nested = re.fullmatch(r"(?i)(ARRAY|STRUCT)<(.*)>", kind.strip())
    if nested is None:
        return SCALARS[kind.strip().upper()]
    if nested[1].upper() == "ARRAY":
        return Array(of_type(nested[2]))
    fields = [(name.rstrip(":"), inner) for name, inner in ledger.split_fields(nested[2])]
    return Object([Property(name, of_type(inner)) for name, inner in fields])
