"""Who scores a Delta table on Spark: sparkcoil's run, and what users write by hand; in one warm session, each into its own table."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import transformers
from pyspark.ml.functions import predict_batch_udf
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType

import sparkcoil
from benchmarks.contest import Contestant
from benchmarks.workloads import Workload
from sparkcoil import RunConfig

Score = Callable[[DataFrame], DataFrame]
PLAIN = "plain spark_udf"
# Partitions of those that are told to balance the table.
PARTITIONS = 6


def table(spark: SparkSession, rows: Sequence[str], folder: Path, files: int) -> Path:
    """Write rows as a Delta table of so many files, and return its folder."""
    frame = spark.createDataFrame(pd.DataFrame({"id": range(len(rows)), "text": list(rows)}))
    place = folder / f"source-{files}"
    (frame.coalesce(1) if files == 1 else frame.repartition(files)).write.format("delta").mode("overwrite").save(str(place))
    return place


def contestants(spark: SparkSession, workload: Workload, artifact: Path, source: Path, scratch: Path) -> list[Contestant]:
    """Return everyone who scores the table, ready to be timed."""
    checkpoint = str(artifact / "model")
    plain, tuned = mlflow_model(checkpoint, scratch / "plain"), mlflow_model(checkpoint, scratch / "tuned", batch_size=32)
    by_hand: Mapping[str, tuple[Callable[[], Score], bool]] = {
        PLAIN: (partial(by_spark_udf, spark, plain), False),
        "spark_udf, batch 32, repartitioned": (partial(by_spark_udf, spark, tuned), True),
        "predict_batch_udf, batch 32": (partial(by_predict_batch, checkpoint), True),
        **{f"pandas UDF, batch {batch}": (partial(by_pandas, checkpoint, batch), True) for batch in (1, 8, 32)},
    }
    ours = [sparkcoil_run(spark, workload, artifact, source, scratch, dtype) for dtype in ("float32", "fastest")]
    return [*ours, *(written(spark, name, make, source, scratch, balanced) for name, (make, balanced) in by_hand.items())]


def sparkcoil_run(
    spark: SparkSession, workload: Workload, artifact: Path, source: Path, scratch: Path, dtype: str, partitions: int | None = None
) -> Contestant:
    """Return our run, each time into a new table; its outputs are scores by label, `noted` holds what its report counts."""
    found = Contestant(f"sparkcoil, {dtype}", lambda rows: [])
    turns = itertools.count()
    scoring: list[float] = []

    def run(rows: Sequence[Any]) -> list[Any]:
        target = scratch / f"ours-{dtype}-{partitions}-{next(turns)}"
        report = sparkcoil.run(spark, run_config(artifact, source, target, dtype, partitions))
        scoring.append(report.seconds["score"])
        found.noted = {"seconds": dict(report.seconds), "score_seconds": [*scoring], **report.throughput}
        scored = spark.read.format("delta").load(str(target)).select("id", "prediction.scores").orderBy("id").collect()
        return [{each["label"]: each["score"] for each in row[1] or ()} for row in scored]

    found.run = run
    return found


def run_config(artifact: Path, source: Path, target: Path, dtype: str, partitions: int | None = None) -> RunConfig:
    """Return a run over the table."""
    sections = {
        "name": "benchmark",
        "model": {"uri": str(artifact), "dtype": dtype},
        "source": {"path": str(source), "keys": ["id"], "columns": {"text": "text"}},
        "target": {"path": str(target)},
        "batching": {"partitions": partitions},
    }
    return RunConfig.model_validate(sections)


def written(spark: SparkSession, name: str, make: Callable[[], Score], source: Path, scratch: Path, balanced: bool) -> Contestant:
    """Return a job that adds a prediction to the table and writes it; `balanced` first spreads the rows over the slots."""
    turns, made = itertools.count(), cache(make)

    def run(rows: Sequence[Any]) -> list[Any]:
        target = str(scratch / f"{abs(hash(name))}-{next(turns)}")
        frame = spark.read.format("delta").load(str(source))
        made()(frame.repartition(PARTITIONS) if balanced else frame).write.format("delta").save(target)
        return [row[1] for row in spark.read.format("delta").load(target).select("id", "label").orderBy("id").collect()]

    return Contestant(name, run)


def mlflow_model(checkpoint: str, folder: Path, **config: Any) -> str:
    """Return the native pipeline as MLflow's transformers flavor saves it; untold to truncate, it would die of the first long text."""
    pipe: Any = transformers.pipeline("text-classification", model=checkpoint, truncation=True)
    signature = mlflow.models.infer_signature(["a text"], pd.DataFrame({"label": ["good"], "score": [0.5]}))
    mlflow.transformers.save_model(
        pipe, path=str(folder), signature=signature, pip_requirements=["mlflow"], model_config={"truncation": True, **config}
    )
    return str(folder)


def by_spark_udf(spark: SparkSession, uri: str) -> Score:
    """Return what MLflow documents."""
    udf = mlflow.pyfunc.spark_udf(spark, uri, result_type="string", env_manager="local")
    return labelling(udf)


def by_predict_batch(checkpoint: str) -> Score:
    """Return Spark's own function for models, around the pipeline."""

    def make() -> Callable[[Any], Any]:
        pipe: Any = transformers.pipeline("text-classification", model=checkpoint, truncation=True)
        return lambda texts: pd.DataFrame(pipe(list(texts), batch_size=32))["label"].to_numpy()

    udf = predict_batch_udf(make, return_type=StringType(), batch_size=32)
    return labelling(udf)


def by_pandas(checkpoint: str, batch: int) -> Score:
    """Return a pandas UDF that loads the pipeline once for each task."""

    @F.pandas_udf("string")
    def label(texts: Iterator[pd.Series]) -> Iterator[pd.Series]:
        pipe: Any = transformers.pipeline("text-classification", model=checkpoint, truncation=True)
        for each in texts:
            yield pd.DataFrame(pipe(each.tolist(), batch_size=batch))["label"]

    return labelling(label)


def labelling(udf: Callable[..., Column]) -> Score:
    """Return what adds a function's label to the rows."""
    return lambda frame: frame.select("id", "text", udf("text").alias("label"))


def reruns(spark: SparkSession, artifact: Path, place: Path) -> dict[str, Mapping[str, float]]:
    """Return the seconds of our runs over a table that is scored: three with nothing due, and three with ten rows changed."""
    source, target = place / "source-1", next(place.glob("ours-float32-None-*"))
    config, found = run_config(artifact, source, target, "float32"), {}
    for number in range(3):
        found[f"nothing due, {number}"] = dict(sparkcoil.run(spark, config).seconds)
    for number in range(3):
        spark.sql(f"UPDATE delta.`{source}` SET text = concat(text, ' {number}') WHERE id < 10")
        found[f"ten due, {number}"] = dict(sparkcoil.run(spark, config).seconds)
    return found
