"""The arithmetic of a plan, on values in the open."""

import json
from typing import Any

import pytest

from sparkcoil import estimate
from sparkcoil.estimate import Plan, Probe, Sizes
from sparkcoil.pacing import Pace


def window(**seconds: float) -> dict[str, Any]:
    return {"seconds": seconds, "units": 50, "unit": "tokens", "device": "cpu", "dtype": "float32", "lengths": {"1": 3, "2": 7, "-1": 1}}


def probe(**changes: Any) -> Probe:
    given: dict[str, Any] = {
        "rows": 10,
        "bytes": 400,
        "windows": [window(forward=1.5, write=0.5)] * 2,
        "truncated": 1,
        "failed": 0,
        "due": 10,
    }
    return Probe(**{**given, **changes})


def made(**changes: Any) -> Plan:
    given: dict[str, Any] = {
        "name": "topics",
        "task": "text-classification",
        "options": {"top_k": 3, "stride": None},
        "options_from": {"top_k": "run file"},
        "options_ignored": {},
        "source": {"name": "docs", "version": 4},
        "target": {"name": "topics", "version": 0},
        "model": {"uri": "models:/topic/1", "mebibytes": 90.0, "device": "cpu", "dtype": "float32"},
        "rows": {"source": 12, "keys": 12, "due": 9, "new": 7, "changed": 2, "to_score": 8, "copied": 1, "duplicates": 0},
        "unit": "tokens",
        "lengths": {"median": 20, "longest": 512},
        "truncated_share": 0.1,
        "failed_share": 0.0,
        "slots": 2,
        "tasks": 2,
        "chunks": 1,
        "probe": {"rows": 8},
        "seconds": {"score": 5_000.0, "total": 7_200.0},
        "cost": 12.5,
    }
    return Plan(**{**given, **changes})


def test_what_inputs_cost_goes_by_their_bytes_and_is_shared_by_the_slots() -> None:
    assert estimate.scoring_seconds(probe(), Sizes(1_000, 40_000, {}), slots=2) == pytest.approx(4 / 400 * 40_000 / 2)


def test_inputs_without_bytes_cost_alike() -> None:
    assert estimate.scoring_seconds(probe(bytes=0), Sizes(1_000, 0, {}), slots=4) == pytest.approx(4 / 10 * 1_000 / 4)


def test_what_workers_wait_for_is_no_work() -> None:
    assert probe(windows=[window(forward=1.0, load=9.0, wait=9.0)]).busy_seconds == 1.0


def test_lengths_are_in_the_unit_of_the_model() -> None:
    assert estimate.lengths(probe(), Sizes(10, 400, {"median": 40, "longest": 80})) == {"median": 10, "longest": 20}


def test_lengths_of_files_are_those_that_inputs_that_were_tried_do_not_pass() -> None:
    sounds = [{**window(forward=1.0), "unit": "audio seconds"}, {**window(forward=1.0), "unit": "audio seconds", "lengths": {"4": 1}}]
    found = estimate.lengths(probe(windows=sounds), Sizes(10, 400, {"median": 40, "longest": 80}))
    assert found == {"median": 4, "p90": 4, "p99": 16, "longest": 16}


def test_a_plan_of_more_failures_than_the_budget_allows_says_so_and_one_with_nothing_to_try_says_nothing_of_it() -> None:
    assert "rows.max_failed_share is 5.0%" in str(made(failed_share=0.1, max_failed_share=0.05))
    assert "over budget" not in str(made(failed_share=0.05, max_failed_share=0.05))
    assert not {"spread", "cut, failed", "tokens each"} & made(probe={"rows": 0}).lines().keys()


@pytest.mark.parametrize(
    ("seconds", "rows", "chunk_rows", "expected"),
    [(10.0, 900, None, 1), (10.0, 8_000, None, 2), (3_000.0, 400_000, None, 11), (10.0, 900, 400, 3), (0.0, 0, None, 0)],
)
def test_chunks_are_cut_as_a_run_cuts_them(seconds: float, rows: int, chunk_rows: int | None, expected: int) -> None:
    assert estimate.chunks(Pace(rows, 2, chunk_rows), seconds, overhead=2.0) == expected


def test_a_plan_says_what_is_due_and_why_and_what_it_takes() -> None:
    said = str(made())
    for words in (
        "9 of 12 keys: 7 new, 2 changed or to be scored in another way",
        "8 different inputs; 1 rows are copied",
        "median 20, longest 512",
        "top_k=3 (run file)",
        "2.0 hours, costs 12.50",
        "models:/topic/1, 90.0 MiB, float32 on cpu",
    ):
        assert words in said
    assert "costs" not in str(made(cost=None))


def test_a_plan_is_one_line_of_json() -> None:
    found = json.loads(made().to_json())
    assert (found["rows"]["due"], found["exit_code"], "\n" in made().to_json()) == (9, 0, False)


@pytest.mark.parametrize(("seconds", "said"), [(5, "5 seconds"), (89.6, "90 seconds"), (600, "10 minutes"), (7_200, "2.0 hours")])
def test_time_is_said_as_people_say_it(seconds: float, said: str) -> None:
    assert estimate.spoken(seconds) == said
