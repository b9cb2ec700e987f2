"""What identifies a model's files: one sha256 over their names and contents, remembered while their sizes and times stay."""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from sparkcoil import cache

# MLflow writes this one beside an artifact that it hands out under a registered name.
NOT_THE_MODELS = {"registered_model_meta"}
# Python writes bytecode there when MLflow imports the library that log_model has put beside a model.
LIBRARY = ("code", "sparkcoil")


def files(folder: Path) -> Iterator[Path]:
    """Yield the files of an artifact in a fixed order, without those that MLflow adds on reading."""
    yield from sorted(path for path in folder.rglob("*") if path.is_file() and not is_added(path.relative_to(folder)))


def is_added(name: Path) -> bool:
    """Tell whether a file of an artifact was not logged with it."""
    return name.name in NOT_THE_MODELS or (name.parts[:2] == LIBRARY and name.parent.name == "__pycache__")


def of_folder(folder: Path) -> str:
    """Return the sha256 over the names and contents of a folder's files."""
    total = hashlib.sha256()
    for path in files(folder):
        total.update(f"{path.relative_to(folder)}\0{of_file(path)}\n".encode())
    return total.hexdigest()


def of_file(path: Path) -> str:
    """Return the sha256 of a file, read in blocks."""
    total = hashlib.sha256()
    with path.open("rb") as content:
        while block := content.read(1 << 20):
            total.update(block)
    return total.hexdigest()


def remembered(folder: Path) -> str:
    """Return the sha256 of a folder, which is read only where a file's size or time has changed since the last time."""
    listing = [(str(file.relative_to(folder)), file.stat()) for file in files(folder)]
    stamp = json.dumps([str(folder), [(name, stat.st_size, stat.st_mtime_ns) for name, stat in listing]])
    try:
        known = cache.folder("digests") / hashlib.sha256(stamp.encode()).hexdigest()
        if not known.exists() or len(known.read_text()) != 64:  # a full disk may have left half of one
            unfinished = known.with_name(f"{known.name}.{os.getpid()}")
            unfinished.write_text(of_folder(folder))
            unfinished.rename(known)
        return known.read_text()
    except OSError:  # an executor may have no folder to write to
        return of_folder(folder)
