"""Charts as SVG in a page: text that is text and escaped, the page's colours, no identifiers that repeat."""

import re
import warnings
import xml.etree.ElementTree as ElementTree

import pytest

from sparkcoil import charts
from sparkcoil.spread import Chart

ODD = ["<script>alert(1)</script>", "a & b", "$x$ and $y", "返金", '"quoted"']
BARS = Chart("labels", "", "bars", {"this run": [1, 2, 3.5, 0, 150], "run before": [5, 4, 3, 2, 1]}, ODD)
LINE = Chart("throughput", "", "line", {"rows per second": [1.0, 3.0, 0.0]}, at=[0.0, 1.0, 2.0], axis="seconds")
COLUMNS = Chart("scores", "", "columns", {"this run": [1.0] * 20, "run before": [2.0] * 20}, [f"{i / 20:.2f}" for i in range(20)])


@pytest.fixture(scope="module")
def drawn() -> dict[str, str]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return {chart.kind: charts.svg(chart) for chart in (BARS, LINE, COLUMNS)}


def test_labels_are_text_and_escaped(drawn: dict[str, str]) -> None:
    texts = [each.text for each in ElementTree.fromstring(drawn["bars"]).iter("text")]
    assert set(ODD) <= set(texts) and "150" in texts and "3.5" in texts
    assert "<script" not in drawn["bars"]


@pytest.mark.parametrize("kind", ["bars", "line", "columns"])
def test_colours_are_the_page_s_own(drawn: dict[str, str], kind: str) -> None:
    colours = set(re.findall(r"(?:fill|stroke): ([^;\"]+)", drawn[kind]))
    assert {"var(--one)", "var(--ink)"} <= colours <= {"none", *charts.COLOURS.values()}


@pytest.mark.parametrize("kind", ["bars", "line", "columns"])
def test_it_has_no_size_and_no_identifier_that_is_not_used(drawn: dict[str, str], kind: str) -> None:
    assert re.match(r"<svg[^>]*viewBox", drawn[kind]) and not re.match(r"<svg[^>]* (width|height)=", drawn[kind])
    assert all(f"#{name}" in drawn[kind] for name in re.findall(r' id="([^"]*)"', drawn[kind]))
    assert "http" not in drawn[kind]


def test_the_same_chart_is_drawn_the_same(drawn: dict[str, str]) -> None:
    assert charts.svg(LINE) == drawn["line"]
