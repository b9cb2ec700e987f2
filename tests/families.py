"""The long families of tests: whose code each of them covers, and with which state of that code it last passed.

python tests/families.py prints the families that have not passed with the code as it is now, one a line.
"""

import hashlib
import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from fnmatch import fnmatch
from pathlib import Path

from sparkcoil import cache

ROOT = Path(__file__).parents[1]
RECORD = ROOT / "tests" / "record.json"

# A path, from the repository's root, and the families of tests that have to pass again where a file matching it has changed.
COVERED_BY = {
    "scripts/make_examples": ("tutorials",),
    "scripts/make_*.py": ("tutorials", "scripts"),
    "scripts/train_*.py": ("tutorials",),
    "scripts/tutorials/*": ("tutorials", "scripts"),
    "scripts/speech/*": ("tutorials", "scripts"),
    "scripts/benchmark*": ("scripts",),
    "conf/*.yaml": ("tutorials",),
    "docs/tutorials.md": ("tutorials",),
    "docs/getting-started.md": ("pages",),
    "docs/notebooks/*": ("pages",),
    "scripts/make_notebooks.py": ("pages",),
    "jobs/*": ("pages", "clusters"),
    "docs/clusters.md": ("clusters",),
    "conf/spark-defaults.conf": ("clusters",),
    "setup.py": ("clusters",),
    "lib/sparkcoil/session.py": ("clusters",),
    "lib/sparkcoil/weights.py": ("clusters",),
    "lib/sparkcoil/preflight.py": ("clusters",),
    "lib/sparkcoil/scorer.py": ("clusters",),
    "lib/sparkcoil/supervis*.py": ("clusters",),
    "lib/sparkcoil/models.py": ("outside",),
    "lib/sparkcoil/registry.py": ("outside",),
    "lib/sparkcoil/packing.py": ("outside",),
    "lib/sparkcoil/plain.py": ("outside",),
    "lib/sparkcoil/library.py": ("outside",),
    "lib/sparkcoil/files.py": ("outside",),
    "lib/sparkcoil/folders.py": ("outside",),
    "lib/sparkcoil/engines/*": ("architectures",),
    "lib/sparkcoil/tasks/*": ("architectures",),
    "lib/sparkcoil/batching.py": ("architectures",),
    "lib/sparkcoil/checkpoint.py": ("architectures",),
    "lib/sparkcoil/scoring.py": ("architectures",),
    "scripts/chaos*": ("chaos",),
    "scripts/havoc/*": ("chaos",),
    "lib/sparkcoil/chunks.py": ("chaos", "runs"),
    "lib/sparkcoil/drift.py": ("runs",),
    "lib/sparkcoil/source.py": ("runs",),
    "lib/sparkcoil/tables.py": ("runs",),
    "lib/sparkcoil/remedies.py": ("runs",),
    "lib/sparkcoil/options.py": ("runs",),
    "lib/sparkcoil/native.py": ("runs",),
    "lib/sparkcoil/assembly.py": ("runs",),
    "lib/sparkcoil/trial.py": ("architectures",),
    "lib/sparkcoil/rehearsal.py": ("architectures",),
    "lib/sparkcoil/lease.py": ("chaos",),
    "lib/sparkcoil/heartbeat.py": ("chaos",),
    "lib/sparkcoil/pipeline.py": ("chaos",),
    "lib/sparkcoil/sink.py": ("chaos", "runs"),
    "lib/sparkcoil/staging.py": ("chaos", "runs"),
    "lib/sparkcoil/stream.py": ("chaos",),
}
TESTS = {
    "tutorials": ("tests/test_tutorials.py",),
    "pages": ("tests/test_getting_started.py", "tests/test_notebooks.py"),
    "clusters": (
        "tests/test_cluster.py",
        "tests/test_clusters.py",
        "tests/test_connect.py",
        "tests/test_ways.py",
        "tests/cluster.py",
        "tests/doors.py",
    ),
    "chaos": ("tests/test_chaos.py",),
    "architectures": (
        *("tests/test_task_contract.py", "tests/architectures.py", "tests/cases.py", "tests/tiny_*.py"),
        "tests/tasks/*.py",
    ),
    "scripts": tuple(f"tests/test_{name}.py" for name in ("docstrings", "keypad", "calls", "sentences", "benchmark")),
    "runs": ("tests/test_quality.py", "tests/test_drift.py", "tests/test_real_tables.py", "tests/test_logged_settings.py"),
    "outside": ("tests/test_models.py", "tests/test_files.py", "tests/test_plain.py", "tests/plain_user.py"),
}


def covered(family: str) -> tuple[str, ...]:
    """Return the patterns of the files that a family depends on, its own tests among them."""
    return (*(pattern for pattern, families in COVERED_BY.items() if family in families), *TESTS[family])


def stamp(family: str, files: Mapping[str, str]) -> str:
    """Return what identifies the state of a family's files, given the content hash of every file in the repository."""
    patterns = covered(family)
    mine = [f"{path} {content}" for path, content in sorted(files.items()) if any(fnmatch(path, each) for each in patterns)]
    return hashlib.sha256("\n".join(mine).encode()).hexdigest()[:16]


def tracked_files() -> dict[str, str]:
    """Return the content hash of each file that git tracks, as it is in the working tree."""
    paths = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return {path: hashlib.sha256((ROOT / path).read_bytes()).hexdigest() for path in paths if (ROOT / path).is_file()}


def passed_file() -> Path:
    """Return the file in which this machine keeps what has passed, for every checkout alike."""
    return cache.folder("tests") / "passed.json"


def read_passed() -> dict[str, list[str]]:
    """Return the stamps with which each family has passed, in the committed record or on this machine."""
    passed: dict[str, list[str]] = {}
    for source in (json.loads(RECORD.read_text())["passed"] if RECORD.exists() else {}, _read(passed_file())):
        for family, stamps in source.items():
            passed.setdefault(family, []).extend(stamps)
    return passed


def _read(file: Path) -> dict[str, list[str]]:
    return json.loads(file.read_text()) if file.exists() else {}


def keep_passed(families: Iterable[str]) -> None:
    """Note on this machine that families have passed with the code as it is now."""
    file, files = passed_file(), tracked_files()
    passed = _read(file)
    for family in families:
        passed[family] = [*dict.fromkeys([*passed.get(family, []), stamp(family, files)])][-20:]
    unfinished = file.with_suffix(f".{os.getpid()}")
    unfinished.write_text(json.dumps(passed, indent=1))
    unfinished.rename(file)


def touched(passed: Mapping[str, Iterable[str]], files: Mapping[str, str]) -> list[str]:
    """Return the families that have not passed with these files; one that has never passed is among them."""
    return [family for family in TESTS if stamp(family, files) not in set(passed.get(family, ()))]


if __name__ == "__main__":
    print(*touched(read_passed(), tracked_files()), sep="\n")
