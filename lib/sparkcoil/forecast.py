"""What a run would do, before it does it: what is due and why, how long inputs are, what it would take. Nothing is written."""

import json
from collections.abc import Mapping
from dataclasses import replace
from time import perf_counter
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType, StringType, StructType

from sparkcoil import chunks, digest, estimate, files, pinned, rows, udf
from sparkcoil.config import RunConfig
from sparkcoil.due import Due
from sparkcoil.errors import RefusedError
from sparkcoil.estimate import COMMIT_SECONDS, PERCENTILES, Plan, Probe, Sizes
from sparkcoil.pacing import Chunk, Pace
from sparkcoil.pinned import Run, prepared
from sparkcoil.pipeline import find_due
from sparkcoil.report import Clock
from sparkcoil.rows import Retry

# Rows for each slot: of a first try, which also warms the workers, and at most of the second, which is to take about so many seconds.
FIRST_ROWS, MOST_ROWS, PROBE_SECONDS = 16, 2_000, 10.0
SIZE, TIMES = "__size", "__times"


def plan(spark: SparkSession, config: RunConfig, *, retry_failed: Retry = False) -> Plan:
    """Return what a run of the config would do now, and about how long that takes on these executors, some of its rows tried.

    Raises what a run raises before its first row; nothing is written.
    """
    clock = Clock()
    with clock.stage("prepare"):
        this = prepared(spark, config)
    return planned(spark, this, clock, retry_failed=retry_failed)


def planned(spark: SparkSession, this: Run, clock: Clock, *, retry_failed: Retry = False) -> Plan:
    """Return what a run that is prepared would do now, and about how long that takes."""
    with clock.stage("plan"):
        this, todo = find_due(spark, this, retry_failed=retry_failed)
        why = counted(todo)
    slots = spark.sparkContext.defaultParallelism
    if not todo.counts["due"] > todo.counts.get("held", 0):
        return described(this, todo, why, Sizes(0, 0, {}), Probe(0, 0, (), 0, 0, 0), clock, slots=slots, tasks=0)
    asked = to_score(this, todo)
    sizes = sized(asked)
    with clock.stage("preflight"):
        function, _ = chunks.cleared(spark, this)
    tried = probed(asked, this, function, sizes, slots)
    tasks = chunks.tasks(spark, this.config.batching, Chunk(0, 0, 1, 1, sizes.rows))
    return described(this, todo, why, sizes, tried, clock, slots=slots, tasks=tasks)


def preview(spark: SparkSession, config: RunConfig, *, count: int = 10) -> DataFrame:
    """Return some rows of the source as a run would write them, scored on one executor; nothing is written."""
    return previewed(spark, prepared(spark, config), count=count)


def previewed(spark: SparkSession, this: Run, *, count: int) -> DataFrame:
    """Return some rows as a run that is prepared would write them."""
    keys, keep = this.config.source.keys, this.config.target.keep
    function, _ = chunks.cleared(spark, this)
    chosen = rows.with_attempts(this.rows.limit(count), None, keys)
    shown = (*keys, *keep, *rows.KNOWN)
    found = chunks.scored_chunk(this, chosen, function, 1).select(*rows.quoted(shown))
    return spark.createDataFrame(found.collect(), found.schema)  # what was scored once is shown as often as one likes


def within(made: Plan, *, max_hours: float | None, max_cost: float | None) -> None:
    """Pass if a run keeps within what it may take; raises RefusedError that says by how much it does not."""
    hours = made.seconds["total"] / 3_600
    if max_cost is not None and made.cost is None:
        raise RefusedError("--max-cost asks for cost.per_hour in the run file")
    for name, value, most in (("hours", hours, max_hours), ("cost", made.cost, max_cost)):
        if most is not None and value is not None and value > most:
            raise RefusedError(f"the run is estimated at {value:,.2f}, over --max-{name} {most:g}\n{made}")


def counted(todo: Due) -> dict[str, int]:
    """Return how many keys are due by why they are."""
    if todo.keyed is None or not todo.counts["due"]:
        return {}
    return {row[0]: int(row[1]) for row in todo.keyed.groupBy(rows.WHY).count().collect()}


def to_score(this: Run, todo: Due) -> DataFrame:
    """Return one row for each different input that has to be scored, with its bytes, and how many rows have it."""
    due_keys = None if todo.keyed is None or todo.everything else todo.keyed
    chosen = rows.with_attempts(this.rows, due_keys, this.config.source.keys).where("NOT __held")
    sized = chosen.select(rows.INPUTS, "input_hash").withColumn(SIZE, size_of(chosen))
    one_of_each = [F.first(name).alias(name) for name in (rows.INPUTS, SIZE)]
    return sized.groupBy("input_hash").agg(*one_of_each, F.count("*").alias(TIMES))


def size_of(chosen: DataFrame) -> Column:
    """Return how many bytes a row's inputs have."""
    inputs = chosen.schema[rows.INPUTS].dataType
    assert isinstance(inputs, StructType)
    total = F.lit(0).cast("long")
    for field in inputs.fields:
        value = F.col(rows.INPUTS)[field.name]
        plain = isinstance(field.dataType, (BinaryType, StringType))
        total = total + F.coalesce(F.octet_length(value if plain else F.to_json(F.struct(value))), F.lit(0))
    return total


