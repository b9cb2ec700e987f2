"""A run of sparkcoil as a run of MLflow: its parameters, its figures, the source it read and the model it used."""

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import mlflow
from mlflow.data.delta_dataset_source import DeltaDatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities import LoggedModelInput

from sparkcoil.artifact import LoggedModel
from sparkcoil.config import RunConfig
from sparkcoil.report import RunReport

log = logging.getLogger(__name__)


class Table(MetaDataset):
    """A Delta table by its name and version, without the scan that MLflow's own Spark dataset makes for a profile."""

    profile = None


def log_run(report: RunReport, config: RunConfig, model: LoggedModel) -> None:
    """Log a report as an MLflow run; what fails here is a warning, since the predictions are committed already."""
    try:
        with mlflow.start_run(run_name=report.name, tags={"sparkcoil.run_id": report.run_id, "sparkcoil.status": report.status}):
            mlflow.log_params(dict(params(report)))
            mlflow.log_metrics(dict(metrics(report)))
            mlflow.log_dict(vars(report), "report.json")
            log_inputs(report, config, model)
    except Exception as error:
        log.warning("the run was not logged to MLflow: %s", error)


def params(report: RunReport) -> Mapping[str, Any]:
    """Return what the run was asked to do."""
    named = {"source": report.source, "target": report.target, "model": report.model, "option": report.options}
    return {"task": report.task, **{f"{group}.{name}": value for group, values in named.items() for name, value in values.items()}}


def metrics(report: RunReport) -> Iterator[tuple[str, float]]:
    """Yield the run's figures by name, such as `rows.ok` and `throughput.rows_per_second`."""
    for group, values in {"rows": report.rows, "seconds": report.seconds, "throughput": report.throughput}.items():
        for name, value in values.items():
            if isinstance(value, (int, float)):
                yield f"{group}.{name}", float(value)


def log_inputs(report: RunReport, config: RunConfig, model: LoggedModel) -> None:
    """Log the source table at its version as a dataset, and the logged model, as inputs of the active run."""
    used = LoggedModelInput(model_id=model.model_id) if model.model_id else None
    dataset = None
    if report.source["version"] is not None:
        source = DeltaDatasetSource(
            path=config.source.path, delta_table_name=config.source.table, delta_table_version=report.source["version"]
        )
        dataset = Table(source, name=report.source["name"])
    if used or dataset:
        mlflow.log_input(dataset=dataset, context="scoring" if dataset else None, model=used)
