"""Tiny models, built once for each content of what builds them, and copied from .cache/tiny from then on."""

import hashlib
import inspect
import os
import shutil
from collections.abc import Callable
from functools import cache, wraps
from importlib.metadata import version
from pathlib import Path
from typing import Any

CACHE = Path(__file__).parents[1] / ".cache" / "tiny"
Build = Callable[..., Path]


@cache
def makers() -> bytes:
    """Return the content of all that makes tiny models, and the versions of the libraries that do."""
    sources = [path.read_bytes() for path in sorted(Path(__file__).parent.glob("tiny_*.py"))]
    versions = [f"{name} {version(name)}".encode() for name in ("torch", "transformers", "tokenizers", "numpy")]
    return b"\0".join([*sources, *versions])


def kept(build: Build) -> Build:
    """Make a function that fills a folder, its first argument, with a model copy the one that it made before with equal arguments."""

    @wraps(build)
    def fill(folder: Path, *args: Any, **given: Any) -> Path:
        call = f"{inspect.getfile(build)} {build.__qualname__} {args!r} {sorted(given.items())!r}"
        if " at 0x" in call:  # an argument that is another one each time
            return build(folder, *args, **given)
        own = Path(inspect.getfile(build)).read_bytes()
        place = CACHE / hashlib.sha256(makers() + own + call.encode()).hexdigest()[:24]
        if not place.is_dir():
            make(place, lambda unfinished: build(unfinished, *args, **given))
        shutil.copytree(place / "folder", folder, dirs_exist_ok=True, symlinks=True)
        return folder / (place / "result").read_text()

    return fill


def make(place: Path, build: Callable[[Path], Path]) -> None:
    """Fill a place that is there whole or not at all, also where two processes fill it at once."""
    unfinished = place.with_suffix(f".{os.getpid()}")
    shutil.rmtree(unfinished, ignore_errors=True)
    (unfinished / "folder").mkdir(parents=True)
    result = build(unfinished / "folder")
    (unfinished / "result").write_text(str(result.relative_to(unfinished / "folder")))
    try:
        unfinished.rename(place)
    except OSError:
        shutil.rmtree(unfinished)
