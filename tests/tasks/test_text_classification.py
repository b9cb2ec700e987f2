"""Scores held against the native pipeline's, row by row, without Spark."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import oracle
import pandas as pd
import pytest
import tiny_encoders as tiny

from sparkcoil import engines, tasks
from sparkcoil.batching import Budget
from sparkcoil.engines import Placement
from sparkcoil.engines.encoder import Logits
from sparkcoil.errors import ModelError, RowError
from sparkcoil.scoring import Record, Scoring
from sparkcoil.tasks.text_classification import TASK, TextClassificationOptions, write

FACTS = {"labels": ["a", "b", "c"], "problem_type": None}


@pytest.fixture(scope="module")
def artifact(examples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder laid out as a logged model, around the trained checkpoint."""
    folder = tmp_path_factory.mktemp("artifact")
    (folder / "model").symlink_to(examples / "models" / "docstring_topic")
    return folder


@pytest.fixture(scope="module")
def texts(examples: Path) -> list[str]:
    """Docstrings of every kind: the longest, blanks, and a sample of the rest."""
    bodies = pd.read_parquet(examples / "docstrings" / "docstrings.parquet")["body"].drop_duplicates()
    by_length = bodies.iloc[bodies.str.len().argsort()]
    return [*by_length[:5], *by_length[-15:], *bodies.sample(280, random_state=1), "12", "🙂🙃", "\x00\x07", "é" * 100, "a\u0300"]


@pytest.fixture(scope="module")
def expected(examples: Path, texts: list[str]) -> list[list[dict[str, object]]]:
    """What the native pipeline says of each text by itself."""
    return oracle.labels(examples / "models" / "docstring_topic", texts)


def scored(artifact: Path, texts: Sequence[str], *, rows: int, options: TextClassificationOptions | None = None) -> list[Record]:
    options = options or TextClassificationOptions()
    engine = engines.load("encoder", artifact, options, Placement("cpu", "auto"))
    scoring = Scoring(TASK, engine, options, Budget(engine.budget.size, rows))
    return scoring.score([{"text": text.encode()} for text in texts])[0]


def assert_equal(records: Sequence[Record], expected: Sequence[list[dict[str, object]]]) -> None:
    for record, native in zip(records, expected, strict=True):
        assert record.prediction is not None
        assert record.prediction["label"] == native[0]["label"]
        ours = {each["label"]: each["score"] for each in record.prediction["scores"]}
        assert ours == pytest.approx({each["label"]: each["score"] for each in native}, abs=1e-4)


def test_equals_the_native_pipeline_on_texts_of_every_kind(artifact: Path, texts: list[str], expected: list) -> None:
    assert_equal(scored(artifact, texts, rows=32), expected)


def test_a_long_text_is_cut_with_a_warning(artifact: Path) -> None:
    record = scored(artifact, ["socket " * 2000], rows=1)[0]
    assert record.warnings == ("truncated",)


def test_a_long_text_fails_where_the_option_says_so(artifact: Path) -> None:
    options = TextClassificationOptions(truncation="fail")
    record = scored(artifact, ["socket " * 2000], rows=1, options=options)[0]
    assert record.error is not None
    assert (record.error.stage, record.error.code) == ("input", "too_long")


def test_cutting_on_the_left_keeps_the_end(artifact: Path) -> None:
    long, end = "socket " * 500 + "mailbox message " * 200, "mailbox message " * 200
    options = TextClassificationOptions(truncation="truncate_left")
    cut, whole = scored(artifact, [long, end], rows=1, options=options)
    assert cut.prediction == whole.prediction


def test_invalid_utf8_is_failed_without_its_content(artifact: Path) -> None:
    with pytest.raises(RowError, match="not valid UTF-8 at byte 3") as caught:
        TASK.read({"text": b"abc\xff\xfe"}, TextClassificationOptions())
    assert caught.value.code == "invalid_encoding"


def test_a_null_pair_is_failed() -> None:
    with pytest.raises(RowError, match="text_pair is NULL"):
        TASK.read({"text": b"a", "text_pair": None}, TextClassificationOptions())


def test_top_k_keeps_the_best_labels() -> None:
    prediction = write([np.array([1.0, 3.0, 2.0])], FACTS, TextClassificationOptions(top_k=2))[0]
    assert [each["label"] for each in prediction["scores"]] == ["b", "c"]


def test_threshold_keeps_the_label_but_not_the_scores_below_it() -> None:
    prediction = write([np.array([0.0, 0.0, 0.0])], FACTS, TextClassificationOptions(threshold=0.9))[0]
    assert (prediction["label"], prediction["scores"]) == ("a", [])


