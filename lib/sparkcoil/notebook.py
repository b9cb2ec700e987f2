"""The doors for notebooks and SQL: a DataFrame, a column or a SQL function scored by a logged model, as in a run."""

import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkcoil import chunks, due, files, functions, rows, source, udf
from sparkcoil.errors import ConfigError, did_you_mean
from sparkcoil.functions import OnError
from sparkcoil.problems import input_problems, said
from sparkcoil.roots import declared
from sparkcoil.sections import BatchingConfig, ModelConfig
from sparkcoil.selection import Selection, select
from sparkcoil.session import check_classic
from sparkcoil.tasks import Task


def score(
    df: DataFrame,
    model_uri: str,
    *,
    keys: str | Sequence[str],
    columns: Mapping[str, str],
    task: str | None = None,
    options: Mapping[str, Any] | None = None,
    keep: str | Sequence[str] = (),
    roots: Sequence[str] = (),
) -> DataFrame:
    """Return the prediction table of a DataFrame: one row for each row of `df`, computed when the result is used.

    Rows with equal keys and equal inputs each get their row; files that rows name have to lie under `roots`.
    Raises what a run raises before its first row: ConfigError, ModelError, and SourceError, also for keys that are NULL or stand
    for different inputs.
    """
    spark = df.sparkSession
    check_classic(spark)
    keys, keep = ([names] if isinstance(names, str) else names for names in (keys, keep))
    selection = selected("score()", model_uri, task=task, options=options, columns=columns)
    inputs, types = source.checked_inputs(df, keys, keep, columns=columns, task=selection.task, wording=source.ARGUMENTS)
    given = rows.select_rows(df, keys, keep, inputs=inputs, types=types, salt=selection.fingerprint)
    due.find(given, None, keys, model_digest=selection.logged.digest, retry_failed=False)
    allowed = tuple(map(declared, roots))
    files.check(spark, allowed)
    chosen = files.with_contents(rows.with_attempts(given, None, keys), rows.INPUTS, allowed)
    evenly = rows.spread_evenly(chosen, spark.sparkContext.defaultParallelism)
    sample = given.select(F.col(rows.INPUTS).alias("inputs"))
    function, _ = udf.scoring_function(spark, selection, BatchingConfig(), sample=sample, roots=allowed)
    recorded = rows.with_record(evenly, function)
    constants = chunks.constants(selection.logged, uuid.uuid4().hex)
    return rows.select_ledger(recorded, keys, keep, task=selection.task, constants=constants).drop(rows.STATS, rows.COPIED)


def scoring_udf(
    spark: SparkSession, model_uri: str, *, task: str | None = None, options: Mapping[str, Any] | None = None, on_error: OnError = "struct"
) -> Callable[..., Column]:
    """Return a function from columns to a column: struct<prediction, status, error, warnings>, with real NULLs.

    With `on_error` null or raise the column is the prediction's struct itself: for a failed row NULL, or the end of the query.
    Columns are given by position in the order of the task's inputs, or by an input's name; raises ConfigError where they
    do not fit. Use the result once, in a `select` or `withColumn`: each further mention of it scores the rows again.
    """
    selection, function = _function(spark, "scoring_udf()", model_uri, task=task, options=options, on_error=on_error)

    def scored(*columns: Column | str, **named: Column | str) -> Column:
        given = {**dict(zip(positions(selection.task), columns, strict=False)), **named}
        check_inputs(selection.task, given, count=len(columns) + len(named), chosen=selection.effective.origins)
        called = function(udf.struct_as_sent(selection.task, given))
        return functions.result(called, selection.task, name="scoring_udf", on_error=on_error)

    return scored


def register(
    spark: SparkSession,
    sql_name: str,
    model_uri: str,
    *,
    task: str | None = None,
    options: Mapping[str, Any] | None = None,
    on_error: OnError = "struct",
) -> None:
    """Make a SQL function of the model: `SELECT sql_name(text) FROM ...` gives what `scoring_udf` gives.

    It takes the task's required inputs in their order. Raises ConfigError for a name that is no plain word.
    """
    if not sql_name.isidentifier():
        raise ConfigError("register()", [f"sql_name: expected a plain word, found {sql_name!r}"])
    selection, function = _function(spark, "register()", model_uri, task=task, options=options, on_error=on_error)
    spark.udf.register(f"{sql_name}_records", function)
    spark.sql(functions.statement(sql_name, selection.task, on_error=on_error))


def positions(task: Task) -> list[str]:
    """Return the names of a task's inputs in the order in which columns are given: those that it needs come first."""
    return [each.label for each in sorted(task.inputs, key=lambda each: not each.required)]


def check_inputs(task: Task, given: Mapping[str, Any], *, count: int, chosen: Collection[str]) -> None:
    """Pass if each column has an input of the task and each required input its column; raises ConfigError."""
    problems = [said(each) for each in input_problems(task, given, chosen)]
    if count > len(given):
        problems.append(f"{count} columns for {len(given)} inputs; {task.name} takes {', '.join(each.name for each in task.inputs)}")
    if problems:
        raise ConfigError("scoring_udf()", problems)


def selected(
    caller: str, model_uri: str, *, task: str | None, options: Mapping[str, Any] | None, columns: Mapping[str, str] | None
) -> Selection:
    """Return what scores; raises ConfigError naming the caller's own arguments, where a run would name keys of its run file."""
    try:
        return select(ModelConfig(uri=model_uri, options=options or {}), name=caller, task=task, columns=columns)
    except ConfigError as error:
        raise ConfigError(error.where, [each.removeprefix("source.").removeprefix("model.") for each in error.problems]) from None


def _function(
    spark: SparkSession, caller: str, model_uri: str, *, task: str | None, options: Mapping[str, Any] | None, on_error: str
) -> tuple[Selection, Any]:
    check_classic(spark)
    if on_error not in functions.ON_ERROR:
        found = f"on_error: expected struct, null or raise, found {on_error!r}{did_you_mean(on_error, functions.ON_ERROR)}"
        raise ConfigError(caller, [found])
    selection = selected(caller, model_uri, task=task, options=options, columns=None)
    return selection, udf.scoring_function(spark, selection, BatchingConfig())[0]
