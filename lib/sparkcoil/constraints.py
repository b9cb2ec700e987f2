"""What a target demands of its rows, by CHECK, NOT NULL and VARCHAR: a row that breaks it becomes a failed one, and the others go in.

Delta would refuse the whole commit, and print the row's values.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructField, StructType

from sparkcoil.drift import EXPRESSION, LENGTH
from sparkcoil.rows import quote
from sparkcoil.tables import Detail

CHECK = "delta.constraints."
# Whether a row cannot even go in as a failed one.
REFUSED = "__refused"


@dataclass(frozen=True)
class Conditions:
    """What a table asks of its rows, as SQL by name, and the columns that Delta fills by itself, as SQL too."""

    asked: Mapping[str, str] = field(default_factory=dict)
    filled: Mapping[str, str] = field(default_factory=dict)


def conditions(table: Detail, written: StructType) -> Conditions:
    """Return the conditions of a table on rows with the written columns."""
    checks = {name.removeprefix(CHECK): text for name, text in table.properties.items() if name.startswith(CHECK)}
    filled = {each.name: each.metadata[EXPRESSION] for each in table.schema if EXPRESSION in each.metadata}
    known = {*written.names, *filled}
    own = [condition for column in table.schema if column.name in known for condition in of_column(column)]
    return Conditions({**checks, **dict(own)}, filled)


def of_column(column: StructField) -> Iterator[tuple[str, str]]:
    """Yield the conditions that a column's type makes."""
    name = quote(column.name)
    if not column.nullable:
        yield f"{column.name} NOT NULL", f"{name} IS NOT NULL"
    kind = str(column.metadata.get(LENGTH, ""))
    if length := re.fullmatch(r"(?:var)?char\((\d+)\)", kind):
        yield f"{column.name} {kind.upper()}", f"{name} IS NULL OR length({name}) <= {length[1]}"


def with_violations(staged: DataFrame, conditions: Conditions) -> DataFrame:
    """Make failed rows of those that break a condition, and add whether even these do; the error names it, and no value."""
    if not conditions.asked:
        return staged.withColumn(REFUSED, F.lit(False))
    whole = staged.withColumns({name: F.expr(text) for name, text in conditions.filled.items()})
    broken = F.coalesce(*(F.when(~holds(text), F.lit(name)) for name, text in conditions.asked.items()))
    breaks = F.col("__broken").isNotNull() & (F.col("status") == "ok")  # a row that has failed keeps its own error
    told = whole.withColumn("__broken", broken).withColumns(
        {
            "prediction": F.when(~breaks, F.col("prediction")),
            "status": F.when(breaks, F.lit("failed")).otherwise(F.col("status")),
            "error": F.when(breaks, error(staged.schema["error"])).otherwise(F.col("error")),
        }
    )
    kept = F.lit(True)
    for text in conditions.asked.values():
        kept = kept & holds(text)
    return told.withColumn(REFUSED, ~kept).drop("__broken", *conditions.filled)


def error(column: StructField) -> Column:
    """Return the error of a row that breaks a condition, which `__broken` names."""
    return F.struct(
        F.lit("output").alias("stage"),
        F.lit("constraint").alias("code"),
        F.concat(F.lit("the target's constraint does not hold: "), F.col("__broken")).alias("message"),
        F.lit(False).alias("retryable"),
        F.lit(1).alias("attempts"),
    ).cast(column.dataType)


def holds(text: str) -> Column:
    """Return whether a condition is true, as Delta has it: one that is NULL does not hold."""
    return F.coalesce(F.expr(text), F.lit(False))
