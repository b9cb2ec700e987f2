"""Where sparkcoil keeps what it can make again: Delta's jars, downloaded models, staged scorers."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path


def temporary(purpose: str) -> Path:
    """Return a new folder that is removed when the process ends: until then executors may start that need what is in it."""
    path = Path(tempfile.mkdtemp(prefix=f"sparkcoil-{purpose}-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


def folder(*parts: str) -> Path:
    """Return a folder of the cache, made if missing and closed to other users; `SPARKCOIL_CACHE` moves the cache."""
    root = Path(os.environ.get("SPARKCOIL_CACHE") or Path.home() / ".cache" / "sparkcoil")
    path = root.joinpath(*parts)
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path
