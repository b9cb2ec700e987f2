"""Quality gates: conditions on all rows that a run is about to publish, as SQL over the prediction table's columns."""

from collections.abc import Sequence

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType, StructType

from sparkcoil.errors import TargetError, first_line


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
