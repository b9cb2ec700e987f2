"""Compares scored tables with the native pipeline, row by row; run by scripts/compare_native after scripts/quickstart."""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pandas as pd
from deltalake import DeltaTable

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))
import cluster  # noqa: E402
import jobs  # noqa: E402
import oracle  # noqa: E402

KEYS = ["module", "qualname"]
WAREHOUSE = ROOT / "spark-warehouse"
RUNS = {"docstrings": "docstrings-topic", "recordings": "keypad-transcripts"}


def predictions(folder: Path, keys: Sequence[str]) -> pd.Series:
    """The predictions of a scored table by key."""
    return DeltaTable(str(folder)).to_pandas().set_index(list(keys))["prediction"]


@cache
def native_labels() -> tuple[pd.Series, list[list[dict]]]:
    """The docstrings by key, and what the native pipeline says of each by itself."""
    texts = DeltaTable(str(WAREHOUSE / "docstrings")).to_pandas().set_index(KEYS)["body"]
    return texts, oracle.labels(ROOT / ".cache" / "models" / "docstring_topic", list(texts))


@cache
def native_transcripts() -> tuple[list[str], list[str]]:
    """The recordings' names, and what the native pipeline hears in each by itself."""
    folder = ROOT / ".cache" / "keypad" / "recordings"
    names = sorted(DeltaTable(str(WAREHOUSE / "recordings_scored")).to_pandas()["file"])
    return names, oracle.transcripts(ROOT / ".cache" / "models" / "keypad", [folder / name for name in names])


def compare_labels(scored: Path) -> dict[str, float]:
    """How many labels differ, and by how much a score does."""
    texts, native = native_labels()
    ours = list(predictions(scored, KEYS).loc[texts.index])
    pairs = [
        ({e["label"]: e["score"] for e in mine["scores"]}, {e["label"]: e["score"] for e in its})
        for mine, its in zip(ours, native, strict=True)
    ]
    return {
        "docstrings": len(texts),
        "labels_that_differ": sum(mine["label"] != its[0]["label"] for mine, its in zip(ours, native, strict=True)),
        "largest_score_difference": max(abs(score - its[label]) for mine, its in pairs for label, score in mine.items()),
    }


def compare_transcripts(scored: Path) -> dict[str, int]:
    """How many transcripts differ."""
    names, native = native_transcripts()
    ours = predictions(scored, ["file"]).loc[names]
    return {"recordings": len(names), "transcripts_that_differ": sum(mine["text"] != its for mine, its in zip(ours, native, strict=True))}


def compare(folder: Path, **where: object) -> None:
    """Prints what differs in the two tables of a folder."""
    for name, compared in (("docstrings", compare_labels), ("recordings", compare_transcripts)):
        print(json.dumps({**where, **compared(folder / f"{name}_scored")}), flush=True)


def score_on(master: str, folder: Path, rows: int) -> None:
    """Both tables are scored into a folder by a cluster, in batches of so many rows."""
    for name, conf in RUNS.items():
        target = ["--set", f"target.path={folder / name}_scored", "--set", "target.table=null"]
        spark = ["--set", f"spark.spark.master={master}", "--set", f"batching.max_batch_rows={rows}"]
        ended = jobs.score(ROOT / "conf" / f"{conf}.yaml", *target, *spark, cwd=ROOT)
        if ended.code:
            raise SystemExit(f"{conf} on {master} ended with {ended.code}: {ended.said[-3000:]}")


def main() -> None:
    """Compares the quickstart's tables, or those that a cluster makes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cluster", action="store_true", help="score both tables on a standalone cluster of two workers first")
    if not parser.parse_args().cluster:
        compare(WAREHOUSE)
        return
    with tempfile.TemporaryDirectory() as scratch, cluster.standalone(Path(scratch)) as master:
        for rows in (1, 2, 7):
            folder = Path(scratch) / str(rows)
            score_on(master, folder, rows)
            compare(folder, rows_in_a_batch=rows)


if __name__ == "__main__":
    main()
