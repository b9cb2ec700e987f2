"""Runs the notebooks of docs/notebooks anew, on the tables and models of the quickstart, and stores them with what they gave."""

import argparse
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


def executed(path: Path, checkout: Path) -> NotebookNode:
    """Return a notebook as it is after a run in a checkout's docs/notebooks, which has to be there; raises where a cell does."""
    notebook = nbformat.read(path, as_version=4)
    place = {"metadata": {"path": str(checkout / "docs" / "notebooks")}}
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources=place).execute()
    return notebook


def plain(notebook: NotebookNode) -> NotebookNode:
    """Return a notebook without what Spark and MLflow said on stderr, which names places of this machine, and without times."""
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs = [each for each in cell.outputs if each.get("name") != "stderr"]
    notebook.metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return notebook


def main() -> None:
    """Run each notebook in a checkout that the quickstart was run in."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path, nargs="?", default=ROOT, help="the folder with spark-warehouse and mlflow.db")
    checkout = parser.parse_args().checkout.resolve()
    for path in NOTEBOOKS:
        nbformat.write(plain(executed(path, checkout)), path)


if __name__ == "__main__":
    main()
