"""How what a run has published is spread: its statuses, failures, warnings, labels, scores and lengths, counted by one Spark job."""

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, StringType, StructType

from sparkcoil.rows import quoted
from sparkcoil.spread import AMOUNTS, CATEGORIES, SCORE_BINS, Counted

# Different values of all that is counted; labels, which may be many, come last.
MOST = 500
FACT = "struct<what: string, value: string, example: string>"


def counted(frames: Sequence[tuple[str, DataFrame]], keys: Sequence[str], *, named: bool) -> list[Counted]:
    """Return how many rows of each frame have each value, of failures with the smallest key as JSON; labels only where they are `named`."""
    if not frames:
        return []
    one, *more = [facts(frame, keys, named=named).withColumn("of", F.lit(of)) for of, frame in frames]
    for other in more:
        one = one.unionByName(other)
    grouped = one.groupBy("of", "what", "value").agg(F.count("*").alias("rows"), F.min("example").alias("example"))
    ordered = grouped.orderBy(F.col("what").isin(*CATEGORIES), F.desc("rows"), "value").limit(MOST)
    return [Counted(**row.asDict()) for row in ordered.collect()]


def facts(frame: DataFrame, keys: Sequence[str], *, named: bool) -> DataFrame:
    """Return `what`, `value` and `example` for all that is counted of each row."""
    prediction = frame.schema["prediction"].dataType
    assert isinstance(prediction, StructType)
    is_failed = F.col("status") == "failed"
    code = F.when(is_failed, F.concat_ws("/", "error.stage", "error.code"))
    single = [fact("status", F.col("status")), fact("failure", code, F.to_json(F.struct(*quoted(keys))))]
    single += [fact(each.name, value) for each in prediction if (value := value_of(each.name, each.dataType.typeName(), named)) is not None]
    warned = F.transform(F.coalesce("warnings", F.array().cast("array<string>")), lambda each: fact("warning", each))
    # All that is kept of a row is inside the array: Spark 4.2 loses the columns of an expression beside an `explode`.
    return frame.select(F.explode(F.concat(F.array(*single), warned)).alias("fact")).select("fact.*").where("value IS NOT NULL")


def fact(what: str, value: Column, example: Column | None = None) -> Column:
    """Return one thing that is counted of a row, with a key for it where there is an example; a NULL value is not counted."""
    shown = F.lit(None) if example is None else example
    return F.struct(F.lit(what).alias("what"), value.cast("string").alias("value"), shown.alias("example")).cast(FACT)


def value_of(name: str, kind: str, named: bool) -> Column | None:
    """Return what is counted of a field of the prediction, None where that is nothing."""
    column = F.col(f"prediction.`{name}`")
    if name in CATEGORIES and kind == StringType.typeName():
        return column if named else None
    if name == "score" and kind in ("double", "float"):
        inside = F.least(F.lit(SCORE_BINS - 1), F.floor(column * SCORE_BINS))
        return F.when(column < 0, -1).when(column > 1, SCORE_BINS).otherwise(inside)
    if name not in AMOUNTS:
        return None
    amount = F.length(column) if kind == StringType.typeName() else F.size(column) if kind == ArrayType.typeName() else column
    return F.when(column.isNotNull(), F.when(amount < 1, 0).otherwise(F.floor(F.log2(amount)) + 1))
