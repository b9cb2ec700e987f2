"""Jobs as users write them by hand, each with a fault that is easily made: `naive.py SOURCE FOLDER` writes a target of each.

What they write has the columns that the oracle looks at, so that it is asked of them what it is asked of sparkcoil's targets.
"""

import hashlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow import MlflowClient
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType

import sparkcoil

Naive = Callable[[SparkSession, DataFrame, Path], None]
Frames = Iterator[pd.DataFrame]
MODEL, ALIAS = "naive", "champion"
SETTINGS = {
    "spark.master": "local[1]",
    "spark.driver.memory": "1g",
    "spark.sql.shuffle.partitions": "2",
    "spark.ui.enabled": "false",
    # Spark 4.1 and later see that a stage computed anew gives other rows, and end the job; those before went on.
    "spark.sql.shuffle.orderIndependentChecksum.enabled": "false",
    "spark.sql.shuffle.orderIndependentChecksum.enableFullRetryOnMismatch": "false",
    "spark.sql.shuffle.orderIndependentChecksum.enableQueryLevelRollbackOnMismatch": "false",
}
PATIENCE_SECONDS = 60.0


@F.pandas_udf(StringType())
def echoed(texts: pd.Series) -> pd.Series:
    """Return the hash of each text."""
    return texts.map(lambda text: hashlib.sha256(text.encode()).hexdigest())


@F.pandas_udf(StringType())
def echoed_or_raised(texts: pd.Series) -> pd.Series:
    """Return the hash of each text, and raise at a bad row."""
    if texts.str.startswith("Row 7 ").any():
        raise ValueError("a bad row")
    return texts.map(lambda text: hashlib.sha256(text.encode()).hexdigest())


def write(rows: DataFrame, echo: Column, target: Path, **options: Any) -> None:
    """Append rows with their hashes."""
    scored = rows.select("id", F.struct(echo.alias("echo")).alias("prediction"), F.lit("ok").alias("status"))
    scored.write.format("delta").mode("append").options(**options).save(str(target))


def append_twice(spark: SparkSession, source: DataFrame, target: Path) -> None:
    """Score everything, and again on a rerun."""
    for _ in range(2):
        write(source, echoed("body"), target)


def raise_at_a_row(spark: SparkSession, source: DataFrame, target: Path) -> None:
    """Let one bad row end the job."""
    with suppress(PySparkException, Py4JError):
        write(source, echoed_or_raised("body"), target)


def reverse_versions(spark: SparkSession, source: DataFrame, target: Path) -> None:
    """Number two chunks of one transaction id downwards: Delta takes the second for a repetition, and skips it without a word."""
    for version in (2, 1):
        write(source.where(F.col("id") % 2 == version - 1), echoed("body"), target, txnAppId="naive", txnVersion=version)


def resolve_in_tasks(spark: SparkSession, source: DataFrame, target: Path) -> None:
    """Let each task ask the registry which model the alias means, while the alias moves."""
    client, tracking = MlflowClient(), mlflow.get_tracking_uri()
    client.create_registered_model(MODEL)
    for version in ("1", "2"):
        client.create_model_version(MODEL, source=f"runs:/{'0' * 32}/{version}")
    client.set_registered_model_alias(MODEL, ALIAS, "1")
    first, moved = target.parent / "first-task-is-done", target.parent / "alias-has-moved"

    def move() -> None:
        waited_for(first)
        client.set_registered_model_alias(MODEL, ALIAS, "2")
        moved.touch()

    def score(frames: Frames) -> Frames:
        if first.exists():
            waited_for(moved)
        version = MlflowClient(tracking).get_model_version_by_alias(MODEL, ALIAS).version
        salt = "" if str(version) == "1" else "the newer model says otherwise"
        for frame in frames:
            yield frame.assign(echo=frame["body"].map(lambda text: hashlib.sha256((text + salt).encode()).hexdigest()))
        first.touch()

    mover = threading.Thread(target=move)
    mover.start()
    scored = source.repartition(2, "id").mapInPandas(score, "id BIGINT, body STRING, echo STRING")
    write(scored, F.col("echo"), target)
    mover.join()


def shuffle_noise(spark: SparkSession, source: DataFrame, target: Path) -> None:
    """Shuffle by what a model says that says something else when it is asked again, and lose the shuffle's files half-way."""
    local = Path(os.environ["SPARK_LOCAL_DIRS"])

    @F.pandas_udf("double")
    def noisy(texts: pd.Series) -> pd.Series:
        return pd.Series([time.perf_counter_ns() * 0.61 % 1 for _ in texts])

    def lose(frames: Frames) -> Frames:
        yield from frames
        for each in local.glob("**/shuffle_*"):
            each.unlink(missing_ok=True)

    spread = source.withColumn("noise", noisy("body")).repartition(2, "noise").drop("noise")
    write(spread.mapInPandas(lose, "id BIGINT, body STRING"), echoed("body"), target)


def waited_for(file: Path) -> None:
    """Wait until a file is there."""
    until = time.monotonic() + PATIENCE_SECONDS
    while not file.exists() and time.monotonic() < until:
        time.sleep(0.01)


JOBS: Mapping[str, Naive] = {
    "append_twice": append_twice,
    "raise_at_a_row": raise_at_a_row,
    "reverse_versions": reverse_versions,
    "resolve_in_tasks": resolve_in_tasks,
    "shuffle_noise": shuffle_noise,
}


def main() -> None:
    """Run every job, each into a target of its own."""
    source, folder = sys.argv[1], Path(sys.argv[2])
    spark = sparkcoil.start_session(SETTINGS, name="naive")
    for name, job in JOBS.items():
        (place := folder / name).mkdir(parents=True)
        job(spark, spark.read.format("delta").load(source), place / "out")
    spark.stop()


if __name__ == "__main__":
    main()
