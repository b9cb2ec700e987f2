"""Champion and challenger: how far two models agree on the rows of a run that both have scored."""

from collections.abc import Sequence
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DataType, DoubleType, FloatType, StructType

from sparkcoil import contest, ledger
from sparkcoil.contest import SKIPPED, Pair
from sparkcoil.pinned import Run
from sparkcoil.tasks import Task

# What predictions are compared by, where they have it; others by all of them but their numbers.
NAMED = ("label", "text", "answer")


def pairs(staged: DataFrame, task: Task) -> list[Pair]:
    """Return how often each pair of answers came up in a staged chunk: of labels where they are the model's own, else same or not."""
    other = F.col(ledger.CHALLENGER)
    both = (F.col("status") == "ok") & (other["status"] == "ok")
    kind = staged.schema["prediction"].dataType
    assert isinstance(kind, StructType)
    labels = "label" in kind.names and task.has_own_labels
    named = {"champion": F.col("prediction"), "challenger": other["prediction"]}
    shown = {name: F.when(both, each["label"] if labels else F.lit(None).cast("string")) for name, each in named.items()}
    grouped = staged.where(other.isNotNull()).groupBy(
        F.when(other["error"]["code"] == SKIPPED, SKIPPED).when(both, "compared").otherwise(failed(other)).alias("outcome"),
        F.when(both, same(kind)).alias("same"),
        *(column.alias(name) for name, column in shown.items()),
    )
    apart = F.when(both, distance(kind))
    found = grouped.agg(F.count("*").alias("rows"), F.count(apart).alias("measured"), F.sum(apart).alias("distance"))
    return [row.asDict() for row in found.collect()]


def failed(other: Column) -> Column:
    """Return which of the two has failed."""
    return F.when(other["status"] == "ok", "champion_failed").when(F.col("status") == "ok", "challenger_failed").otherwise("both_failed")


def same(kind: StructType) -> Column:
    """Return whether both predictions say the same; NULL where they are nothing but numbers."""
    one, other = F.col("prediction"), F.col(ledger.CHALLENGER)["prediction"]
    if "embedding" in kind.names:
        return F.lit(None).cast("boolean")
    name = next((each for each in NAMED if each in kind.names), None)
    if name is not None:
        return one[name].eqNullSafe(other[name])
    ours, theirs = without_numbers(one, kind), without_numbers(other, kind)
    return F.lit(None).cast("boolean") if ours is None or theirs is None else ours.eqNullSafe(theirs)


def without_numbers(column: Column, kind: DataType) -> Column | None:
    """Return a value without its floating point numbers, which two models never have alike; None where nothing else is left."""
    if isinstance(kind, StructType):
        kept = {each.name: without_numbers(column[each.name], each.dataType) for each in kind.fields}
        fields = [each.alias(name) for name, each in kept.items() if each is not None]
        return F.struct(*fields) if fields else None
    if isinstance(kind, ArrayType):
        inner = kind.elementType
        empty = without_numbers(F.lit(None), inner) is None
        return None if empty else F.transform(column, lambda each: or_itself(without_numbers(each, inner), each))
    return None if isinstance(kind, (FloatType, DoubleType)) else column


def or_itself(found: Column | None, column: Column) -> Column:
    """Return what was found, else the column."""
    return column if found is None else found


def distance(kind: StructType) -> Column:
    """Return how far two predictions' numbers are apart: scores by their difference, embeddings by 1 less the cosine; else NULL."""
    one, other = F.col("prediction"), F.col(ledger.CHALLENGER)["prediction"]
    if "score" in kind.names:
        return F.abs(one["score"] - other["score"])
    if "embedding" in kind.names:
        apart = F.lit(1.0) - F.try_divide(dot(one, other), F.sqrt(dot(one, one) * dot(other, other)))  # one of zeros has no direction
        return F.when(F.size(one["embedding"]) == F.size(other["embedding"]), apart)
    return F.lit(None).cast("double")


def dot(one: Column, other: Column) -> Column:
    """Return the inner product of two embeddings."""
    products = F.zip_with(one["embedding"], other["embedding"], lambda x, y: x.cast("double") * y.cast("double"))
    return F.aggregate(products, F.lit(0.0), lambda total, each: total + each)


def told(run: Run, found: Sequence[Pair]) -> dict[str, Any] | None:
    """Return what a run's report says of its challenger, None where it has none."""
    if run.challenger is None:
        return None
    logged = run.challenger.logged
    about: dict[str, Any] = {"uri": logged.uri, "version": logged.version, "digest": logged.digest, "share": run.config.challenger.share}
    about["trusted"] = run.challenger.lifted
    return {**about, **contest.summed(found)}