@pytest.mark.parametrize(
    ("problem", "expected"),
    [("multi_label_classification", 0.5), ("regression", 0.0), ("single_label_classification", 1 / 3), (None, 1 / 3)],
)
def test_the_function_follows_the_problem_type(problem: str | None, expected: float) -> None:
    prediction = write([np.zeros(3)], {**FACTS, "problem_type": problem}, TextClassificationOptions())[0]
    assert prediction["score"] == pytest.approx(expected)


def test_logits_that_are_not_finite_fail_the_row_alone() -> None:
    bad, good = write([np.array([np.nan, 0.0, 0.0]), np.zeros(3)], FACTS, TextClassificationOptions())
    assert isinstance(bad, RowError)
    assert (bad.stage, bad.code) == ("output", "non_finite")
    assert good["label"] == "a"


def test_the_alias_names_the_same_task() -> None:
    assert tasks.load("sentiment-analysis") is TASK


def windows(*parts: tuple[list[float], int]) -> list[Logits]:
    return [Logits(np.array(values), tokens) for values, tokens in parts]


def scores_of(logits: Sequence[object], **options: Any) -> list[dict[str, float]]:
    written = write(logits, FACTS, TextClassificationOptions(truncation="stride", **options))
    return [{each["label"]: each["score"] for each in row["scores"]} for row in written]


def test_labels_that_compete_get_the_mean_of_the_windows_by_their_tokens() -> None:
    whole, strided = scores_of([np.array([0.0, 0.0, 0.0]), windows(([9.0, -9.0, -9.0], 30), ([-9.0, 9.0, -9.0], 10))])
    assert whole == pytest.approx(dict.fromkeys("abc", 1 / 3))
    assert strided == pytest.approx({"a": 0.75, "b": 0.25, "c": 0.0}, abs=1e-6)


def test_one_sure_window_does_not_outvote_the_others() -> None:
    (scores,) = scores_of([windows(([1.0, -1.0, -9.0], 50), ([1.0, -1.0, -9.0], 50), ([-50.0, 50.0, -9.0], 20))])
    assert max(scores, key=lambda label: scores[label]) == "a"


def test_a_label_that_stands_by_itself_gets_its_highest_score_in_any_window() -> None:
    (scores,) = scores_of([windows(([9.0, -9.0, -9.0], 500), ([-9.0, 0.0, -9.0], 1))], function_to_apply="sigmoid")
    assert scores == pytest.approx({"a": 1.0, "b": 0.5, "c": 0.0}, abs=1e-3)


def test_a_measure_is_the_mean_of_the_windows_by_their_tokens() -> None:
    (scores,) = scores_of([windows(([3.0, 0.0, 0.0], 10), ([6.0, 0.0, 0.0], 20))], function_to_apply="none")
    assert scores["a"] == pytest.approx(5.0)


def test_a_window_that_is_not_finite_fails_its_row_alone() -> None:
    bad, good = write([windows(([0.0, 0.0, 0.0], 1), ([np.nan, 0.0, 0.0], 1)), np.zeros(3)], FACTS, TextClassificationOptions())
    assert isinstance(bad, RowError) and bad.code == "non_finite"
    assert good["label"] == "a"


def test_nothing_of_a_text_or_of_a_second_text_is_cut_where_it_is_read_by_strides(tmp_path: Path) -> None:
    tiny.build(tmp_path, "AutoModelForSequenceClassification", num_labels=3)
    long = "The cat sat on the mat. " * 20
    for rows in (
        tiny.cells("text", [long, long + "In Paris!"]),
        [{"text": b"cat", "text_pair": each.encode()} for each in (long, long + "!")],
    ):
        one, other = tiny.scored(TASK, tmp_path, rows, truncation="stride")
        cut, same = tiny.scored(TASK, tmp_path, rows)
        assert (one.warnings, cut.warnings) == ((), ("truncated",))
        # Equal inputs in one batch may differ in the last digits, by where in it they are.
        assert one.prediction["score"] != pytest.approx(other.prediction["score"], rel=1e-4)
        assert cut.prediction["score"] == pytest.approx(same.prediction["score"], rel=1e-5)


def test_a_tokenizer_that_knows_no_offsets_is_refused_where_texts_are_read_by_strides(tmp_path: Path) -> None:
    tiny.build(tmp_path, "AutoModelForSequenceClassification")
    tiny.slow_tokenizer(tmp_path)
    with pytest.raises(ModelError, match="expected a fast tokenizer"):
        tiny.scored(TASK, tmp_path, tiny.cells("text", ["a"]), truncation="stride")
