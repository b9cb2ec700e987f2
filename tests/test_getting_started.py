"""docs/getting-started.md, done from its first command to its last in a folder with what a checkout has."""

import re
from pathlib import Path

import pytest
from walk import Done, walk

ROOT = Path(__file__).parents[1]

pytestmark = [pytest.mark.long("pages"), pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def walked(examples: Path, jars: None, tmp_path_factory: pytest.TempPathFactory) -> list[Done]:
    """Every command of the page after the set-up, in order."""
    return walk(ROOT / "docs" / "getting-started.md", tmp_path_factory.mktemp("checkout"), examples)


def scored(walked: list[Done]) -> list[Done]:
    return [each for each in walked if each.command.startswith("python jobs/score.py")]


def test_every_command_ends_as_the_page_says(walked: list[Done]) -> None:
    said = {each.command: int((re.findall(r"# exits with (\d)$", each.command) or ["0"])[0]) for each in walked}
    assert {each.command: each.code for each in walked} == said
    assert len(walked) == 10


def test_the_plan_counts_the_rows_of_the_table(walked: list[Done]) -> None:
    [planned] = [each for each in walked if each.command.startswith("python jobs/plan.py")]
    assert planned.report["rows"]["due"] == 5


def test_past_the_error_budget_nothing_is_published_and_the_report_says_why(walked: list[Done]) -> None:
    report = scored(walked)[0].report
    assert (report["status"], report["rows"]["ok"], report["rows"]["failed"]) == ("budget_exceeded", 0, 0)
    assert [each["code"] for each in report["failures"]] == ["null_input"]


def test_five_rows_in_are_five_rows_out(walked: list[Done]) -> None:
    [shown] = [each for each in walked if each.command.startswith("import sparkcoil")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in shown.printed.splitlines() if re.match(r"\|\s*\d", line)]
    assert [(key, sender, status) for key, sender, _, _, status, _ in cells] == [
        ("1", "Ann", "ok"),
        ("2", "Ben", "ok"),
        ("3", "Ben", "ok"),
        ("4", "Cleo", "ok"),
        ("5", "Dan", "failed"),
    ]
    assert cells[4][5] == "null_input"


def test_the_mended_row_is_the_only_one_that_is_scored_again_and_then_none(walked: list[Done]) -> None:
    mended, again = scored(walked)[-2:]
    assert (mended.report["rows"]["due"], mended.report["rows"]["ok"]) == (1, 1)
    assert (again.report["status"], again.report["rows"]["due"]) == ("nothing_due", 0)
