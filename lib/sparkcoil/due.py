"""Which rows a run has to score, judged on keys and hashes alone: no Python worker starts for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from py4j.protocol import Py4JError  # type: ignore[import-untyped]
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sparkcoil import rows
from sparkcoil.errors import SourceError
from sparkcoil.ledger import DELETED_AT
from sparkcoil.rows import Retry
from sparkcoil.source import unreadable

EXAMPLES = 5


@dataclass(frozen=True)
class Due:
    """The keys that are due of a source, with how often each has been tried, and the target's version that they were held against.

    Without `keyed` nothing is due, and no row had to be looked at to know that. `held` has the predictions that can be copied.
    """

    keyed: DataFrame | None
    counts: Mapping[str, int]
    version: int = 0
    held: DataFrame | None = None

    @property
    def everything(self) -> bool:
        """Tell whether every row of the source is due, once, and new to the model: then no join is needed to find them."""
        return self.counts["due"] == self.counts["source"] and not self.counts["known"] and not self.counts["held"]


def find(
    selected: DataFrame,
    scored: DataFrame | None,
    keys: Sequence[str],
    *,
    model_digest: str,
    retry_failed: Retry,
    version: int = 0,
    leaving: float | None = None,
    staged: DataFrame | None = None,
    marks: bool = False,
) -> Due:
    """Return what is due of the selected rows; raises SourceError for keys that are NULL or stand for different inputs.

    `scored` is the target at its version, `staged` what runs have left that did not end; `leaving` asks for the keys that are gone,
    at most such a share of the target's, and with `marks` those that are marked so already do not count.
    """
    held = None if scored is None else rows.select_known(scored, model_digest)
    if held is not None and staged is not None:
        held = held.unionByName(rows.select_known(staged, model_digest))
    marks = marks and scored is not None and DELETED_AT in scored.columns  # which may only be added later
    known = rows.select_keyed(selected, keys)
    keyed = rows.with_due(known, scored, held, keys, model_digest=model_digest, retry_failed=retry_failed, marks=marks)
    asked = keyed.agg(
        F.coalesce(F.sum("__rows"), F.lit(0)).alias("source"),
        F.count("*").alias("keys"),
        F.count_if("__null").alias("null"),
        F.count_if("__conflict").alias("conflicting"),
        F.count_if("__due").alias("due"),
        F.count_if(F.col("__due") & F.col("__known")).alias("known"),
        F.count_if("__held").alias("held"),
    )
    counts = read_counts(asked)
    if counts["null"] or counts["conflicting"]:
        raise SourceError(refusal(keyed, keys, counts))
    here = scored.where(F.col(DELETED_AT).isNull()) if scored is not None and marks else scored
    gone = count_gone(here, keyed, keys, leaving) if leaving is not None and here is not None else 0
    return Due(keyed.where("__due"), {**counts, "gone": gone}, version, held)


def count_gone(scored: DataFrame, keyed: DataFrame, keys: Sequence[str], most: float) -> int:
    """Return how many rows of the target have a key that the source has no more.

    Raises SourceError where they are more than a share of the target's: more likely the source is not what it should be.
    """
    gone = scored.join(keyed, list(keys), "left_anti").count()
    if gone and gone > most * (total := scored.count()):
        raise SourceError(f"target.max_deletes_share: {gone} of {total} rows have left the source, over the allowed share of {most:g}")
    return gone


def read_counts(asked: DataFrame) -> Mapping[str, int]:
    """Return the one row of counts; raises SourceError where the source, which is read here first, cannot be."""
    try:
        found = asked.head()
    except (PySparkException, Py4JError) as error:
        said = unreadable(error)
        if said is None:
            raise
        raise SourceError(f"source: its rows cannot be read: {said}") from error
    assert found is not None
    return {name: int(value) for name, value in found.asDict().items()}


def refusal(keyed: DataFrame, keys: Sequence[str], counts: Mapping[str, int]) -> str:
    """Return a message naming some of the keys that identify no row, or more than one."""
    problems = [f"keys: {', '.join(keys)} do not identify the rows of the source"]
    for condition, count, what in (
        ("__null", counts["null"], "with NULL in them"),
        ("__conflict", counts["conflicting"], "for rows with different inputs"),
    ):
        if count:
            named = keyed.where(condition).select(*rows.quoted(keys)).orderBy(*rows.quoted(keys)).limit(EXAMPLES).collect()
            examples = ", ".join("(" + ", ".join(f"{name}={row[name]!r}" for name in keys) + ")" for row in named)
            problems.append(f"{count} keys {what}, such as {examples}")
    return "\n  - ".join(problems)
