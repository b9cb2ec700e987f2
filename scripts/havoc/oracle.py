"""What must hold of a target after any failure, asked of every row, of its folder and of its history. Knows nothing of Spark."""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow.compute as pc
from deltalake import DeltaTable

TRANSACTION = re.compile(r"sparkcoil-[0-9a-f]{32}-\d+")


@dataclass(frozen=True)
class Verdict:
    """How many rows are missing, there more than once, and wrong; which files should not be there; which commits nobody expects."""

    lost: int
    duplicated: int
    mismatched: int
    leftovers: tuple[str, ...] = ()
    commits: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Tell whether there is one right row for each row of the source, and nothing else."""
        return self == Verdict(0, 0, 0)


def hashes_of(texts: Sequence[str]) -> pd.Series:
    """Return the sha256 of each text: what is right, computed by nothing of the library."""
    return pd.Series([hashlib.sha256(each.encode()).hexdigest() for each in texts], dtype=object)


def verdict(target: Path, hashes: pd.Series) -> Verdict:
    """Return what is wrong with a target whose rows should be those of the source, each with its hash."""
    if not DeltaTable.is_deltatable(str(target)):
        return Verdict(len(hashes), 0, 0)
    seen = visible(DeltaTable(str(target)))
    return Verdict(
        lost=int((~hashes.index.isin(seen["id"])).sum()),
        duplicated=int(seen["id"].duplicated().sum()),
        mismatched=wrong(seen, hashes),
        leftovers=tuple(leftovers(target)),
        commits=tuple(unexpected(target)),
    )


def visible(table: DeltaTable) -> pd.DataFrame:
    """Return the keys of a table's rows with what the model said; nothing for a row that failed."""
    found = table.to_pyarrow_table(columns=["id", "prediction", "status"])
    echo = pc.struct_field(found["prediction"], "echo")
    seen = pd.DataFrame({"id": found["id"].to_pandas(), "echo": echo.to_pandas(), "status": found["status"].to_pandas()})
    seen.loc[seen["status"] != "ok", "echo"] = None
    return seen


def wrong(seen: pd.DataFrame, hashes: pd.Series) -> int:
    """Return how many rows do not have the hash of their text, those that the source does not have included."""
    return int((seen["id"].map(hashes) != seen["echo"]).sum())


def leftovers(target: Path) -> Iterator[str]:
    """Yield what of a run is left beside or within its target: staged files, lock files, folders of unfinished writes."""
    yield from (each.name for each in sorted(target.iterdir()) if each.name.startswith("_") and each.name != "_delta_log")
    yield from (each.name for each in sorted(target.parent.iterdir()) if each.name.startswith("."))


def unexpected(target: Path) -> Iterator[str]:
    """Yield each commit that is neither the table's making nor the one commit of one chunk of a run."""
    known: set[str] = set()
    for version, file in enumerate(sorted((target / "_delta_log").glob("*.json"))):
        actions = [json.loads(line) for line in file.read_text().splitlines()]
        operation = next((each["commitInfo"]["operation"] for each in actions if "commitInfo" in each), "no commitInfo")
        transactions = {each["txn"]["appId"] for each in actions if "txn" in each}
        made = version == 0 and operation == "CREATE TABLE" and not transactions
        chunk = operation in ("WRITE", "MERGE") and len(transactions) == 1 and not transactions & known
        if not made and not (version > 0 and chunk and all(map(TRANSACTION.fullmatch, transactions))):
            yield f"version {version}: {operation} of {', '.join(sorted(transactions)) or 'nobody'}"
        known |= transactions
