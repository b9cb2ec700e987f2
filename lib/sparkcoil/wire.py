"""A record as MLflow can convert it on its way out of the worker. Knows nothing of Spark or MLflow.

MLflow's conversion loses nulls or raises where a struct, a map or an array is null: only scalars may be, so what has none is empty.
"""

from collections.abc import Mapping
from typing import Any

from sparkcoil import ledger
from sparkcoil.scoring import Record
from sparkcoil.tasks import Task


def said(record: Record, task: Task, empty: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a model said of a row, or why it said nothing."""
    error = record.error
    return {
        "prediction": task.sent(record.prediction) if record.prediction is not None else empty,
        "status": "ok" if error is None else "failed",
        "error": {
            "stage": error.stage if error else None,
            "code": error.code if error else None,
            "message": error.message if error else None,
            "retryable": error.retryable if error else None,
        },
        "warnings": list(record.warnings),
    }


def unsaid(empty: Mapping[str, Any]) -> dict[str, Any]:
    """Return what stands for a model that was not asked: all of it empty."""
    return {"prediction": empty, "status": None, "error": dict.fromkeys(("stage", "code", "message", "retryable")), "warnings": []}


def empty_prediction(ddl: str) -> dict[str, Any]:
    """Return a prediction with nothing in it: arrays empty, structs filled with the same, scalars null."""
    return {name.rstrip(":"): empty(kind) for name, kind in ledger.split_fields(ddl)}


def empty(kind: str) -> Any:
    """Return the emptiest value of a type that MLflow can convert."""
    outer, _, inner = kind.partition("<")
    if outer.upper() == "STRUCT":
        return empty_prediction(inner.removesuffix(">"))
    return [] if outer.upper() == "ARRAY" else None
