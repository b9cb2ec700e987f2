"""What becomes of a run's gates, by its counts alone."""

import math

import pytest

from sparkcoil import tasks, verdicts
from sparkcoil.config import problems_in
from sparkcoil.problems import said
from sparkcoil.settings import GatesConfig
from sparkcoil.verdicts import Before, Counts, Verdict

MANY = {"red": 500, "green": 500}


def one(gates: GatesConfig, counts: Counts, before: Before | None = None, *, named: bool = True) -> Verdict:
    """Return the verdict on the only gate there is."""
    [found] = verdicts.verdicts(gates, counts, before, named=named)
    return found


@pytest.mark.parametrize(
    ("gate", "expected"),
    [
        ("max_failed_share", "gates.max_failed_share: 0.1 allowed, 11 of 100 rows failed, a share of 0.11"),
        ("max_empty_share", "gates.max_empty_share: 0.1 allowed, 11 of 80 ok rows are empty, a share of 0.1375"),
        ("max_truncated_share", "gates.max_truncated_share: 0.1 allowed, 11 of 80 ok rows were truncated, a share of 0.1375"),
        ("max_repetition_share", "gates.max_repetition_share: 0.1 allowed, 11 of 80 ok rows repeat themselves, a share of 0.1375"),
    ],
)
def test_a_share_past_its_bound_is_red_and_says_by_how_much(gate: str, expected: str) -> None:
    found = one(GatesConfig.model_validate({gate: 0.1}), Counts(100, 80, faults={gate: 11}))
    assert (found.holds, found.said) == (False, expected)
    assert one(GatesConfig.model_validate({gate: 0.1}), Counts(100, 100, faults={gate: 10})).holds


def test_a_language_is_judged_of_the_texts_that_are_long_enough() -> None:
    gates = GatesConfig(language="en", max_language_mismatch_share=0.5)
    found = one(gates, Counts(100, 100, judged=10, faults={"language": 6}))
    expected = "gates.max_language_mismatch_share: 0.5 allowed, 6 of 10 texts are in another language than en, a share of 0.6"
    assert (found.holds, found.said) == (False, expected)
    assert not one(GatesConfig(language="en"), Counts(100, 100, judged=100, faults={"language": 6})).holds
    assert one(GatesConfig(language="en"), Counts(100, 100, judged=100, faults={"language": 5})).holds


def test_a_label_that_nearly_all_rows_have_is_red() -> None:
    counts = Counts(1300, 1204, labels={"x": 1192, "y": 12})
    found = one(GatesConfig(max_label_share=0.95), counts)
    assert (found.holds, found.said) == (
        False,
        "gates.max_label_share: 0.95 allowed, label 'x' has 1,192 of 1,204 ok rows, a share of 0.99",
    )
    assert one(GatesConfig(max_label_share=1.0), counts).holds


def test_a_label_that_may_be_the_rows_own_is_not_named() -> None:
    assert "hunter2" not in one(GatesConfig(max_label_share=0.5), Counts(100, 100, labels={"hunter2": 100}), named=False).said


def test_of_few_rows_one_label_may_have_all() -> None:
    found = one(GatesConfig(max_label_share=0.5), Counts(49, 49, labels={"x": 49}))
    assert (found.holds, found.found) == (True, None)
    assert not one(GatesConfig(max_label_share=0.5), Counts(50, 50, labels={"x": 50})).holds


def test_the_stability_index_is_the_sum_over_labels() -> None:
    expected = (0.75 - 0.5) * math.log(0.75 / 0.5) + (0.25 - 0.5) * math.log(0.25 / 0.5)
    found = verdicts.stability({"red": 750_000, "green": 250_000}, {"red": 500_000, "green": 500_000})
    assert found == pytest.approx(expected, rel=1e-4)
    assert verdicts.stability(MANY, MANY) == 0


def test_labels_that_moved_are_red_and_the_run_before_is_named() -> None:
    found = one(GatesConfig(max_label_drift=0.2), Counts(1000, 1000, labels={"red": 900, "green": 100}), Before("abc", MANY))
    assert not found.holds
    assert found.said.startswith(
        "gates.max_label_drift: 0.2 allowed, a population stability index of 0.876 in 1,000 ok rows against 1,000 of"
    )
    assert "of run abc (by chance up to 0.013" in found.said
    assert one(GatesConfig(max_label_drift=0.2), Counts(1000, 1000, labels=MANY), Before("abc", MANY)).holds


