"""Jobs as a user starts them: a process of its own, its exit code, and the JSON on its last line."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]


class Ended(NamedTuple):
    """How a job ended: its exit code, the JSON on stdout's last line, and what it said on stderr."""

    code: int
    report: dict[str, Any]
    said: str


def command(conf: Path | str, *arguments: str) -> list[str]:
    """Return the command that starts the scoring job."""
    return [sys.executable, str(ROOT / "jobs" / "score.py"), str(conf), *arguments]


def score(conf: Path | str, *arguments: str, cwd: Path, **environment: str) -> Ended:
    """Run the scoring job to its end in a folder."""
    done = subprocess.run(
        command(conf, *arguments), capture_output=True, text=True, cwd=cwd, env={**os.environ, **environment}, check=False
    )
    lines = done.stdout.strip().splitlines()
    return Ended(done.returncode, json.loads(lines[-1]) if lines else {}, done.stderr)
