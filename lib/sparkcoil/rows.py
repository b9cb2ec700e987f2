"""DataFrame functions between source and target: rows with their hash, what is due of them, chunks, predictions.

Columns on the way: the keys, the kept ones, `__inputs`, `input_hash`. No reads, writes or actions here.
"""

from collections.abc import Collection, Mapping, Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType, DataType, StringType

from sparkcoil import ledger, udf
from sparkcoil.pacing import Chunk
from sparkcoil.scorer import CHALLENGED
from sparkcoil.tasks import Task

INPUTS = "__inputs"
# Columns that stay in the stage: what a window of rows cost, and whether a row was copied.
STATS, COPIED = "__stats", "__copied"
# A share of different inputs is chosen by their hash, in so many steps.
SHARES = 1_000_000
# Why a key is due: new, changed (its inputs, or how they are scored), other_model, retried or returned.
WHY = "__why"
# Which rows that failed are scored again: all, none, or those with one of some codes.
Retry = bool | Collection[str]
# What a row that is copied has from the row with the same inputs.
KNOWN = ("prediction", "status", "error", "warnings")


def select_rows(
    frame: DataFrame,
    keys: Sequence[str],
    keep: Sequence[str],
    *,
    inputs: Mapping[str, Column],
    types: Mapping[str, DataType],
    salt: str,
    sent: Mapping[str, Column] | None = None,
) -> DataFrame:
    """Return keys, kept columns, the inputs as the scorer takes them, some in the form of `sent`, and the hash of the inputs."""
    return frame.select(
        *quoted((*keys, *keep)),
        udf.struct_of_inputs(inputs, types, sent).alias(INPUTS),
        hash_of_inputs(inputs, types, salt).alias("input_hash"),
    )


def hash_of_inputs(inputs: Mapping[str, Column], types: Mapping[str, DataType], salt: str) -> Column:
    """Return the sha256 of the inputs and of the way they are scored, so that a change of either makes a row due.

    Each input is hashed by itself first, so that no two rows can be equal by moving text from one input to the next.
    """
    parts = [F.lit(salt)]
    for name in sorted(inputs):
        parts += [F.lit(name), F.coalesce(F.sha2(as_bytes(inputs[name], types[name]), 256), F.lit("null"))]
    return F.sha2(F.concat_ws("\n", *parts), 256)


def as_bytes(column: Column, kind: DataType) -> Column:
    """Return a column's bytes, or those of its JSON where it is neither text nor binary."""
    if isinstance(kind, (StringType, BinaryType)):
        return column.cast("binary")
    return F.when(column.isNotNull(), F.to_json(F.struct(column.alias("value")))).cast("binary")


def select_keyed(rows: DataFrame, keys: Sequence[str]) -> DataFrame:
    """Return one row for each key, with its number of rows, its hash, and whether it is NULL or has different inputs."""
    null = F.lit(False)
    for key in quoted(keys):
        null = null | key.isNull()
    grouped = rows.select(*quoted(keys), "input_hash").groupBy(*quoted(keys))
    keyed = grouped.agg(F.count("*").alias("__rows"), F.min("input_hash").alias("input_hash"), F.max("input_hash").alias("__other_hash"))
    return keyed.withColumn("__null", null).withColumn("__conflict", F.col("input_hash") != F.col("__other_hash")).drop("__other_hash")


def with_due(
    keyed: DataFrame,
    scored: DataFrame | None,
    held: DataFrame | None,
    keys: Sequence[str],
    *,
    model_digest: str,
    retry_failed: Retry,
    marks: bool = False,
) -> DataFrame:
    """Add `__due`, `__why`, `__known`, `__attempts` and, of due rows, `__held`.

    A key is known that the target has; a row is held whose inputs the same model has scored before in the same way, under any key.
    """
    if scored is None or held is None:
        new = {"__due": F.lit(True), WHY: F.lit("new"), "__known": F.lit(False), "__attempts": F.lit(1), "__held": F.lit(False)}
        return keyed.withColumns(new)
    left = F.col(ledger.DELETED_AT).isNotNull() if marks else F.lit(False)
    before = scored.select(
        *quoted(keys),
        left.alias("__left"),
        F.col("input_hash").alias("__hash"),
        F.col("model_digest").alias("__digest"),
        (F.col("status") == "failed").alias("__failed"),
        F.col("error.attempts").alias("__tried"),
        F.col("error.code").alias("__code"),
    )
    joined = keyed.join(before, list(keys), "left")
    same = F.coalesce((F.col("__hash") == F.col("input_hash")) & (F.col("__digest") == model_digest), F.lit(False))
    retried = F.lit(retry_failed) if isinstance(retry_failed, bool) else F.col("__code").isin(*retry_failed)
    again = same & F.coalesce(F.col("__failed") & retried, F.lit(False))
    judged = joined.withColumns(
        {
            "__known": F.col("__hash").isNotNull(),
            "__due": ~same | again | F.coalesce("__left", F.lit(False)),
            WHY: F.when(F.col("__hash").isNull(), "new")
            .when(F.col("__left"), "returned")
            .when(again, "retried")
            .when(F.col("__digest") != model_digest, "other_model")
            .otherwise("changed"),
            "__attempts": F.when(again, F.coalesce(F.col("__tried"), F.lit(1)) + 1).otherwise(F.lit(1)),
        }
    ).drop("__hash", "__digest", "__failed", "__tried", "__code", "__left")
    hashes = held.select(F.col("input_hash").alias("__hash")).distinct()
    with_held = judged.join(hashes, F.col("__due") & (F.col("__hash") == F.col("input_hash")), "left")
    return with_held.withColumn("__held", F.col("__hash").isNotNull()).drop("__hash")


