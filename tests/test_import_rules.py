"""Who may import what, read from the syntax trees; and the public names."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import sparkcoil

LIB = Path(sparkcoil.__file__).parent
PLAIN = (
    "errors",
    "agreement",
    "config",
    "fields",
    "sections",
    "settings",
    "problems",
    "runfile",
    "ledger",
    "batching",
    "pacing",
    "estimate",
    "error_budget",
    "scoring",
    "watchdog",
    "report",
    "shown",
    "figures",
    "effort",
    "spread",
    "account",
    "contest",
    "status",
    "display",
    "terminal",
    "artifact",
    "options",
    "fitness",
    "gate",
    "generation",
    "prompts",
    "response_schema",
    "structured",
    "endpoints",
    "truncation",
    "reading",
    "recordings",
    "cells",
    "images",
    "raster",
    "extent",
    "png",
    "refused",
    "heard",
    "wire",
    "roots",
    "containers",
    "transcripts",
    "windows",
    "tasks/",
)
SPARK_FREE = (
    "engines/",
    "media",
    "sndfile",
    "checkpoint",
    "decoding",
    "compaction",
    "planning",
    "writing",
    "steps",
    "dictation",
    "tracks",
    "alignment",
    "charts",
    "illustrated",
    "sandbox",
    *PLAIN,
)
MLFLOW = ("models", "udf", "tracking", "registry", "signature")


def modules() -> dict[str, set[str]]:
    """Return what each module imports at any depth, by its path without the suffix."""
    return {str(path.relative_to(LIB).with_suffix("")): imports(path) for path in sorted(LIB.rglob("*.py"))}


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize(("module", "imported"), modules().items())
def test_plain_modules_know_neither_spark_nor_mlflow_nor_torch(module: str, imported: set[str]) -> None:
    if module.startswith(PLAIN):
        assert not imported & {"pyspark", "delta", "mlflow", "torch", "transformers"}


@pytest.mark.parametrize(("module", "imported"), modules().items())
def test_engines_know_neither_spark_nor_mlflow(module: str, imported: set[str]) -> None:
    if module.startswith(SPARK_FREE):
        assert not imported & {"pyspark", "delta", "mlflow"}


@pytest.mark.parametrize(("module", "imported"), modules().items())
def test_only_a_few_modules_know_mlflow(module: str, imported: set[str]) -> None:
    assert "mlflow" not in imported or module in MLFLOW


def test_importing_sparkcoil_imports_nothing_heavy() -> None:
    code = (
        "import sys, sparkcoil, sparkcoil.cli, sparkcoil.runfile; "
        "print({'pyspark', 'mlflow', 'torch', 'transformers', 'matplotlib', 'jinja2'} & set(sys.modules))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "set()"


def test_every_public_name_is_there() -> None:
    assert all(getattr(sparkcoil, name) is not None for name in sparkcoil.__all__)


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert not {Path(name).stem for name in modules()} & {"utils", "helpers", "common", "base", "manager"}


def body_lines(node: ast.FunctionDef) -> int:
    body = node.body[1:] if ast.get_docstring(node) else node.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_modules_and_functions_keep_to_the_house_limits() -> None:
    long = []
    for path in LIB.rglob("*.py"):
        if len(path.read_text().splitlines()) > 250:
            long.append(path.name)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and body_lines(node) > 40:
                long.append(f"{path.name}:{node.name}")
    assert not long
