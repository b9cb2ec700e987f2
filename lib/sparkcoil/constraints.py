"""What a target demands of its rows, by CHECK and NOT NULL: a row that breaks it becomes a failed one, and the others go in.

Delta would refuse the whole commit, and print the row's values.
"""

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from sparkcoil.rows import quote
from sparkcoil.tables import Detail

CHECK = "delta.constraints."
# Whether a row cannot even go in as a failed one.
REFUSED = "__refused"


def conditions(table: Detail) -> dict[str, str]:
    """Return a table's conditions by name, as SQL."""
    checks = {name.removeprefix(CHECK): text for name, text in table.properties.items() if name.startswith(CHECK)}
    return {**checks, **{f"{field.name} NOT NULL": f"{quote(field.name)} IS NOT NULL" for field in table.schema if not field.nullable}}


def with_violations(staged: DataFrame, asked: Mapping[str, str]) -> DataFrame:
    """Make failed rows of those that break a condition, and add whether even these do; the error names it, and no value."""
    if not asked:
        return staged.withColumn(REFUSED, F.lit(False))
    broken = F.coalesce(*(F.when(~holds(text), F.lit(name)) for name, text in asked.items()))
    kind = staged.schema["error"].dataType
    error = F.struct(
        F.lit("output").alias("stage"),
        F.lit("constraint").alias("code"),
        F.concat(F.lit("the target's constraint does not hold: "), F.col("__broken")).alias("message"),
        F.lit(False).alias("retryable"),
        F.coalesce(F.col("error.attempts"), F.lit(1)).alias("attempts"),
    ).cast(kind)
    breaks = F.col("__broken").isNotNull()
    told = staged.withColumn("__broken", broken).withColumns(
        {
            "prediction": F.when(~breaks, F.col("prediction")),
            "status": F.when(breaks, F.lit("failed")).otherwise(F.col("status")),
            "error": F.when(breaks, error).otherwise(F.col("error")),
        }
    )
    kept = F.lit(True)
    for text in asked.values():
        kept = kept & holds(text)
    return told.withColumn(REFUSED, ~kept).drop("__broken")


def holds(text: str) -> Column:
    """Return whether a condition is true, as Delta has it: one that is NULL does not hold."""
    return F.coalesce(F.expr(text), F.lit(False))
