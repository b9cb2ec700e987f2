"""The figures of a commit: windows added up, the time they took, and what is left out of a note that everyone may read."""

import json
from typing import Any

import pytest

from sparkcoil import figures
from sparkcoil.report import Measured, Progress


def window(began: float, ended: float, **changes: Any) -> dict[str, Any]:
    """Return what a window notes of itself."""
    return {
        "rows": 10,
        "computed_rows": 8,
        "forwards": 2,
        "computed": 100,
        "useful": 80,
        "units": 80.0,
        "out_of_memory": 0,
        "loads": 0,
        "load_seconds": 0.0,
        "seconds": {"forward": ended - began},
        "lengths": {3: 5, 4: 3},
        "unit": "tokens",
        "device": "cpu",
        "dtype": "float32",
        "worker": 7,
        "began": began,
        "ended": ended,
        **changes,
    }


def measured(*windows: dict[str, Any]) -> Measured:
    failures = [{"stage": "input", "code": "null_input", "rows": 2, "example": '{"id":"secret"}'}]
    return Measured(failures, windows, sum(each["rows"] for each in windows), copied=1, refused=0)


def test_figures_are_those_of_what_waits_and_name_no_key() -> None:
    progress = Progress(40)
    progress.add(measured(window(100.0, 101.0)))
    progress.publish()
    progress.add(measured(window(101.0, 103.0), window(101.0, 102.0)))
    found = figures.of(progress, {"score": 3.0, "total": 4.0}, began=100.0, is_last=True)
    assert found["rows"] == {"ok": 18, "failed": 2, "copied": 1, "refused": 0, "gone": 0}
    assert (found["windows"]["count"], found["windows"]["rows"], found["windows"]["lengths"]) == (2, 20, {"3": 10, "4": 6})
    assert found["failures"] == [{"stage": "input", "code": "null_input", "rows": 2}]
    assert "secret" not in json.dumps(found)


def test_figures_that_were_added_up_are_added_up_again() -> None:
    some, more = figures.summed([window(0, 1), window(1, 3)]), figures.summed([window(3, 4, device="cuda:0")])
    both = figures.summed([json.loads(json.dumps(some)), more])
    assert both == figures.summed([window(0, 1), window(1, 3), window(3, 4, device="cuda:0")])
    assert (both["count"], both["seconds"], both["device"]) == (3, {"forward": 4.0}, "cpu, cuda:0")


def test_the_time_line_has_all_rows_where_workers_worked() -> None:
    line = figures.timeline([window(110.0, 112.0), window(112.0, 114.0), window(112.0, 114.0, rows=30)], began=100.0)
    assert line["from"] == 10.0
    assert sum(line["rows"]) * line["step"] == pytest.approx(50, rel=0.01)
    assert line["rows"][0] == pytest.approx(5) and line["rows"][-1] == pytest.approx(20)


def test_a_time_line_has_few_steps_however_many_windows() -> None:
    line = figures.timeline([window(i, i + 1) for i in range(1_000)], began=0.0)
    assert len(line["rows"]) == figures.STEPS and line["rows"] == pytest.approx([10] * figures.STEPS)


def test_windows_without_times_give_no_time_line() -> None:
    old = {name: value for name, value in window(0, 1).items() if name not in ("began", "ended")}
    assert figures.timeline([old], began=0.0) == {}
    assert "at" not in figures.described(old, began=0.0)


def test_the_slowest_windows_are_so_for_what_they_hold_and_not_for_waiting() -> None:
    large, waited = window(0, 10, units=8_000.0), window(0, 1, seconds={"forward": 1.0, "wait": 50.0})
    slow = window(0, 9, units=10.0)
    assert figures.slowest([large, waited, slow]) == [slow, waited, large]


def test_a_long_value_is_cut() -> None:
    assert figures.cut(["a", 1]) == '["a", 1]'
    assert len(figures.cut("x" * 1_000)) == figures.LONGEST_VALUE


def test_the_note_of_a_run_of_many_windows_is_small() -> None:
    progress = Progress(10_000)
    progress.add(measured(*(window(i, i + 1.234567, units=12345.678) for i in range(1_000))))
    assert len(json.dumps(figures.of(progress, {"score": 3.0, "total": 4.0}, began=0.0, is_last=False))) < 3_000
