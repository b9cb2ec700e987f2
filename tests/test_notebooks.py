"""The notebooks in docs do what they show."""

import importlib
import re
import shutil
from pathlib import Path
from types import ModuleType

import nbformat
import pytest
from nbformat import NotebookNode
from pyspark.sql import SparkSession

ROOT = Path(__file__).parents[1]
NAMES = ("audio", "text")

pytestmark = pytest.mark.usefixtures("scratch")


@pytest.fixture(scope="module")
def scripts() -> tuple[ModuleType, ModuleType]:
    """The script that runs notebooks, and the one that makes their tables."""
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(ROOT / "scripts")
        return importlib.import_module("make_notebooks"), importlib.import_module("make_tables")


@pytest.fixture(scope="module")
def checkout(
    spark: SparkSession,
    examples: Path,
    text_model: str,
    audio_model: str,
    scripts: tuple[ModuleType, ModuleType],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A folder with what the notebooks find in a checkout, whose tables have few rows of the quickstart's."""
    folder = tmp_path_factory.mktemp("notebooks")
    (folder / "docs" / "notebooks").mkdir(parents=True)
    shutil.copytree(ROOT / "conf", folder / "conf")
    tables = scripts[1].quickstart(spark, examples)
    few = {"docstrings": "package = 'mailbox'", "recordings": "file < 'keypad_0012'"}
    for name, condition in few.items():
        tables[name].where(condition).coalesce(1).write.format("delta").save(str(folder / "spark-warehouse" / name))
    return folder


def stored(name: str) -> NotebookNode:
    return nbformat.read(ROOT / "docs" / "notebooks" / f"{name}.ipynb", as_version=4)


def kinds(notebook: NotebookNode) -> list[list[str]]:
    """Return which kinds of output each cell of code has, but for what was said on stderr; a run shows a bar beside its report."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    outputs = [[each for each in cell.outputs if each.get("name") != "stderr"] for cell in cells]
    return [sorted({kind for each in of_cell for kind in each.get("data", {each.output_type: None})}) for of_cell in outputs]


@pytest.mark.long("pages")
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs_to_its_end_and_gives_what_is_stored(checkout: Path, scripts: tuple[ModuleType, ModuleType], name: str) -> None:
    done = scripts[0].executed(ROOT / "docs" / "notebooks" / f"{name}.ipynb", checkout)
    assert kinds(done) == kinds(stored(name))


@pytest.mark.parametrize("name", NAMES)
def test_every_cell_of_a_notebook_but_the_last_shows_a_table(name: str) -> None:
    assert kinds(stored(name)) == [["text/html", "text/plain"]] * (len(kinds(stored(name))) - 1) + [[]]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_stored_names_no_place_of_a_machine(name: str) -> None:
    assert not re.search(r"/(tmp|home|root|Users|private|work|var)/|file:/|localhost|127\.0", nbformat.writes(stored(name)))


def test_every_notebook_is_run_here() -> None:
    assert sorted(path.stem for path in (ROOT / "docs" / "notebooks").glob("*.ipynb")) == list(NAMES)
