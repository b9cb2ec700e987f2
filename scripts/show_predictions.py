"""Shows ten predictions of a scored table, and how many are right; reads Delta without Spark."""

import argparse
from pathlib import Path
from typing import Any

import jiwer
import pandas as pd
from deltalake import DeltaTable


def docstrings(table: pd.DataFrame) -> str:
    """Return the accuracy on held-out docstrings of the packages that the model knows."""
    labels = {each["label"] for row in table["prediction"].dropna() for each in row["scores"]} | set(answers(table, "label"))
    held_out = table[(table["split"] == "held_out") & table["package"].isin(labels) & (table["status"] == "ok")]
    right = (answers(held_out, "label") == held_out["package"]).mean()
    return f"held-out accuracy {right:.1%} of {len(held_out)} docstrings over {len(labels)} packages"


def keypad(table: pd.DataFrame) -> str:
    """Return the share of keys that were heard wrong."""
    rate = jiwer.cer(list(table["keys"]), list(answers(table, "text")))
    return f"key error rate {rate:.2%} over {int(table['keys'].str.len().sum())} keys in {len(table)} recordings"


def answers(table: pd.DataFrame, field: str) -> "pd.Series[Any]":
    """Return one field of the predictions, None where a row failed."""
    return table["prediction"].map(lambda each: each[field] if each is not None else None)


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """Return ten rows with what was asked and what came out, keys first."""
    ten = table.sample(10, random_state=0)
    first = [name for name in ten.columns if name in ("module", "qualname", "file", "package", "keys")]
    numbers = ["label", "score"] if "package" in ten else ["text", "duration"]
    return ten[first].assign(**{name: answers(ten, name) for name in numbers}, status=ten["status"])


def main() -> None:
    """Print ten predictions and the measured quality of one of the quickstart's tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path, help="the folder of a scored table")
    table = DeltaTable(str(parser.parse_args().table)).to_pandas()
    print(shown(table).to_string(index=False))
    print(docstrings(table) if "package" in table else keypad(table))


if __name__ == "__main__":
    main()