def select_known(scored: DataFrame, model_digest: str) -> DataFrame:
    """Keep the rows of a prediction table that one model has scored, and of their columns what is copied, with the hash to find it by."""
    return scored.where((F.col("model_digest") == model_digest) & (F.col("status") == "ok")).select("input_hash", *KNOWN)


def filter_due(rows: DataFrame, due: DataFrame, keys: Sequence[str]) -> DataFrame:
    """Keep the rows whose key is due; one that is NULL is found too, and refused where rows are judged."""
    named = due.select(*(F.col(quote(key)).alias(f"__key{number}") for number, key in enumerate(keys)))
    same = F.lit(True)
    for number, key in enumerate(keys):
        same = same & F.col(quote(key)).eqNullSafe(F.col(f"__key{number}"))
    return rows.join(named, same, "left_semi")


def filter_chunk(frame: DataFrame, chunk: Chunk) -> DataFrame:
    """Keep the rows of one chunk; rows with equal inputs are in the same one."""
    if chunk.stop - chunk.start == chunk.of:
        return frame
    return frame.where(F.pmod(F.xxhash64("input_hash"), F.lit(chunk.of)).between(chunk.start, chunk.stop - 1))


def with_attempts(rows: DataFrame, due: DataFrame | None, keys: Sequence[str]) -> DataFrame:
    """Keep the rows whose key is due, one for each key, and add `__attempts` and `__held`; without `due`, every row is."""
    if due is None:
        return rows.withColumns({"__attempts": F.lit(1), "__held": F.lit(False)})
    return rows.join(due.select(*quoted(keys), "__attempts", "__held"), list(keys), "inner").dropDuplicates(list(keys))


def with_known(held: DataFrame, scored: DataFrame) -> DataFrame:
    """Add what was said to the same inputs before; each row's are there."""
    asked = scored.join(held.select("input_hash").distinct(), "input_hash", "left_semi")
    said = asked.select("input_hash", *(F.col(name).alias(f"__{name}") for name in KNOWN)).dropDuplicates(["input_hash"])
    return held.drop(INPUTS).join(said, "input_hash")


def spread_evenly(rows: DataFrame, partitions: int) -> DataFrame:
    """Spread rows over partitions by their hash and sort them by it, so that equal inputs are neighbours."""
    return rows.repartition(partitions, "input_hash").sortWithinPartitions("input_hash")


def with_record(rows: DataFrame, scorer: udf.ScoringFunction, *, challenged: float = 0.0) -> DataFrame:
    """Add `__record`, what the model made of each row, and in it for a share of different inputs what the challenger did."""
    inputs = F.col(INPUTS)
    if challenged:
        inputs = inputs.withField(CHALLENGED, is_among(challenged, CHALLENGED))
    return rows.withColumn("__scored", scorer(inputs)).withColumn("__record", F.col("__scored.r")).drop("__scored", INPUTS)


def is_among(share: float, salt: str) -> Column:
    """Return whether a row's input is among a share of the different ones, which their hash and a salt choose."""
    return F.pmod(F.xxhash64("input_hash", F.lit(salt)), F.lit(SHARES)) < share * SHARES


def select_ledger(
    recorded: DataFrame,
    keys: Sequence[str],
    keep: Sequence[str],
    *,
    task: Task,
    constants: Mapping[str, Column],
    challenger: Mapping[str, Column] | None = None,
) -> DataFrame:
    """Return the prediction table's columns in their order, and what stays in the stage: a window's `__stats`, and `__copied`.

    Given the constants of a challenger, with what it said too.
    """
    record = F.col("__record")
    said = udf.record_columns(record, task, attempts=F.col("__attempts"))
    beside = {} if challenger is None else {ledger.CHALLENGER: answer(record[ledger.CHALLENGER], task, challenger)}
    return in_order(recorded, keys, keep, {**said, **constants}, stats=record["stats"], copied=False, beside=beside)


def answer(record: Column, task: Task, constants: Mapping[str, Column]) -> Column:
    """Return what a challenger said of a row, NULL where it was not asked."""
    columns = {**udf.record_columns(record, task, attempts=F.lit(1)), **constants}
    return F.when(record["status"].isNotNull(), F.struct(*(columns[name].alias(name) for name in ledger.CHALLENGER_COLUMNS)))


def select_copied(known: DataFrame, keys: Sequence[str], keep: Sequence[str], *, constants: Mapping[str, Column]) -> DataFrame:
    """Return the same columns of rows whose predictions are there already."""
    said = {name: F.col(f"__{name}") for name in KNOWN}
    return in_order(known, keys, keep, {**said, **constants}, stats=F.lit(None).cast("string"), copied=True)


def in_order(
    rows: DataFrame,
    keys: Sequence[str],
    keep: Sequence[str],
    filled: Mapping[str, Column],
    *,
    stats: Column,
    copied: bool,
    beside: Mapping[str, Column] = {},
) -> DataFrame:
    """Return keys, kept columns, the ledger's, those beside it, and the stage's."""
    named = {**filled, "input_hash": F.col("input_hash")}
    columns = [named[name].alias(name) for name in ledger.COLUMNS] + [column.alias(name) for name, column in beside.items()]
    return rows.select(*quoted((*keys, *keep)), *columns, stats.alias(STATS), F.lit(copied).alias(COPIED))


def quoted(names: Sequence[str]) -> list[Column]:
    """Return columns by name, whatever characters the names have."""
    return [F.col(quote(name)) for name in names]


def quote(name: str) -> str:
    """Return a column's name as SQL takes it, whatever characters it has."""
    return "`" + name.replace("`", "``") + "`"
