"""Reports and plans as text and as HTML."""

from html.parser import HTMLParser
from typing import Any

from sparkcoil import RunReport, shown


def report(**changes: Any) -> RunReport:
    """Return a report of a run that went well but for two rows."""
    values: dict[str, Any] = {
        "name": "topics",
        "run_id": "9f3c",
        "status": "done",
        "exit_code": 0,
        "task": "text-classification",
        "options": {},
        "options_from": {},
        "options_ignored": {},
        "source": {"name": "docs", "version": 3},
        "target": {"name": "docs_scored", "version": 7},
        "model": {"uri": "models:/topic/1"},
        "rows": {"source": 1_200, "keys": 1_200, "due": 1_100, "ok": 1_098, "failed": 2, "unpublished": 0, "copied": 0},
        "failures": [{"stage": "input", "code": "null_input", "rows": 2}],
        "seconds": {"prepare": 1.04, "score": 9.0, "total": 10.5},
        "throughput": {"rows_per_second": 122.2, "units_per_second": 2_000.4, "unit": "tokens", "dtype": "float32", "device": "cpu"},
        **changes,
    }
    return RunReport(**values)


class Cells(HTMLParser):
    """The texts of a table's cells, and the tags that were met."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_a_report_says_what_became_of_the_rows() -> None:
    assert str(report()).splitlines() == [
        "run:           topics: text-classification, 9f3c",
        "status:        done, exit code 0",
        "model:         models:/topic/1",
        "source:        docs at version 3",
        "target:        docs_scored at version 7",
        "due:           1,100 of 1,200 keys",
        "of them:       1,098 ok, 2 failed",
        "failures:      2 input/null_input",
        "throughput:    122.2 rows and 2,000 tokens a second, float32 on cpu",
        "seconds:       10.5: prepare 1.0, score 9.0",
    ]


def test_a_report_of_a_rerun_leaves_out_what_there_is_nothing_to_say_of() -> None:
    rows = {"source": 5, "keys": 5, "due": 0, "ok": 0, "failed": 0, "unpublished": 0, "copied": 0}
    said = str(report(status="nothing_due", rows=rows, failures=(), throughput={}))
    assert "nothing_due" in said
    assert [line for line in said.splitlines() if line.startswith(("of them", "failures", "throughput", "exceeded"))] == []


def test_a_report_over_budget_says_which_rule_is_broken() -> None:
    assert "exceeded:      2 of 3 rows failed" in str(report(exceeded="2 of 3 rows failed"))


def test_html_has_the_same_lines_as_the_text() -> None:
    cells = Cells()
    cells.feed(report()._repr_html_())
    assert cells.texts == [text for line in report().lines().items() for text in line]
    assert cells.tags == {"table", "tbody", "tr", "th", "td"}


def test_nothing_that_is_said_is_taken_for_markup() -> None:
    cells = Cells()
    cells.feed(shown.html({"<b>name": "<script>alert('a & b')</script>"}))
    assert cells.texts == ["<b>name", "<script>alert('a & b')</script>"]
    assert "script" not in cells.tags


def test_no_colour_is_set_that_a_dark_page_would_hide() -> None:
    assert "color" not in report()._repr_html_()
    assert "background" not in report()._repr_html_()


def test_a_source_that_has_no_versions_is_named_alone() -> None:
    assert shown.at_version({"name": "photos", "version": None}) == "photos"
    assert shown.at_version({"name": "docs", "version": 0}) == "docs at version 0"
