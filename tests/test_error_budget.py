"""The error budget: which rule a run has broken, said with its key."""

from typing import Any

import pytest

from sparkcoil import error_budget
from sparkcoil.sections import RowsConfig

FAILURES = [
    {"stage": "input", "code": "null_input", "rows": 6},
    {"stage": "model", "code": "timeout", "rows": 3},
    {"stage": "model", "code": "timeout", "rows": 2},
]


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        ({"max_failed_share": 0.11}, None),
        ({"max_failed_share": 0.1}, "rows.max_failed_share: 11 of 100 due rows failed, over the allowed share of 0.1"),
        ({"max_failed_share": 1, "max_failed": 11}, None),
        ({"max_failed_share": 1, "max_failed": 10}, "rows.max_failed: 11 rows failed, over the allowed 10"),
        ({"max_failed_share": 1, "max_failed_by_code": {"timeout": 5, "oom": 0}}, None),
        (
            {"max_failed_share": 1, "max_failed_by_code": {"timeout": 4}},
            "rows.max_failed_by_code.timeout: 5 rows failed so, over the allowed 4",
        ),
        ({"max_failed_share": 0.5, "stop_after": 11}, "rows.stop_after: the first 11 of 100 due rows all failed"),
        ({"max_failed_share": 0.5, "stop_after": 12}, None),
        ({"max_failed_share": 1, "stop_after": 1}, None),
    ],
)
def test_the_rule_that_is_broken_is_named(budget: dict[str, Any], expected: str | None) -> None:
    said = error_budget.broken(RowsConfig(**budget), FAILURES, scored=11, total=100)
    assert said == (None if expected is None else f"{expected}: input/null_input, model/timeout")


def test_one_good_row_is_enough_not_to_stop_at_the_start() -> None:
    assert error_budget.broken(RowsConfig(max_failed_share=0.9, stop_after=5), FAILURES, scored=12, total=100) is None


def test_without_failures_nothing_is_broken() -> None:
    strict = RowsConfig(max_failed_share=0, max_failed=0, max_failed_by_code={"oom": 0}, stop_after=1)
    assert error_budget.broken(strict, [], scored=10, total=10) is None
