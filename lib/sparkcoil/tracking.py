"""A run of sparkcoil as a run of MLflow: its parameters, its figures, the source it read and the model it used."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.data.delta_dataset_source import DeltaDatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities import LoggedModelInput, Metric
from pyspark.sql import SparkSession

from sparkcoil.artifact import LoggedModel
from sparkcoil.config import RunConfig
from sparkcoil.figures import Part
from sparkcoil.pinned import Run
from sparkcoil.report import Clock, Progress, RunReport

log = logging.getLogger(__name__)


class Table(MetaDataset):
    """A Delta table by its name and version, without the scan that MLflow's own Spark dataset makes for a profile."""

    profile = None


def log_run(spark: SparkSession, report: RunReport, this: Run, progress: Progress, clock: Clock) -> None:
    """Log a report as an MLflow run; what fails here is a warning, since the predictions are committed already."""
    config, model = this.config, this.selection.logged
    try:
        with mlflow.start_run(run_name=report.name, tags={"sparkcoil.run_id": report.run_id, "sparkcoil.status": report.status}):
            mlflow.log_params(dict(params(report)))
            mlflow.log_metrics(dict(metrics(report)))
            mlflow.log_dict(vars(report), "report.json")
            log_inputs(report, config, model)
            if config.mode == "batch":  # a stream's batches are small and many; jobs/report.py makes the page of any of them
                log_page(spark, this, progress, clock)
    except Exception as error:
        log.warning("the run was not logged to MLflow: %s", error)


def log_page(spark: SparkSession, this: Run, progress: Progress, clock: Clock) -> None:
    """Log the run's report as a page, and its figures over time, chunk by chunk, with the active run; what fails is a warning."""
    try:
        from sparkcoil import page  # what draws takes a second to import, and a run with nothing due has nothing to draw

        material = page.of_ended(spark, this, progress, clock)
        active = mlflow.active_run()
        if active is not None:
            over_time = [Metric(name, value, int(part.at * 1_000), step) for step, part, name, value in steps(material.parts)]
            MlflowClient().log_batch(active.info.run_id, metrics=over_time)
        mlflow.log_text(page.rendered(material).html, "report.html")
    except Exception as error:
        log.warning("the page of the run was not made: %s", type(error).__name__)


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


def steps(parts: Sequence[Part]) -> Iterator[tuple[int, Part, str, float]]:
    """Yield, for each commit of a run, its rows and units per second and the share of them that failed."""
    scored = 0.0
    for step, part in enumerate(parts):
        if part.figures is None or part.figures["rows"]["gone"]:
            continue
        rows, windows, score = part.figures["rows"], part.figures["windows"], part.figures["seconds"].get("score", 0.0)
        seconds, scored = max(score - scored, 1e-3), score
        count = rows["ok"] + rows["failed"]
        yield step, part, "chunk.rows_per_second", count / seconds
        yield step, part, "chunk.failed_share", rows["failed"] / max(1, count)
        yield step, part, "chunk.units_per_second", windows.get("units", 0) / seconds


def log_inputs(report: RunReport, config: RunConfig, model: LoggedModel) -> None:
    """Log the source and the predictions at their versions as datasets, and the logged model, as inputs of the active run."""
    used = LoggedModelInput(model_id=model.model_id) if model.model_id else None
    dataset = None
    if report.source["version"] is not None:
        source = DeltaDatasetSource(
            path=config.source.path, delta_table_name=config.source.table, delta_table_version=report.source["version"]
        )
        dataset = Table(source, name=report.source["name"])
    if used or dataset:
        mlflow.log_input(dataset=dataset, context="scoring" if dataset else None, model=used)
    target = config.target
    made = DeltaDatasetSource(path=target.path, delta_table_name=target.table, delta_table_version=report.target["version"])
    mlflow.log_input(dataset=Table(made, name=report.target["name"]), context="predictions")