def sized(asked: DataFrame) -> Sizes:
    """Return how many inputs there are, and their bytes."""
    found = asked.select(SIZE).agg(
        F.count("*").alias("rows"),
        F.coalesce(F.sum(SIZE), F.lit(0)).alias("bytes"),
        F.percentile_approx(SIZE, F.array(*map(F.lit, PERCENTILES.values()))).alias("percentiles"),
    )
    one = found.first()
    assert one is not None
    return Sizes(int(one["rows"]), int(one["bytes"]), dict(zip(PERCENTILES, map(int, one["percentiles"] or ()), strict=False)))


def probed(asked: DataFrame, this: Run, function: udf.ScoringFunction, sizes: Sizes, slots: int) -> Probe:
    """Return what some rows came to, as many as take some seconds; those before them have warmed the workers."""
    count, started = FIRST_ROWS * slots, perf_counter()
    scored(asked, this, function, count, sizes, slots)
    seconds = perf_counter() - started
    more = min(MOST_ROWS * slots, int(count * max(1.0, PROBE_SECONDS / max(seconds, 0.1))))
    started = perf_counter()
    tried = scored(asked, this, function, more, sizes, slots)
    return replace(tried, overhead=max(0.0, perf_counter() - started - tried.busy_seconds / slots))


def scored(asked: DataFrame, this: Run, function: udf.ScoringFunction, count: int, sizes: Sizes, slots: int) -> Probe:
    """Return what about so many rows came to, which stand for the others since their hashes choose them."""
    share = min(1.0, count / max(1, sizes.rows))
    chosen = asked.where(rows.is_among(share, "probe"))
    spread = rows.spread_evenly(files.with_contents(chosen, rows.INPUTS, this.roots), slots)
    record = rows.with_record(spread, function, challenged=this.challenged)
    looked = record.select(
        SIZE,
        TIMES,
        F.col("__record.stats").alias("stats"),
        F.array_contains("__record.warnings", "truncated").alias("truncated"),
        (F.col("__record.status") != "ok").alias("failed"),
    ).collect()
    return Probe(
        rows=len(looked),
        bytes=sum(row[SIZE] for row in looked),
        windows=[json.loads(row["stats"]) for row in looked if row["stats"]],
        truncated=sum(row[TIMES] for row in looked if row["truncated"]),
        failed=sum(row[TIMES] for row in looked if row["failed"]),
        due=sum(row[TIMES] for row in looked),
    )


def described(this: Run, todo: Due, why: Mapping[str, int], sizes: Sizes, tried: Probe, clock: Clock, *, slots: int, tasks: int) -> Plan:
    """Return the plan in words and figures."""
    config = this.config
    scoring = estimate.scoring_seconds(tried, sizes, slots) if tried.rows else 0.0
    batching = config.batching
    due = todo.counts["due"]
    cut = estimate.chunks(Pace(due, slots, batching.chunk_rows, batching.chunk_seconds), scoring, tried.overhead)
    each = {"score": tried.overhead, "publish": max(COMMIT_SECONDS, tried.overhead)}
    seconds = {**clock.seconds, "score": scoring + each["score"] * cut, "publish": each["publish"] * cut}
    seconds["total"] = sum(seconds.values())
    per_hour = config.cost.per_hour
    return Plan(
        **pinned.described(this),
        target={"name": this.target.name, "version": todo.version},
        model=model_of(this, tried),
        rows={**{name: todo.counts.get(name, 0) for name in ("source", "keys", "due")}, **why, **split(todo, sizes)},
        unit=tried.of_windows("unit") or "tokens",
        lengths=estimate.lengths(tried, sizes),
        truncated_share=tried.truncated / max(1, tried.due),
        failed_share=tried.failed / max(1, tried.due),
        slots=slots,
        tasks=tasks,
        chunks=cut,
        probe={
            "rows": tried.rows,
            "due": tried.due,
            "seconds": round(tried.busy_seconds, 3),
            "units": round(tried.units, 1),
            "overhead": round(tried.overhead, 3),
        },
        seconds={name: round(value, 3) for name, value in seconds.items()},
        cost=None if per_hour is None else per_hour * seconds["total"] / 3_600,
        max_failed_share=config.rows.max_failed_share,
    )


def split(todo: Due, sizes: Sizes) -> dict[str, int]:
    """Return how many due rows are copied, and how many different inputs are scored for the others."""
    held = todo.counts.get("held", 0)
    return {"copied": held, "to_score": sizes.rows, "duplicates": todo.counts["due"] - held - sizes.rows if sizes.rows else 0}


def model_of(this: Run, tried: Probe) -> dict[str, Any]:
    """Return which model it is, how large its files are, and where and in which format it ran."""
    logged = this.selection.logged
    size = sum(each.stat().st_size for each in digest.files(logged.path))
    where = {"device": tried.of_windows("device") or "no executor", "dtype": tried.of_windows("dtype") or this.selection.placement.dtype}
    return {"uri": logged.uri, "version": logged.version, "digest": logged.digest, "mebibytes": round(size / 2**20, 1), **where}
