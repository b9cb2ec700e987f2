"""A model that log_model has logged, as MLflow's own `pyfunc.load_model` and `pyfunc.spark_udf` run it, without a run file.

One row out for each row in: the prediction's fields as columns, then `status` and `error`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from sparkcoil import gate, ledger, options, tasks
from sparkcoil.artifact import LoggedModel
from sparkcoil.engines import Placement
from sparkcoil.errors import ModelError, did_you_mean
from sparkcoil.scorer import Scorer, Spec, empty_prediction
from sparkcoil.scoring import Record
from sparkcoil.tasks import Task
from sparkcoil.weights import Weights

# MLflow loses the nulls of top-level columns: a text becomes "None", and a whole number ends the job.
EMPTY = {"STRING": "", "INT": 0, "BIGINT": 0, "BOOLEAN": False}


class PlainModel:
    """What MLflow holds: the scorer of an artifact with the options that were logged with it."""

    def __init__(self, folder: Path, model_config: Mapping[str, Any]) -> None:
        """Judge the artifact; raises ModelError before anything of it has run."""
        gate.check(folder, str(folder))
        logged = LoggedModel(str(folder), None, folder)
        self.task = tasks.load(str(logged.task))
        effective = options.resolve(logged, self.task, model_config)
        weights = Weights(logged.digest, str(folder), None)
        self.scorer = Scorer(Spec(self.task.name, effective.options.model_dump(mode="json"), Placement("auto", "auto"), weights, {}))

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Return a row for each row of the data; a row that could not be scored says why in `error`."""
        frame = data if isinstance(data, pd.DataFrame) else pd.DataFrame(data)
        records, _ = self.scorer.score([as_row(cells, frame.columns, self.task) for cells in frame.itertuples(index=False, name=None)])
        return pd.DataFrame([as_columns(each, self.task) for each in records], index=frame.index)


def as_row(cells: tuple[Any, ...], columns: pd.Index, task: Task) -> dict[str, Any]:
    """Return one row's inputs as the scorer takes them; a single column without an input's name is the task's first input."""
    known = [each.name for each in task.inputs]
    names = known[:1] if len(columns) == 1 and columns[0] not in known else list(columns)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ModelError(f"{unknown[0]!r} is no input of {task.name}{did_you_mean(str(unknown[0]), known)}")
    return {name: cell.encode() if isinstance(cell, str) else cell for name, cell in zip(names, cells, strict=True)}


def as_columns(record: Record, task: Task) -> dict[str, Any]:
    """Return a record as top-level columns without nulls."""
    fields = ledger.split_fields(task.prediction)
    values = record.prediction or empty_prediction(task.prediction)
    filled = {name: EMPTY.get(kind.upper(), float("nan")) if values[name] is None else values[name] for name, kind in fields}
    error = record.error
    return {
        **filled,
        "status": "ok" if error is None else "failed",
        "error": "" if error is None else f"{error.stage}/{error.code}: {error.message}",
    }