def test_a_label_that_is_new_or_gone_counts_without_being_infinite() -> None:
    found = one(GatesConfig(max_label_drift=0.2), Counts(1000, 1000, labels={"blue": 1000}), Before("abc", MANY))
    assert (found.holds, math.isfinite(float(found.found or 0))) == (False, True)


def test_drift_that_chance_alone_makes_of_few_rows_is_none() -> None:
    before = Before("abc", {"red": 2, "green": 2})
    found = one(GatesConfig(max_label_drift=0.1), Counts(3, 3, labels={"red": 3}), before)
    assert found.holds and float(found.found or 0) > 0.1


def test_chance_is_the_99th_percentile_of_chi_square_over_the_rows() -> None:
    for labels, quantile in ((2, 6.635), (5, 13.277), (20, 36.191)):
        counts = {str(index): 100 for index in range(labels)}
        assert verdicts.by_chance(counts, counts) == pytest.approx(quantile * 2 / (100 * labels), rel=0.01)


@pytest.mark.parametrize("before", [None, Before("abc", {})])
def test_a_first_run_has_no_drift_and_says_so(before: Before | None) -> None:
    found = one(GatesConfig(max_label_drift=0.2), Counts(10, 10, labels=MANY), before)
    assert (found.holds, found.found, found.said.endswith("no two runs with labels to compare")) == (True, None, True)


def test_a_run_of_no_rows_keeps_within_every_gate() -> None:
    gates = GatesConfig(max_failed_share=0, max_empty_share=0, max_label_share=0, max_label_drift=0, max_repetition_share=0, language="en")
    found = list(verdicts.verdicts(gates, Counts(0, 0), Before("abc", MANY), named=True))
    assert len(found) == 6
    assert all(each.holds and each.found is None for each in found)


@pytest.mark.parametrize(
    ("task", "gate", "value"),
    [
        ("feature-extraction", "max_label_drift", 0.1),
        ("text-generation", "max_label_share", 0.1),
        ("text-classification", "max_empty_share", 0.1),
        ("token-classification", "max_repetition_share", 0.1),
        ("text-to-audio", "language", "en"),
    ],
)
def test_a_gate_that_a_prediction_cannot_have_is_refused_with_the_run_file(task: str, gate: str, value: object) -> None:
    document = {
        "name": "demo",
        "task": task,
        "model": {"uri": "m"},
        "source": {"table": "t", "keys": ["id"], "columns": {"text": "body"}},
        "target": {"table": "s", "publish": "end"},
        "gates": {gate: value},
    }
    [found] = [said(each) for each in problems_in(document)]
    assert found.startswith(f"gates.{gate}: is asked of ") and found.endswith(f"and the prediction of {task} has no such field")


def test_every_task_of_labels_texts_and_lists_has_its_gates() -> None:
    fields = {name: [gate for gate in verdicts.GATES if verdicts.judged_field(tasks.load(name), gate)] for name in tasks.names()}
    assert fields["zero-shot-classification"] == ["max_label_share", "max_label_drift"]
    assert fields["translation"] == fields["automatic-speech-recognition"] == ["max_empty_share", "max_repetition_share", "language"]
    for name in ("token-classification", "question-answering", "llm/v1/embeddings", "text-to-audio", "fill-mask"):
        assert fields[name] == ["max_empty_share"]


def test_gates_ask_for_a_publish_at_the_end_but_for_known_answers() -> None:
    document = {
        "name": "demo",
        "model": {"uri": "m"},
        "source": {"table": "t", "keys": ["id"], "columns": {"text": "body"}},
        "target": {"table": "s"},
    }
    [found] = problems_in({**document, "gates": {"max_failed_share": 0.0}})
    assert said(found) == "gates: asks for `target.publish: end`: otherwise chunks are published before all is scored"
    assert problems_in({**document, "gates": {"known_answers": True}}) == []


def test_a_share_of_mismatches_asks_for_a_language() -> None:
    with pytest.raises(ValueError, match="given without language"):
        GatesConfig(max_language_mismatch_share=0.1)


def test_a_share_at_its_bound_holds_however_it_is_written() -> None:
    counts = Counts(rows=100, ok=71, faults={"max_failed_share": 29})
    assert [each.holds for each in verdicts.verdicts(GatesConfig(max_failed_share=0.29), counts, None, named=True)] == [True]
