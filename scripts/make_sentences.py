"""Draws the source tables of the tutorials, of which training sees no row, into OUT_DIR/forecasts.parquet and so on."""

import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import typer
from tutorials.chats import draw_request, iter_chats
from tutorials.forecasts import iter_forecasts
from tutorials.orders import iter_orders
from tutorials.questions import iter_questions

ROWS = 300
SEED = 2026

Row = Mapping[str, Any]


def requests() -> Iterator[Row]:
    """Requests of OpenAI's clients, each with options of its own."""
    chance = random.Random(SEED)
    return (draw_request(chance, chat) for chat in iter_chats(SEED + 1, held_out=True))


def tables() -> Mapping[str, Iterator[Row]]:
    """The rows of every table by its name, without end."""
    return {
        "forecasts": map(asdict, iter_forecasts(SEED, held_out=True)),
        "orders": ({**asdict(order), "note": order.note} for order in iter_orders(SEED, held_out=True)),
        "chats": ({"messages": chat[:-1], "reply": chat[-1]["content"]} for chat in iter_chats(SEED, held_out=True)),
        "requests": requests(),
        "questions": map(asdict, iter_questions(SEED, held_out=True)),
    }


def numbered(rows: Iterable[Row]) -> pa.Table:
    """The first rows as a table with numbers for keys."""
    return pa.Table.from_pylist([{"id": i, **row} for i, row in enumerate(islice(rows, ROWS), start=1)])


def main(out_dir: Path) -> None:
    """Writes every table as a Parquet file."""
    out_dir.mkdir(parents=True, exist_ok=True)
    for name, rows in tables().items():
        pq.write_table(numbered(rows), out_dir / f"{name}.parquet")


if __name__ == "__main__":
    typer.run(main)
