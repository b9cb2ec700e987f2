"""What a run notes in its commits, so that a rerun over the same source need not look at any row of it.

The note is Delta's `userMetadata`, which the table's history shows to everyone.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from sparkcoil import source
from sparkcoil.sections import SourceConfig
from sparkcoil.source import PinnedSource
from sparkcoil.tables import Commit

CALL = re.compile(r"([\w.`]+)\s*\(")
# What of a session decides what an expression gives.
SETTINGS = ("spark.sql.session.timeZone", "spark.sql.ansi.enabled", "spark.sql.caseSensitive")


@dataclass(frozen=True)
class Receipt:
    """A commit of a run: the last one of a complete run has the `mark` of how it scored which version of its source.

    `version` is the one that it made: where anyone else has changed the target meanwhile, the commit has another, and says nothing;
    as little does a commit that does not hold its `rows`.
    """

    run_id: str
    mark: str | None = None
    version: int | None = None
    counts: Mapping[str, int] | None = None
    source: int | None = None
    rows: int | None = None

    @property
    def note(self) -> str:
        """The receipt as it is written into a commit."""
        return json.dumps({"sparkcoil": asdict(self)})


def mark_of(spark: SparkSession, config: SourceConfig, pinned: PinnedSource, *, how: str, digest: str, deletes: str) -> str | None:
    """Return a digest of all that, with the source's version, decides what is due: which rows, and how and by what they are scored.

    None where the same version of the source may give other rows the next time: it has no versions, or is not read as it stands.
    """
    if pinned.detail is None or pinned.version is None or config.query or source.moves(config, pinned.version):
        return None
    if not all(map(is_stable, [*config.columns.values(), config.where or ""])):
        return None
    asked = config.model_dump(mode="json", include={"columns", "keys", "where", "roots", "options"})
    session = [spark.conf.get(name, None) for name in SETTINGS]
    decisive = [pinned.detail.id, asked, deletes, session, how, digest]
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def is_stable(expression: str) -> bool:
    """Tell whether an expression calls Spark's own functions alone: a function of the user's may be another one tomorrow."""
    return all(hasattr(F, name.lower()) or name.upper() in {"CAST", "IN", "AND", "OR", "NOT"} for name in CALL.findall(expression))


def of(commit: Commit | None, mark: str | None) -> Receipt | None:
    """Return the receipt of the run that scored all of a version of its source in the way of the mark, None where there is none."""
    if commit is None or mark is None or commit.note is None:
        return None
    try:
        found = Receipt(**json.loads(commit.note)["sparkcoil"])
    except (ValueError, KeyError, TypeError):
        return None
    whole = commit.rows in (found.rows, None)
    return found if found.mark == mark and found.version == commit.changed and found.counts and whole else None


def complete(run_id: str, mark: str | None, version: int, counts: Mapping[str, int], *, source: int | None, rows: int) -> Receipt:
    """Return the receipt of a run's last commit, which makes this version of the target; with it, nothing is due of the source's."""
    told = {**dict.fromkeys(counts, 0), "source": counts["source"], "keys": counts["keys"]}
    return Receipt(run_id, mark, version, told, source, rows)
