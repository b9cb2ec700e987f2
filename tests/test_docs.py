"""The pages that are made from the code say what it says."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def make_docs() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_docs", ROOT / "scripts" / "make_docs.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_about_run_files_is_up_to_date(make_docs: ModuleType) -> None:
    assert make_docs.PAGE.read_text(encoding="utf-8") == make_docs.page(), "./scripts/make_docs writes it anew"


def test_every_key_has_its_type_its_default_and_its_sentence(make_docs: ModuleType) -> None:
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in make_docs.page().splitlines() if line.startswith("| `")]
    assert len(rows) > 30
    assert all(takes and sentence.endswith(".") for _, takes, _, sentence in rows)
    assert [key for key, _, default, _ in rows if default == "required"] == ["`name`", "`model.uri`", "`source.keys`", "`source.columns`"]
