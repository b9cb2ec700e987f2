"""The pages that are made from the code say what it says."""

import importlib
import re
from pathlib import Path
from types import ModuleType

import pytest
from ways import WAYS

from sparkcoil import tasks

ROOT = Path(__file__).parents[1]
PAGES = ("docs/run-file.md", "docs/tasks.md", "docs/models.md", "docs/recordings.md", "docs/images.md", "docs/tutorials.md", "README.md")


@pytest.fixture(scope="module")
def make_docs() -> ModuleType:
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(ROOT / "scripts")
        return importlib.import_module("make_docs")


@pytest.fixture(scope="module")
def made(make_docs: ModuleType) -> dict[str, str]:
    return {str(path.relative_to(ROOT)): content for path, content in make_docs.pages().items()}


def rows(page: str) -> list[list[str]]:
    """Return the cells of every line of a page's tables."""
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("| ")]


def section(page: str, heading: str) -> str:
    return page.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def test_nothing_else_is_made(made: dict[str, str]) -> None:
    assert sorted(made) == sorted(PAGES)


@pytest.mark.parametrize("name", PAGES)
def test_it_is_up_to_date(made: dict[str, str], name: str) -> None:
    assert (ROOT / name).read_text(encoding="utf-8") == made[name], "./scripts/make_docs writes it anew"


def test_every_key_has_its_type_its_default_and_its_sentence(made: dict[str, str]) -> None:
    keys = [row for row in rows(made["docs/run-file.md"]) if row[0].startswith("`")]
    assert len(keys) > 30
    assert all(takes and sentence.endswith(".") for _, takes, _, sentence in keys)
    assert [key for key, _, default, _ in keys if default == "required"] == ["`name`", "`model.uri`"]


@pytest.mark.parametrize("name", tasks.names())
def test_every_task_has_a_section_with_its_inputs_options_prediction_and_models(made: dict[str, str], name: str) -> None:
    said, task = section(made["docs/tasks.md"], name), tasks.load(name)
    named = [*(each.name for each in task.inputs), *task.options.model_fields, *task.heads, *task.aliases]
    assert [each for each in named if f"`{each}`" not in said] == []
    assert " ".join(task.prediction.split()) in " ".join(said.split())


def test_every_option_has_its_type_and_its_description(made: dict[str, str]) -> None:
    options = [row for row in rows(made["docs/tasks.md"]) if len(row) == 4 and row[0].startswith("`")]
    described = {row[0].strip("`") for row in options}
    assert all(takes and sentence for _, takes, _, sentence in options)
    assert {name for task in tasks.names() for name in tasks.load(task).options.model_fields} <= described


def test_every_way_of_logging_scores_under_every_form_of_uri_or_is_refused_for_a_reason(made: dict[str, str]) -> None:
    by_way = {row[0]: row[1:] for row in rows(made["docs/models.md"].split("\n## ")[0])}
    forms = by_way.pop("logged as")[:-1]
    assert {"`models:/name@alias`", "`runs:/id/path`", "a path"} <= set(forms)
    assert set(by_way) == {each.name for each in WAYS}
    for each in WAYS:
        *cells, reason = by_way[each.name]
        assert len(cells) == len(forms)
        assert set(cells) == ({"scores"} if each.refused is None else {""})
        assert reason.startswith("refused: ") == (each.refused is not None)


def test_every_reason_belongs_to_a_way_that_is_refused(make_docs: ModuleType) -> None:
    assert set(make_docs.models.REFUSALS) == {each.name for each in WAYS if each.refused is not None}


@pytest.mark.parametrize("page", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_to_a_file_and_to_a_heading_of_it(page: Path, make_docs: ModuleType) -> None:
    for target, heading in re.findall(r"\]\((?!https?:)([\w./-]*)(?:#([\w-]+))?\)", page.read_text(encoding="utf-8")):
        file = page.parent / target if target else page
        assert file.exists(), target
        if heading:
            headings = {
                make_docs.tasks.anchor(line.lstrip("# ")) for line in file.read_text(encoding="utf-8").splitlines() if line.startswith("#")
            }
            assert heading in headings
