"""What the report of a run says, made of figures and counts."""

from typing import Any

import pytest
from test_figures import measured, window

from sparkcoil import account, effort, figures
from sparkcoil.account import Account, Material
from sparkcoil.figures import Part
from sparkcoil.report import Progress
from sparkcoil.spread import Counted
from sparkcoil.verdicts import Verdict

RUN: dict[str, Any] = {
    "name": "a run",
    "task": "text-classification",
    "source": {"name": "tickets", "version": 12},
    "options": {"top_k": "3"},
    "model": {"uri": "models:/topic/7", "version": "7", "digest": "ab" * 32},
    "trusted": [],
    "began": 1_000.0,
    "user": "etl",
    "slots": 2,
    "master": "local[2]",
    "per_hour": 36.0,
    "environment": {"python": "3.11"},
}


def part(version: int | None, *, at: float, score: float, last: bool = False, due: int = 40) -> Part:
    """Return a commit of twenty rows, two of them failed."""
    progress = Progress(due)
    progress.add(measured(window(at - 2, at - 1), window(at - 2, at)))
    noted = figures.of(progress, {"prepare": 1.0, "score": score, "total": score + 1.0}, began=1_000.0, is_last=last)
    return Part("run-1", version, at, 20, {**noted, "run": RUN})


def said(*parts: Part, **changes: Any) -> Account:
    known: dict[str, Any] = {"run_id": "run-1", "target": "scored", "keys": ("id",), "before": None, "counts": (), "parts": parts}
    return account.of(Material(**{**known, **changes}))


WHOLE = (part(3, at=1_004.0, score=2.0), part(4, at=1_010.0, score=5.0, last=True))


def test_a_whole_run_is_done() -> None:
    found = said(*WHOLE)
    facts = dict(found.facts)
    assert (found.title, found.ended) == ("a run", "Done: 40 rows published, of 40 due.")
    assert (facts["ok"], facts["failed"], facts["failed share"], facts["took"]) == ("36", "4", "10.00%", "10.0 s")
    assert (facts["rows per second"], facts["tokens per second"], facts["padding efficiency"]) == ("8.0", "64", "80.0%")
    assert facts["cost per 1,000 rows"] == "2.5"


def test_a_run_that_did_not_end_says_how_far_it_came() -> None:
    assert said(WHOLE[0]).ended == "Under way, or ended early: 20 rows published, of 40 due."


def test_what_is_not_published_is_told_apart() -> None:
    found = said(WHOLE[0], part(None, at=1_010.0, score=5.0), exceeded="4 of 40 due rows failed")
    assert found.ended == "Ended over its limits: 4 of 40 due rows failed. 20 rows published, 20 scored and not published."
    assert dict(found.facts)["ok"] == "18"


def test_gates_and_a_challenger_are_told_by_the_last_commit_that_tells_of_them() -> None:
    assert "gates" not in {table.title for table in said(*WHOLE).tables}
    verdict = Verdict("max_label_share", 0.9, 0.95, False, "label 'x' has 19 of 20 ok rows")
    pair = {"outcome": "compared", "same": False, "champion": "a", "challenger": "<b>", "rows": 3, "measured": 3, "distance": 0.75}
    progress = Progress(
        20, judged=[verdict], compared=[pair, {**pair, "same": True, "challenger": "a", "rows": 9, "measured": 9, "distance": 0.45}]
    )
    progress.add(measured(window(0, 1)))
    noted = figures.of(progress, {"total": 1.0}, began=0.0, is_last=True)
    found = said(WHOLE[0], Part("run-1", 5, 2.0, 20, {**noted, "run": {**RUN, "challenger": "models:/topic/8"}}))
    tables = {table.title: table.rows for table in found.tables}
    assert tables["gates"] == [["max_label_share", "0.9", "0.95", "no"]]
    assert dict(tables["champion and challenger"]) == {
        "challenger": "models:/topic/8", "rows that both scored": "12", "of these they agree on": "9, 75.0%", "mean distance": "0.1"
    }  # fmt: skip
    assert tables["labels of both"] == [["a", "a", "9"], ["a", "<b>", "3"]]


def test_of_an_old_run_whose_commits_have_no_figures_what_is_known_is_said() -> None:
    found = said(Part("run-1", 3, 1_000.0, 20, None), Part("run-1", 4, 1_060.0, 5, None))
    assert found.ended == "25 rows published. Its commits hold no figures: it was made before they did."
    assert found.facts == (("took", "60.0 s"),) and found.charts == ()
    assert [table.title for table in found.tables] == ["lineage"]


def test_the_last_commit_s_own_time_is_publishing() -> None:
    totals = effort.totals_of(WHOLE)
    assert totals.seconds == {"prepare": 1.0, "score": 5.0, "publish": 4.0} and totals.elapsed == 10.0


def test_keys_of_failed_rows_are_masked_and_found_by_their_hash() -> None:
    example = '{"id":"ticket-4711","n":12}'
    found = said(*WHOLE, counts=[Counted("this", "failure", "model/oom", 3, example)])
    failures = next(table for table in found.tables if table.title == "failures")
    assert failures.rows == [["model", "oom", "3", "id=t…1, n=…", account.digest(example)]]
    assert "struct(`id`)" in failures.note


@pytest.mark.parametrize(("seconds", "words"), [(3.21, "3.2 s"), (242, "4 min 2 s"), (7_500, "2 h 5 min")])
def test_times_are_said_as_people_say_them(seconds: float, words: str) -> None:
    assert account.spoken(seconds) == words


def test_a_clock_that_says_what_cannot_be_is_not_believed() -> None:
    assert effort.took(12.0, 10.0) == 12.0
    assert [effort.took(each, 10.0) for each in (-20.0, 3.0, 2_592_000.0)] == [10.0, 10.0, 10.0]


def test_a_line_of_many_points_is_thinned_and_keeps_its_area() -> None:
    times, values = [float(i) for i in range(5_001)], [float(i % 7) for i in range(5_000)] + [0.0]
    few_times, few = effort.thinned(times, values)
    area = sum(value * (end - start) for value, start, end in zip(few, few_times, [*few_times[1:], times[-1]], strict=True))
    assert len(few) <= effort.POINTS
    assert area == pytest.approx(sum(values))
    assert effort.thinned(times[:5], values[:5]) == (times[:5], values[:5])
