"""Quality gates: what is asked of all rows that a run is about to publish, in SQL conditions and in counts of one look at them."""

from collections.abc import Callable, Mapping, Sequence

from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType, StructType

from sparkcoil import language, verdicts
from sparkcoil.errors import TargetError, first_line
from sparkcoil.settings import GatesConfig
from sparkcoil.tasks import Task
from sparkcoil.verdicts import Before, Counts, Verdict

# A text repeats itself where more of its runs of so many words are repeats. This share is seq-rep-4 of Welleck and others, Neural Text
# Generation with Unlikelihood Training (2019): 0.006 in what people write, 0.44 in what GPT-2 writes greedily.
WORDS, REPEATS = 4, 0.2
LABEL, TEXT_LANGUAGE = "__label", "__language"


def check(spark: SparkSession, schema: StructType, gates: Sequence[str]) -> None:
    """Pass if each gate is a condition on all rows of the schema; raises TargetError naming each that is not."""
    if not gates:
        return
    rows, problems = spark.createDataFrame([], schema), []
    for index, gate in enumerate(gates):
        try:
            kind = rows.agg(F.expr(gate)).schema[0].dataType
        except PySparkException as error:
            problems.append(f"target.gates.{index}: {gate!r} cannot be asked of all rows: {first_line(error)}")
            continue
        if not isinstance(kind, BooleanType):
            problems.append(f"target.gates.{index}: expected a condition, found {kind.simpleString()} in {gate!r}")
    if problems:
        raise TargetError("\n  - ".join([f"target.gates: {len(problems)} cannot be judged", *problems]))


def shut(rows: DataFrame, gates: Sequence[str]) -> str | None:
    """Return a sentence naming the first gate that does not hold of the rows, None where all do; one that is NULL does not hold."""
    if not gates:
        return None
    found = rows.agg(*(F.expr(gate) for gate in gates)).head()
    assert found is not None
    return next((f"target.gates.{index}: {gate} does not hold" for index, gate in enumerate(gates) if found[index] is not True), None)


def judged(rows: DataFrame, gates: GatesConfig, task: Task, *, scored: Callable[[], DataFrame]) -> list[Verdict]:
    """Return what becomes of each gate of the rows; `scored` gives the target, against whose last run labels are held."""
    if not verdicts.asked(gates):
        return []
    before = last_run(scored()) if gates.max_label_drift is not None else None
    return list(verdicts.verdicts(gates, counted(rows, gates, task), before, named=task.has_own_labels))


def counted(rows: DataFrame, gates: GatesConfig, task: Task) -> Counts:
    """Return the counts of the rows that the gates need, by one look at them."""
    ok, field = F.col("status") == "ok", {name: verdicts.judged_field(task, name) for name in verdicts.asked(gates)}
    label = F.col("prediction.label") if {"max_label_share", "max_label_drift"} & field.keys() else F.lit(None).cast("string")
    told = language.language_of(F.when(ok, F.col("prediction.text"))) if gates.language else F.lit(None).cast("string")
    faults = {name: fault for name in field if (fault := fault_of(name, field[name], gates)) is not None}
    looked = rows.withColumns({LABEL: F.when(ok, label), TEXT_LANGUAGE: told}).groupBy(LABEL)
    found = looked.agg(
        F.count("*").alias("rows"),
        F.count_if(ok).alias("ok"),
        F.count(TEXT_LANGUAGE).alias("judged"),
        *(F.count_if(fault).alias(name) for name, fault in faults.items()),
    ).collect()
    rows_, ok_, judged_ = (sum(each[name] for each in found) for name in ("rows", "ok", "judged"))
    labels = {each[LABEL]: int(each["rows"]) for each in found if each[LABEL] is not None}
    return Counts(rows_, ok_, judged_, {name: sum(each[name] for each in found) for name in faults}, labels)


def fault_of(gate: str, field: str | None, gates: GatesConfig) -> Column | None:
    """Return whether a row has the fault that a gate counts, None for a gate of labels."""
    ok, value = F.col("status") == "ok", F.col(f"prediction.{field}")
    if gate == "max_failed_share":
        return ~ok
    if gate == "max_truncated_share":
        return ok & F.array_contains("warnings", "truncated")
    if gate == "max_empty_share":
        return ok & is_empty(str(field), value)
    if gate == "max_repetition_share":
        return ok & repeats_itself(value)
    return F.col(TEXT_LANGUAGE) != gates.language if gate == "language" else None


def is_empty(field: str, value: Column) -> Column:
    """Return whether a field of a prediction has nothing in it: a blank text, no entity, no object, an embedding of zeros, no speech."""
    if field in ("entities", "objects", "segments"):
        return F.size(value) == 0
    if field == "embedding":
        return ~F.exists(value, lambda each: each != 0)
    if field == "audio":
        return F.coalesce(F.octet_length(value), F.lit(0)) == 0
    return F.coalesce(value, F.lit("")).rlike(r"^\s*$")


def repeats_itself(text: Column) -> Column:
    """Return whether more than a share of a text's runs of words have been there before."""

    def repeated(words: Column) -> Column:
        runs = F.size(words) - (WORDS - 1)
        found = F.transform(F.sequence(F.lit(1), F.greatest(runs, F.lit(1))), lambda start: F.concat_ws(" ", F.slice(words, start, WORDS)))
        return (runs > 0) & (runs - F.size(F.array_distinct(found)) > REPEATS * runs)

    # Inside `transform` the words are named without being found again for each run of them.
    return F.transform(F.array(F.split(F.trim(text), r"\s+")), repeated)[0]


def last_run(scored: DataFrame) -> Before | None:
    """Return the labels of the run that the prediction table had last, None where it has none with labels."""
    ok = scored.where("status = 'ok'")
    newest = ok.agg(F.max_by("run_id", "scored_at")).head()
    if newest is None or newest[0] is None:
        return None
    found = ok.where(F.col("run_id") == newest[0]).groupBy("prediction.label").count().collect()
    labels: Mapping[str, int] = {each["label"]: int(each["count"]) for each in found if each["label"] is not None}
    return Before(str(newest[0]), labels)
