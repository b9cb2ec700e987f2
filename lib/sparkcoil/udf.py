"""The staged scorer as a Spark function, through `mlflow.pyfunc.spark_udf`, and its result as columns with real NULLs."""

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import reduce, wraps
from typing import Any

import mlflow
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import pandas_udf
from pyspark.sql.types import ArrayType, DataType, StringType, StructType

from sparkcoil import files, ledger, models, preflight, weights
from sparkcoil.rates import Cleared
from sparkcoil.sections import BatchingConfig
from sparkcoil.selection import Selection
from sparkcoil.spec import Spec
from sparkcoil.tasks import Task, wired

ScoringFunction = Callable[..., Column]

# Rows whose recordings leave a worker together: an Arrow batch holds no more than 2 GiB of text, and a minute takes about 3 MB of it.
RECORDINGS_AT_ONCE = 64
# And rows whose pictures do: the depths of 12 megapixels take about 30 MB of it.
PICTURES_AT_ONCE = 16

# What of the run file's batching is for executors to know.
BUDGET = {"max_batch_rows", "max_batch_tokens", "max_batch_seconds", "max_batch_pixels"}

# What this process has cleared before: a scheduled run of ten rows would spend more on trying the model again than on scoring.
_ready: dict[tuple[str, int, str], tuple[Any, Cleared]] = {}

ERROR = "STRUCT<stage: STRING, code: STRING, message: STRING, retryable: BOOLEAN>"


def result_type(task: Task, *, challenged: bool = False) -> str:
    """Return the type that leaves the UDF: one field, since MLflow loses the nulls of a top-level struct."""
    prediction = ", ".join(ledger.colon_separated(task.wire))
    said = f"prediction: STRUCT<{prediction}>, status: STRING, error: {ERROR}, warnings: ARRAY<STRING>"
    beside = f", {ledger.CHALLENGER}: STRUCT<{said}>" if challenged else ""
    return f"STRUCT<r: STRUCT<{said}, stats: STRING{beside}>>"


def arrived(prediction: Column, task: Task) -> Column:
    """Return a prediction that has left the UDF with every field of its own type."""
    for name, kind in ledger.split_fields(task.prediction):
        if name in task.json_fields:
            prediction = prediction.withField(name, F.from_json(prediction[name], kind))
        if name in task.binary_fields:
            prediction = prediction.withField(name, decoded(prediction[name], kind))
    return prediction


def decoded(value: Column, kind: str) -> Column:
    """Return what is of a type but for its bytes, which are base64, with the bytes in their place."""
    outer, inner = ledger.opened(kind)
    if outer == "ARRAY":
        return F.transform(value, lambda each: decoded(each, inner))
    if outer != "STRUCT":
        return F.unbase64(value)
    for name, each in ledger.fields_of(inner):
        value = value.withField(name, decoded(value[name], each)) if ledger.BYTES.search(each) else value
    return value


def scoring_function(
    spark: SparkSession,
    selection: Selection,
    batching: BatchingConfig,
    *,
    sample: DataFrame | None = None,
    roots: Sequence[str] = (),
    challenger: Selection | None = None,
    known_answers: bool = False,
) -> tuple[Any, Cleared]:
    """Return MLflow's UDF over a staged scorer, which takes one struct of the task's inputs, and what the executors cleared.

    The model's files are on their way to the executors, and each has tried it; within one Spark application once for each way
    of scoring. The UDF is marked nondeterministic: with MLflow's default a filter above it ran the model twice.
    A challenger is tried by itself, and scores beside the other the rows that it is asked for.
    Raises ModelError or EnvironmentError_ where an executor refuses, as with `known_answers` one does that answers otherwise.
    """
    beside = None
    if challenger is not None:
        beside = spec_of(spark, challenger, batching, roots)
        _, found = tried(spark, challenger, beside, batching, sample)
        beside = in_format(beside, found.dtype)
    spec = spec_of(spark, selection, batching, roots, challenger=beside, known_answers=known_answers)
    return tried(spark, selection, spec, batching, sample)


def tried(spark: SparkSession, selection: Selection, spec: Spec, batching: BatchingConfig, sample: DataFrame | None) -> tuple[Any, Cleared]:
    """Return the UDF over the scorer of a spec, once the executors have tried it, and what they cleared."""
    # What MLflow says of rebuilding the model's environment, and its progress bar for forty small files, help nobody here.
    logging.getLogger("mlflow.pyfunc").setLevel(logging.ERROR)
    logging.getLogger("mlflow.models.flavor_backend_registry").setLevel(logging.WARNING)
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

    def staged(spec: Spec) -> Any:
        folder, kind = str(models.stage(spec)), result_type(selection.task, challenged=spec.challenger is not None)
        function = mlflow.pyfunc.spark_udf(spark, folder, result_type=kind, env_manager="local").__wrapped__
        large = selection.task.binary_fields and batching.window_rows is None
        rows = PICTURES_AT_ONCE if any(each.name == "image" for each in selection.task.inputs) else RECORDINGS_AT_ONCE
        return (in_windows(function, rows) if large else function).asNondeterministic()

    way = (spark.sparkContext.applicationId, spark.sparkContext.defaultParallelism, spec.to_json())
    if way in _ready:
        function, cleared = _ready[way]
        return function, replace(cleared, loads=0, load_seconds=0.0)
    cleared = preflight.check(spark, selection, spec, staged, sample)
    _ready[way] = staged(in_format(spec, cleared.dtype)), cleared
    return _ready[way]


