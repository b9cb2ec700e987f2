"""Summaries are what the sequence-to-sequence engine writes; its facts are in test_text2text_generation."""

from pathlib import Path

from tiny_models import TEXTS, native, predictions, text_of, tiny_seq2seq

from sparkcoil import tasks
from sparkcoil.tasks.summarization import TASK


def test_a_summary_equals_one_row_at_a_time(tmp_path: Path) -> None:
    artifact = tiny_seq2seq(tmp_path)
    settings = {"max_length": 12, "min_length": 4, "num_beams": 2, "early_stopping": True}
    expected = native(artifact, ["summarize: " + text for text in TEXTS], **settings)
    predicted = predictions(TASK, artifact, TEXTS, prefix="summarize: ", **settings)
    assert [each["text"] for each in predicted] == [text_of(artifact, tokens) for tokens in expected]


def test_the_task_is_found_by_its_name() -> None:
    assert tasks.load("summarization") is TASK
