"""How predictions are spread: shares beside those of the run before, and how far the two are apart."""

from sparkcoil import spread
from sparkcoil.spread import Counted


def counts(of: str, what: str, values: dict[str, int]) -> list[Counted]:
    return [Counted(of, what, value, rows) for value, rows in values.items()]


def test_labels_are_shares_of_each_run_s_own_predictions() -> None:
    given = [*counts("this", "label", {"a": 30, "b": 10}), *counts("previous", "label", {"a": 1, "c": 1})]
    given += [Counted("this", "status", "ok", 40), Counted("previous", "status", "ok", 2)]
    (chart,) = spread.charts(given)
    assert chart.labels == ["a", "b", "c"]
    assert chart.series == {"this run": [75, 25, 0], "run before": [50, 0, 50]}
    assert "Distance to the run before: 0.50" in chart.note


def test_rare_labels_and_those_not_counted_are_others() -> None:
    given = [*counts("this", "label", {f"l{i:02}": 100 - i for i in range(20)}), Counted("this", "status", "ok", 2_000)]
    (chart,) = spread.charts(given)
    assert len(chart.labels) == spread.MOST_BARS + 1 and chart.labels[-1] == "(others)"
    assert round(sum(chart.series["this run"])) == 100


def test_a_run_without_one_before_has_one_series_and_no_distance() -> None:
    (chart,) = spread.charts(counts("this", "score", {"0": 1, "19": 3}))
    assert chart.series["this run"][0] == 25 and chart.series["this run"][19] == 75
    assert list(chart.series) == ["this run"] and "Distance" not in chart.note


def test_scores_outside_of_0_to_1_have_columns_of_their_own() -> None:
    (chart,) = spread.charts(counts("this", "score", {"-1": 1, "3": 1, "20": 2}))
    assert (chart.labels[0], chart.labels[1], chart.labels[-1]) == ("<0", "0.00", ">1")
    assert chart.series["this run"][-1] == 50


def test_only_what_this_run_has_is_shown() -> None:
    assert list(spread.charts(counts("previous", "label", {"a": 1}))) == []


def test_long_and_odd_labels_are_shortened() -> None:
    assert spread.shortened("a\nb\x00") == "a·b·"
    assert len(spread.shortened("x" * 99)) == spread.LONGEST_LABEL
