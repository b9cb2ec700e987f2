"""Breaks the library in ten ways, each in a copy of the tree, and shows that a test fails on each of them.

./scripts/mutate [NAME ...]
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Mutation:
    """A fault: in a module of the library `before` becomes `after`, and at least one of `tests` has to fail."""

    name: str
    module: str
    before: str
    after: str
    tests: str


MUTATIONS = (
    Mutation(
        "dropped mask",
        "engines/encoder.py",
        'if "attention_mask" in rows[0] and (lengths != lengths[0]).any():',
        "if False:",
        "tests/tasks/test_text_classification.py",
    ),
    Mutation(
        "wrong exit code",
        "errors.py",
        '"""The run was refused before a single row was scored."""\n\n    exit_code = 3',
        '"""The run was refused before a single row was scored."""\n\n    exit_code = 1',
        "tests/test_cli.py",
    ),
    Mutation(
        "lost transaction id",
        "sink.py",
        '{"txnAppId": transaction, "txnVersion": "1", "userMetadata": note}',
        '{"userMetadata": note}',
        "tests/test_sink.py tests/test_chunks.py tests/test_pipeline.py",
    ),
    Mutation("unchecked digest", "weights.py", "if found != weights.digest:", "if False:", "tests/test_weights.py"),
    Mutation(
        "swallowed row",
        "rows.py",
        "    return frame.select(\n        *quoted((*keys, *keep)),",
        "    return frame.where(next(iter(inputs.values())).isNotNull()).select(\n        *quoted((*keys, *keep)),",
        "tests/test_pipeline.py",
    ),
    Mutation(
        "predictions on the wrong rows",
        "batching.py",
        "for position, result in zip(batch, results, strict=True):",
        "for position, result in zip(sorted(batch), results, strict=True):",
        "tests/test_batching.py",
    ),
    Mutation(
        "changed input taken for the old one",
        "rows.py",
        '(F.col("__hash") == F.col("input_hash")) & (F.col("__digest") == model_digest)',
        'F.col("__hash").isNotNull() & (F.col("__digest") == model_digest)',
        "tests/test_pipeline.py",
    ),
    Mutation(
        "payload in an error",
        "scoring.py",
        'f"{doing} raised {type(error).__name__}"',
        'f"{doing} raised {type(error).__name__}: {error}"',
        "tests/test_scoring.py",
    ),
    Mutation(
        "pickle past the gate",
        "gate.py",
        'yield Finding(name, "may run code when loaded (a pickle)", trust="pickle")',
        "return",
        "tests/test_gate.py",
    ),
    Mutation(
        "error budget without an end",
        "error_budget.py",
        "if failed > budget.max_failed_share * total:",
        "if False:",
        "tests/test_error_budget.py",
    ),
)


def failed_test(mutation: Mutation, folder: Path) -> str | None:
    """Return the first test that fails on a copy of the tree with the fault in it, or None where all pass.

    Raises ValueError where the module does not have the text once that the fault replaces.
    """
    tree = folder / mutation.name.replace(" ", "_")
    shutil.copytree(ROOT, tree, symlinks=True, ignore=shutil.ignore_patterns(".git", ".venv", ".cache", "spark-warehouse", "__pycache__"))
    (tree / ".cache").symlink_to(ROOT / ".cache")
    module = tree / "lib" / "sparkcoil" / mutation.module
    text = module.read_text()
    if text.count(mutation.before) != 1:
        raise ValueError(f"{mutation.name}: expected {mutation.before!r} once in {mutation.module}, found {text.count(mutation.before)}")
    module.write_text(text.replace(mutation.before, mutation.after))
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *mutation.tests.split()]
    done = subprocess.run(
        command, cwd=tree, env={**os.environ, "PYTHONPATH": str(tree / "lib")}, capture_output=True, text=True, check=False
    )
    found = re.search(r"^FAILED (\S+)", done.stdout, re.MULTILINE)
    return found[1] if found else None


def main(names: Annotated[list[str] | None, typer.Argument(help="the faults, all unless named")] = None) -> None:
    """Print for each fault the test that fails on it; exits with 1 where none does."""
    chosen = [each for each in MUTATIONS if not names or each.name in names]
    survived = False
    with tempfile.TemporaryDirectory() as folder:
        for mutation in chosen:
            test = failed_test(mutation, Path(folder))
            survived |= test is None
            print(f"{mutation.name}: {test or 'no test fails'}", flush=True)
    raise typer.Exit(int(survived))


if __name__ == "__main__":
    typer.run(main)
