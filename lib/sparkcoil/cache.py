"""Where sparkcoil keeps what it can make again: Delta's jars, downloaded models, staged scorers."""

import os
from pathlib import Path


def folder(*parts: str) -> Path:
    """Return a folder of the cache, made if missing and closed to other users; `SPARKCOIL_CACHE` moves the cache."""
    root = Path(os.environ.get("SPARKCOIL_CACHE") or Path.home() / ".cache" / "sparkcoil")
    path = root.joinpath(*parts)
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path
