"""What a run of the suite has left behind: processes with its mark in their environment, files in its temporary folder, files in the tree.

python tests/leftovers.py FOLDER BEFORE, with the suite's temporary folder and what `git status` printed before it, exits with 1 where there
is something.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]
# The variable by which a process, whoever its parent is by now, is known as one that the suite has started.
MARK = "SPARKCOIL_SUITE"
# pytest keeps the folders of the last tests, MLflow the lock with which a store in a file is set up, and torch what it has compiled.
KEPT = ("pytest-of-", "db_init_lock-", "torchinductor_")
# A JVM ends a moment after the Python process that it served.
PATIENCE_SECONDS = 20.0


def processes(folder: Path) -> Iterator[str]:
    """Yield the processes that the suite started and that still run, with the ports that they listen on."""
    for process in psutil.process_iter():
        try:
            if process.pid != psutil.Process().pid and process.environ().get(MARK) == str(folder):
                ports = [each.laddr.port for each in process.net_connections() if each.status == psutil.CONN_LISTEN]
                command = " ".join(process.cmdline())[:200]
                yield f"process {process.pid}{f', listening on {ports}' if ports else ''}: {command}"
        except psutil.Error:  # it has ended meanwhile, or is another user's
            continue


def files(folder: Path) -> Iterator[str]:
    """Yield what lies in the suite's temporary folder but for what libraries leave there by design."""
    for path in sorted(folder.iterdir()):
        if not path.name.startswith(KEPT):
            yield f"file {path}"


def changes(before: str) -> Iterator[str]:
    """Yield the files of the repository that were changed or added, ignored ones not counted."""
    for line in sorted({*git_status().splitlines()} - {*before.splitlines()}):
        yield f"change of the tree: {line}"


def git_status() -> str:
    """Return what git says of the working tree."""
    return subprocess.run(
        ["git", "status", "--porcelain", "--", ".", ":!tests/record.json"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout


def wait_for_none(look: Callable[[], list[str]], *, seconds: float = PATIENCE_SECONDS) -> list[str]:
    """Return what a look finds once it finds nothing, or after so many seconds."""
    deadline = time.monotonic() + seconds
    while (found := look()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return found


def main(folder: str, before: str) -> None:
    """Print what was left, a line each."""
    left = wait_for_none(lambda: [*processes(Path(folder)), *files(Path(folder))])
    left += changes(before)
    for line in left:
        print(f"left behind by the tests: {line}", file=sys.stderr)
    raise SystemExit(bool(left))


if __name__ == "__main__":
    main(*sys.argv[1:])
