"""Does what a page of docs/ says, block by block, in one process: jobs share its JVM and its imports, as a notebook's cells would.

python tests/walk.py PAGE RESULTS

Writes a JSON list to RESULTS: each command with its exit code and what it printed.
"""

import contextlib
import io
import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Done(NamedTuple):
    """A command of a page: its exit code, what it printed, and its last line where that is JSON."""

    command: str
    code: int
    printed: str

    @property
    def report(self) -> dict[str, Any]:
        return json.loads(self.printed.strip().splitlines()[-1])


def walk(page: Path, folder: Path, examples: Path) -> list[Done]:
    """Do every command of a page after the set-up, in order, in a folder that gets what a checkout has; gives what came of each.

    It is a process of its own, with an MLflow store of its own.
    """
    for name in ("jobs", "conf"):
        shutil.copytree(ROOT / name, folder / name)
    (folder / ".cache").symlink_to(examples)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    command = [sys.executable, __file__, str(page), "done.json"]
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]
    return [Done(*each) for each in json.loads((folder / "done.json").read_text())]


def steps(page: str) -> Iterator[tuple[str, str]]:
    """Yield the kind and text of each step: a job by itself, any other block of commands whole, a block of Python whole."""
    for kind, text in BLOCK.findall(page):
        lines = text.strip().splitlines()
        if kind == "sh" and all(line.startswith("python jobs/") for line in lines):
            yield from (("job", line) for line in lines)
        else:
            yield kind, text


def run_job(command: str) -> tuple[int, str]:
    """Run a job's file as its own main program; gives its exit code and what it printed."""
    _, *sys.argv = shlex.split(command, comments=True)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        try:
            runpy.run_path(sys.argv[0], run_name="__main__")
        except SystemExit as end:
            return int(end.code or 0), printed.getvalue()
    return 0, printed.getvalue()


def run_python(code: str) -> tuple[int, str]:
    """Run a block of Python; gives 0 and what it printed."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "block", "exec"), {"__name__": "block"})
    return 0, printed.getvalue()


def run_shell(commands: str) -> tuple[int, str]:
    """Run a block of commands; gives its exit code and what it printed."""
    done = subprocess.run(["bash", "-e", "-c", commands], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


if __name__ == "__main__":
    run = {"job": run_job, "python": run_python, "sh": run_shell}
    page, results = map(Path, sys.argv[1:])
    # What sets everything up has been done, or else this would not run.
    done = [
        (text, *run[kind](text)) for kind, text in steps(page.read_text()) if "./scripts/" not in text and "scripts/environment" not in text
    ]
    results.write_text(json.dumps(done))
