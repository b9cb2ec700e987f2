"""Collects the texts documenting Python's own standard library into OUT_DIR/docstrings.parquet: real data that every machine already has.

Reads source files only: nothing of the standard library is imported.
"""

import argparse
import ast
import hashlib
import sys
import sysconfig
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

TEST_FOLDERS = frozenset({"test", "tests", "idle_test"})
HELP_TOPICS = "pydoc_data.topics"
UNDOCUMENTED_KEPT = 200
HELD_OUT_PERCENT = 20
SCHEMA = pa.schema([pa.field(name, pa.string(), nullable=name == "body") for name in ("module", "qualname", "package", "body", "split")])

Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Docstring:
    """What documents one definition; the body is empty where nothing does."""

    module: str
    qualname: str
    package: str
    body: str
    split: str


def digest(text: str) -> int:
    """The same number for the same text on every machine, unlike hash()."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def split_of(body: str) -> str:
    """The split is decided by the text alone, so that equal texts never straddle train and held-out."""
    return "held_out" if digest(body) % 100 < HELD_OUT_PERCENT else "train"


def iter_sources(stdlib: Path) -> Iterator[tuple[str, Path]]:
    """The module name and file of everything importable in the standard library, except its tests."""
    for path in stdlib.rglob("*.py"):
        parts = path.relative_to(stdlib).with_suffix("").parts
        # What is no identifier cannot be a package of the library: site-packages, dist-packages, config-3.11-x86_64-linux-gnu.
        if all(part.isidentifier() for part in parts) and not TEST_FOLDERS.intersection(parts):
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def iter_definitions(node: ast.AST, prefix: str = "") -> Iterator[tuple[str, Definition]]:
    """Every class and function below the node with its qualified name as Python forms it, also those under if, try and with."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, Definition):
            yield from iter_definitions(child, prefix)
            continue
        yield prefix + child.name, child
        yield from iter_definitions(child, f"{prefix}{child.name}." + ("" if isinstance(child, ast.ClassDef) else "<locals>."))


def iter_help_topics(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """The chapters that help('TOPIC') shows: the one documentation in the library that runs to tens of thousands of characters."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            yield from ((f"topics.{topic}", text) for topic, text in ast.literal_eval(node.value).items())


def iter_texts(module: str, tree: ast.Module) -> Iterator[tuple[str, str]]:
    """The qualified name and the text of everything that can be documented in a module, empty where it is not."""
    yield "<module>", ast.get_docstring(tree) or ""
    for name, node in iter_definitions(tree):
        yield name, ast.get_docstring(node) or ""
    if module == HELP_TOPICS:
        yield from iter_help_topics(tree)


def iter_docstrings(module: str, tree: ast.Module) -> Iterator[Docstring]:
    """A module's texts under names of their own: a name defined again gets #2, #3, ... in source order."""
    seen: Counter[str] = Counter()
    for name, body in iter_texts(module, tree):
        seen[name] += 1
        qualname = name if seen[name] == 1 else f"{name}#{seen[name]}"
        yield Docstring(module=module, qualname=qualname, package=module.split(".")[0], body=body, split=split_of(body))


def select_texts(docstrings: Iterable[Docstring]) -> list[Docstring]:
    """Everything documented and a fixed handful of what is not, sorted by key."""
    found = list(docstrings)
    documented = [item for item in found if item.body.strip()]
    # By digest: the first 200 by name would all come from the first few modules of the alphabet.
    blank = sorted((item for item in found if not item.body.strip()), key=lambda item: digest(f"{item.module}:{item.qualname}"))
    return sorted(documented + blank[:UNDOCUMENTED_KEPT], key=lambda item: (item.module, item.qualname))


def collect(stdlib: Path) -> list[Docstring]:
    """The docstrings of a standard library's folder."""
    trees = ((module, ast.parse(path.read_bytes(), filename=str(path))) for module, path in iter_sources(stdlib))
    return select_texts(docstring for module, tree in trees for docstring in iter_docstrings(module, tree))


def main() -> None:
    """Writes the table and says on stderr what is in it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out_dir", type=Path)
    out_dir: Path = parser.parse_args().out_dir
    rows = collect(Path(sysconfig.get_path("stdlib")))
    out_dir.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist([asdict(row) for row in rows], schema=SCHEMA), out_dir / "docstrings.parquet")
    packages = Counter(row.package for row in rows)
    sys.stderr.write(f"{len(rows)} texts of {len(packages)} packages, the largest: {packages.most_common(14)}\n")


if __name__ == "__main__":
    main()
