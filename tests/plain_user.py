"""What somebody does with a logged model who knows MLflow and Spark alone: a script of its own, for a process without sparkcoil.

python -S plain_user.py TRACKING_URI '{"models:/name/1": {"text": [...]}}' prints, by URI, the rows that both of MLflow's ways gave.
"""

import json
import sys
from typing import Any

import mlflow
import numpy as np
import pandas as pd


def plain(value: Any) -> Any:
    """Return a value that JSON can hold."""
    if isinstance(value, float | np.floating):
        return None if np.isnan(value) else float(value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    return list(map(plain, value)) if isinstance(value, list | tuple | np.ndarray) else value


def with_pyfunc(uri: str, inputs: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """Return what `predict` of the loaded model gives for a data frame, a dictionary for each row."""
    found = mlflow.pyfunc.load_model(uri).predict(pd.DataFrame(inputs))
    return [{name: plain(cell) for name, cell in row.items()} for row in found.to_dict("records")]


def with_spark(spark: Any, uri: str, inputs: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """Return what a UDF of the model gives, in the order of the rows."""
    rows = [(i, *cells) for i, cells in enumerate(zip(*inputs.values(), strict=True))]
    frame = spark.createDataFrame(rows, ", ".join(["id INT", *(f"{name} STRING" for name in inputs)]))
    scored = frame.withColumn("found", mlflow.pyfunc.spark_udf(spark, uri)(*inputs))
    return [plain(row["found"].asDict(recursive=True)) for row in scored.orderBy("id").collect()]


def main(tracking: str, asked: str) -> None:
    """Print what every model gives by both ways, and where the library came from."""
    mlflow.set_tracking_uri(tracking)
    try:
        import sparkcoil  # noqa: F401
    except ModuleNotFoundError:
        pass
    else:
        raise SystemExit("sparkcoil is there without the model")
    from pyspark.sql import SparkSession

    settings = {"spark.master": "local[1]", "spark.ui.enabled": "false", "spark.sql.execution.arrow.maxRecordsPerBatch": "3"}
    spark = SparkSession.builder.config(map=settings).getOrCreate()
    found = {uri: [with_pyfunc(uri, inputs), with_spark(spark, uri, inputs)] for uri, inputs in json.loads(asked).items()}
    print(json.dumps({"library": sys.modules["sparkcoil"].__file__, "found": found}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
