"""Jobs as a user starts them, in a process of their own or in this one: the exit code, and the JSON on the last line."""

import contextlib
import io
import json
import os
import runpy
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]


class Ended(NamedTuple):
    """How a job ended: its exit code, the JSON on stdout's last line, what it said on stderr, and the lines on stdout."""

    code: int
    report: dict[str, Any]
    said: str
    lines: Sequence[str] = ()


def command(conf: Path | str, *arguments: str) -> list[str]:
    """Return the command that starts the scoring job."""
    return [sys.executable, str(ROOT / "jobs" / "score.py"), str(conf), *arguments]


def score(conf: Path | str, *arguments: str, cwd: Path, **environment: str) -> Ended:
    """Run the scoring job to its end in a folder."""
    done = subprocess.run(
        command(conf, *arguments), capture_output=True, text=True, cwd=cwd, env={**os.environ, **environment}, check=False
    )
    return ended(done.returncode, done.stdout, done.stderr)


def ended(code: int, printed: str, said: str) -> Ended:
    """Return how a job ended, given what it printed on stdout and on stderr."""
    lines = printed.strip().splitlines()
    return Ended(code, json.loads(lines[-1]) if lines else {}, said, lines)


def here(job: str, *arguments: str | Path, cwd: Path) -> Ended:
    """Run a job to its end as the main program of this process, in a folder, with the session that is there."""
    printed, said, before, argv = io.StringIO(), io.StringIO(), Path.cwd(), sys.argv
    sys.argv = [job, *map(str, arguments)]
    os.chdir(cwd)
    code = 0
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(said):
            runpy.run_path(str(ROOT / "jobs" / f"{job}.py"), run_name="__main__")
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        os.chdir(before)
        sys.argv = argv
    return ended(code, printed.getvalue(), said.getvalue())
