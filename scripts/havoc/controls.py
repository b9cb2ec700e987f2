"""Targets spoiled on purpose, and those of jobs that are written naively: an oracle that passes one of them would prove nothing."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from havoc import oracle
from havoc.oracle import Verdict
from havoc.scene import Scene, surroundings


def append_again(target: Path) -> None:
    """Append all rows once more, as a rerun would that does not ask what is there."""
    write_deltalake(str(target), DeltaTable(str(target)).to_pyarrow_table(), mode="append")


def delete_a_row(target: Path) -> None:
    """Remove one row."""
    DeltaTable(str(target)).delete("id = 7")


def spoil_a_row(target: Path) -> None:
    """Give one row the hash of another text, as results do that are out of step with their rows."""
    table = DeltaTable(str(target)).to_pyarrow_table()
    rows = table.to_pylist()
    other = next(each["prediction"] for each in rows if each["id"] == 8)
    spoiled = [{**each, "prediction": other} if each["id"] == 7 else each for each in rows]
    write_deltalake(str(target), pa.Table.from_pylist(spoiled, table.schema), mode="overwrite")


def leave_a_stage(target: Path) -> None:
    """Leave what a run has staged."""
    (target / "_sparkcoil" / "some-run").mkdir(parents=True)


def leave_a_lock(target: Path) -> None:
    """Leave a lock file beside the target."""
    (target.parent / f".{target.name}.sparkcoil-lock").touch()


# What each control does, and what the oracle has to say of it.
CONTROLS: Mapping[str, tuple[Callable[[Path], None], Callable[[Verdict, int], bool]]] = {
    "all rows appended again": (append_again, lambda verdict, rows: verdict.duplicated == rows and len(verdict.commits) == 1),
    "one row deleted": (delete_a_row, lambda verdict, rows: verdict.lost == 1 and len(verdict.commits) == 1),
    "one row with the hash of another": (spoil_a_row, lambda verdict, rows: verdict.mismatched == 1 and verdict.lost == 0),
    "a staged file left": (leave_a_stage, lambda verdict, rows: verdict == Verdict(0, 0, 0, leftovers=("_sparkcoil",))),
    "a lock file left": (leave_a_lock, lambda verdict, rows: len(verdict.leftovers) == 1 and not verdict.commits),
}


# What each job of naive.py does, and what the oracle has to say of its target.
NAIVE: Mapping[str, tuple[str, Callable[[Verdict, int], bool]]] = {
    "append_twice": ("a rerun that appends", lambda verdict, rows: verdict.duplicated == rows),
    "raise_at_a_row": ("a function that raises at a bad row", lambda verdict, rows: verdict.lost == rows),
    "reverse_versions": ("two chunks under one transaction id, the later first", lambda verdict, rows: 0 < verdict.lost < rows),
    "resolve_in_tasks": ("an alias that each task resolves, and that moves", lambda verdict, rows: 0 < verdict.mismatched < rows),
    "shuffle_noise": ("a shuffle above a noisy model, whose files are lost", lambda verdict, rows: verdict.lost > 0 < verdict.duplicated),
}


def caught_naive(scene: Scene) -> dict[str, bool]:
    """Return for each naive job over the scene's source whether the oracle says what is wrong with its target."""
    folder, script = scene.place / "naive", Path(__file__).with_name("naive.py")
    command = [sys.executable, str(script), str(scene.folder / "in"), str(folder)]
    subprocess.run(command, check=True, env={**os.environ, **surroundings(scene.folder), "SPARK_LOCAL_DIRS": str(folder / "local")})
    return {name: is_seen(oracle.verdict(folder / job / "out", scene.hashes), scene.rows) for job, (name, is_seen) in NAIVE.items()}


def caught(scene: Scene) -> dict[str, bool]:
    """Return for each control whether the oracle says of a copy of the scene's target, spoiled so, what is wrong with it."""
    found = {}
    for number, (name, (spoil, is_seen)) in enumerate(CONTROLS.items()):
        target = scene.place / f"control{number}" / "out"
        shutil.copytree(scene.target, target)
        spoil(target)
        found[name] = is_seen(oracle.verdict(target, scene.hashes), scene.rows)
    return found
