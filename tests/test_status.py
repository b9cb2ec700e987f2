"""The arithmetic of how far a run is, on values in the open."""

import json
from typing import Any

import pytest

from sparkcoil import status
from sparkcoil.errors import BudgetExceeded, TargetBusy
from sparkcoil.report import Progress, RunReport
from sparkcoil.status import Status, Tasks


def window(rows: int, units: float, unit: str = "tokens") -> dict[str, Any]:
    return {"rows": rows, "units": units, "unit": unit}


def progress(**changes: Any) -> Progress:
    return Progress(1_000, **{"scored": 400, "windows": [window(300, 6_000), window(100, 2_000)], **changes})


def report(**changes: Any) -> RunReport:
    names = ("options", "options_from", "options_ignored", "source", "target", "model", "rows")
    given: dict[str, Any] = {"name": "topics", "run_id": "1f", "status": "done", "exit_code": 0, "task": "echo"}
    return RunReport(**{**given, **{name: {} for name in names}, **changes})


def test_a_rate_is_that_of_the_samples() -> None:
    assert status.rate([(100.0, 40), (110.0, 60), (120.0, 240)]) == 10.0


@pytest.mark.parametrize("samples", [[], [(1.0, 0)], [(1.0, 5), (9.0, 5)]])
def test_there_is_no_rate_before_a_row_is_done(samples: list[tuple[float, int]]) -> None:
    assert status.rate(samples) is None


def test_only_the_last_minutes_count_with_the_sample_before_them() -> None:
    samples = [(0.0, 0), (100.0, 10), (350.0, 20), (500.0, 30)]
    assert status.recent(samples, 500.0) == [(100.0, 10), (350.0, 20), (500.0, 30)]
    assert status.recent(samples, 9_999.0) == [(500.0, 30)]


def test_tokens_go_by_those_of_the_rows_that_are_counted() -> None:
    found = status.rates(progress(), 600, 50.0)
    assert (found["units_per_second"], found["unit"], found["real_time_factor"]) == (1_000.0, "tokens", None)
    assert found["eta_seconds"] == 8.0


def test_a_real_time_factor_is_what_a_second_of_sound_takes() -> None:
    found = status.rates(progress(windows=[window(10, 200.0, "audio seconds")]), 600, 0.5)
    assert (found["units_per_second"], found["real_time_factor"]) == (10.0, 0.1)


def test_before_the_first_chunk_is_counted_only_rows_have_a_rate() -> None:
    found = status.rates(progress(windows=[]), 10, 2.0)
    assert (found["rows_per_second"], found["units_per_second"], found["unit"], found["eta_seconds"]) == (2.0, None, None, 495.0)


def test_rows_are_counted_by_what_became_of_them() -> None:
    seen = progress(copied=7, failures=[{"rows": 2}, {"rows": 3}])
    seen.published.update(ok=195, failed=5)
    assert status.counts(seen, 450) == {"due": 1_000, "done": 450, "copied": 7, "failed": 5, "published": 200}


def test_json_says_everything_that_the_value_does() -> None:
    given = Status("topics", rows={"due": 2, "done": 1}, tasks=Tasks(1, 2, 3, 4, 5, 6.0))
    found = json.loads(given.to_json())
    assert Status(**{**found, "tasks": Tasks(**found["tasks"])}) == given


def test_a_line_says_where_it_is_how_fast_and_what_it_waits_for() -> None:
    given = Status(
        "topics",
        stage="score",
        chunk=2,
        rows={"due": 2_000, "done": 500, "failed": 3},
        rows_per_second=12.3456,
        unit="tokens",
        units_per_second=1_234.5,
        eta_seconds=121.5,
        tasks=Tasks(running=2, done=1, total=6, slowest=4, slowest_seconds=75.0),
    )
    assert str(given) == (
        "topics: score, chunk 2, 500 of 2,000 rows (25%), 3 failed, 12.3 rows/s, 1,234 tokens/s, 2 minutes to go, "
        "1 of 6 tasks, partition 4 for 75 seconds"
    )


def test_what_is_over_says_how_it_ended() -> None:
    assert str(Status("topics", state="nothing_due", rows={"due": 0, "done": 0})) == "topics: nothing due"
    assert str(Status("topics", state="failed", stage="score", error="TargetBusy")) == "topics: failed: TargetBusy"


def test_a_run_ends_as_its_report_says() -> None:
    found = status.finished(report(throughput={"rows_per_second": 4.0, "unit": "tokens", "units_per_second": 80.0}))
    assert (found["state"], found["exit_code"], found["units_per_second"]) == ("done", 0, 80.0)
    over = BudgetExceeded("too many", report(status="budget_exceeded", exit_code=4))
    assert (status.failed(over)["state"], status.failed(over)["exit_code"]) == ("budget_exceeded", 4)


def test_a_run_that_an_error_ends_has_the_exit_code_of_the_job() -> None:
    found = [status.failed(each) for each in (TargetBusy("a secret"), ValueError("a secret"), KeyboardInterrupt())]
    assert [each["exit_code"] for each in found] == [5, 1, 130]
    assert "secret" not in str(found)
