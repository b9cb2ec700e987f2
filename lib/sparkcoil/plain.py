"""A model that log_model has logged, as MLflow's own `pyfunc.load_model` and `pyfunc.spark_udf` run it, without a run file.

One row out for each row in: the prediction's fields as columns, then `status` and `error`.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sparkcoil import gate, ledger, options, tasks, wire
from sparkcoil.artifact import LoggedModel
from sparkcoil.engines import Placement
from sparkcoil.errors import ModelError, did_you_mean
from sparkcoil.scorer import Scorer
from sparkcoil.scoring import Record
from sparkcoil.spec import Spec
from sparkcoil.tasks import Task, wired
from sparkcoil.weights import Weights

# MLflow loses the nulls of top-level columns: a text becomes "None", and a whole number ends the job.
EMPTY = {"STRING": "", "INT": 0, "BIGINT": 0, "BOOLEAN": False}


class PlainModel:
    """What MLflow holds: the scorer of an artifact with the options that were logged with it."""

    def __init__(self, folder: Path, model_config: Mapping[str, Any]) -> None:
        """Judge the artifact; raises ModelError before anything of it has run."""
        gate.check(folder, str(folder))
        logged = LoggedModel(str(folder), None, folder)
        task = tasks.load(str(logged.task))
        effective = options.resolve(logged, task, model_config)
        self.task = effective.options.fit(task)
        weights = Weights(logged.digest, str(folder), None)
        self.scorer = Scorer(Spec(self.task.name, effective.plain, Placement("auto", "auto"), weights, {}))

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Return a row for each row of the data; a row that could not be scored says why in `error`."""
        frame = data if isinstance(data, pd.DataFrame) else pd.DataFrame(data)
        names = input_names(frame.columns, self.task)
        rows = [as_row(cells, names, self.task) for cells in frame.itertuples(index=False, name=None)]
        records = self.scorer.score(rows)[0] if rows else []
        found = [as_columns(each, self.task) for each in records]
        columns = [*(name for name, _ in ledger.split_fields(self.task.prediction)), "status", "error"]
        return pd.DataFrame(found, index=frame.index, columns=columns)


def input_names(columns: pd.Index, task: Task) -> list[str]:
    """Return the input that each column holds; a single column without an input's name is the task's first input."""
    known = [each.label for each in task.inputs]
    names = known[:1] if len(columns) == 1 and columns[0] not in known else [str(each) for each in columns]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ModelError(f"{unknown[0]!r} is no input of {task.name}{did_you_mean(unknown[0], known)}")
    return names


def as_row(cells: tuple[Any, ...], names: Sequence[str], task: Task) -> dict[str, Any]:
    """Return one row's inputs as the scorer takes them: an optional input that is null counts as not given."""
    required = {each.name for each in task.inputs if each.required}
    given = wired(task, {name: as_cell(cell) for name, cell in zip(names, cells, strict=True)})
    return {name: cell for name, cell in given.items() if cell is not None or name in required}


def as_cell(cell: Any) -> Any:
    """Return a cell as it comes from Spark in a run: text as bytes, and pandas' missing values and numpy's arrays as Python's own."""
    if isinstance(cell, str):
        return cell.encode(errors="surrogatepass")
    if isinstance(cell, np.ndarray | list | tuple):
        return [as_item(each) for each in cell]
    if isinstance(cell, np.generic):
        cell = cell.item()
    return None if cell is pd.NA or cell is pd.NaT or (isinstance(cell, float) and math.isnan(cell)) else cell


def as_item(item: Any) -> Any:
    """Return an element of an array cell with Python's own lists and numbers, texts as they are."""
    if isinstance(item, Mapping):
        return {name: as_item(each) for name, each in item.items()}
    return item if isinstance(item, str) else as_cell(item)


def as_columns(record: Record, task: Task) -> dict[str, Any]:
    """Return a record as top-level columns without nulls."""
    fields = ledger.split_fields(task.wire)
    values = task.sent(record.prediction) if record.prediction else wire.empty_prediction(task.wire)
    error = record.error
    return {
        **{name: nothing(kind) if values[name] is None else values[name] for name, kind in fields},
        "status": "ok" if error is None else "failed",
        "error": "" if error is None else f"{error.stage}/{error.code}: {error.message}",
    }


def nothing(kind: str) -> Any:
    """Return what stands for null in a column of a type."""
    if kind.upper() in EMPTY:
        return EMPTY[kind.upper()]
    filling = wire.empty(kind)
    return float("nan") if filling is None else filling