def in_format(spec: Spec, dtype: str) -> Spec:
    """Return a spec whose model runs in a number format."""
    return replace(spec, placement=replace(spec.placement, dtype=dtype))


def spec_of(
    spark: SparkSession,
    selection: Selection,
    batching: BatchingConfig,
    roots: Sequence[str],
    *,
    challenger: Spec | None = None,
    known_answers: bool = False,
) -> Spec:
    """Return everything that scores; the model's files are on their way to the executors."""
    context = spark.sparkContext
    is_tried_again = tries(str(context.master), context.getConf().get("spark.task.maxFailures")) > 1
    return Spec(
        task=selection.task.name,
        options=selection.plain_options,
        placement=selection.placement,
        weights=weights.offer(spark, selection.logged.path, selection.logged.digest, shared=selection.shared),
        batching=batching.model_dump(include=BUDGET, exclude_none=True),
        model=selection.logged.name,
        roots=roots,
        timeout=batching.batch_timeout_seconds if is_tried_again else None,
        challenger=challenger,
        known_answers=known_answers,
    )


def tries(master: str, configured: str | None) -> int:
    """Return how often Spark tries a task: in local mode once, unless the master's second number says otherwise."""
    if master == "local" or master.startswith("local["):
        return int(master.rstrip("]").split(",")[1]) if "," in master else 1
    return int(configured or 4)


def struct_of_inputs(inputs: Mapping[str, Column], types: Mapping[str, DataType], sent: Mapping[str, Column] | None = None) -> Column:
    """Return the inputs as the scorer takes them: text as bytes, since an invalid string would end the worker; some are given as `sent`."""
    kept = {name: column for name, column in inputs.items() if name not in (sent or {})}
    columns = {name: (files.as_sent if name in files.MEDIA else as_sent)(column, types[name]) for name, column in kept.items()}
    columns = {**columns, **(sent or {})}
    return F.struct(*(columns[name].alias(name) for name in inputs))


def struct_as_sent(task: Task, given: Mapping[str, Column | str]) -> Column:
    """Return columns as the scorer takes them, by what the task accepts, where there is no DataFrame to ask for types."""
    columns = {name: F.col(each) if isinstance(each, str) else each for name, each in wired(task, given).items()}
    text = {each.name for each in task.inputs if each.types == ("string",) or each.as_text}
    return F.struct(*((column.cast("string").cast("binary") if name in text else column).alias(name) for name, column in columns.items()))


def as_sent(column: Column, kind: DataType) -> Column:
    """Return a column as it crosses to the worker: an invalid string inside an array or a struct, which would end it, as NULL."""
    if isinstance(kind, StringType):
        return column.cast("binary")
    readable = is_readable(column, kind)
    return column if readable is None else F.when(readable, column)


def is_readable(column: Column, kind: DataType) -> Column | None:
    """Return whether all strings within a value are valid UTF-8; None for a type without any."""
    if isinstance(kind, StringType):
        return F.coalesce(F.is_valid_utf8(column), F.lit(True))
    if isinstance(kind, ArrayType):
        inner = kind.elementType
        has_text = is_readable(F.lit(None), inner) is not None
        return F.coalesce(F.forall(column, lambda each: or_true(is_readable(each, inner))), F.lit(True)) if has_text else None
    if isinstance(kind, StructType):
        fields = [found for each in kind.fields if (found := is_readable(column[each.name], each.dataType)) is not None]
        return reduce(Column.__and__, fields) if fields else None
    return None


def or_true(readable: Column | None) -> Column:
    """Return the condition, or one that always holds."""
    return F.lit(True) if readable is None else readable


def record_columns(record: Column, task: Task, *, attempts: Column) -> Mapping[str, Column]:
    """Return the ledger's columns that the UDF fills; a failed row's prediction and a scored row's error are NULL."""
    error = record["error"]
    return {
        "prediction": F.when(record["status"] == "ok", arrived(record["prediction"], task)),
        "status": record["status"],
        "error": F.when(
            record["status"] != "ok",
            F.struct(
                *(error[name].alias(name) for name in ("stage", "code", "message", "retryable")), attempts.cast("int").alias("attempts")
            ),
        ),
        "warnings": record["warnings"],
    }


def in_windows(function: Any, rows: int) -> Any:
    """Return MLflow's UDF, which takes one struct, with Arrow batches cut into windows of so many rows, each with a result of its own."""
    predict = function.func

    # It travels by value, as MLflow's does: executors have no sparkcoil but in the model that this loads.
    @wraps(predict)
    def windowed(batches: Any) -> Any:
        return predict(batch.iloc[start : start + rows] for batch in batches for start in range(0, len(batch), rows))

    return pandas_udf(windowed, function.returnType)  # type: ignore[call-overload]


@contextmanager
def window_of(spark: SparkSession, rows: int | None) -> Iterator[None]:
    """Let Arrow batches, which are the windows that batches are cut from, have so many rows within the block."""
    name = "spark.sql.execution.arrow.maxRecordsPerBatch"
    before = spark.conf.get(name)
    spark.conf.set(name, str(rows or before))
    try:
        yield
    finally:
        spark.conf.set(name, str(before))
