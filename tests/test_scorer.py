"""The scorer where it meets the machine: which threads a worker's libraries have."""

import os

import pytest
import tiny_encoders as tiny

from sparkcoil.reading import Reader
from sparkcoil.scorer import quieten
from sparkcoil.tasks.text_classification import TextClassificationOptions


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give back what the environment was, of which threads depend."""
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    monkeypatch.setenv("RAYON_NUM_THREADS", "2")
    monkeypatch.delenv("RAYON_NUM_THREADS")


def test_tokenizers_have_threads_beside_a_gpu_and_none_where_the_model_takes_the_cpu() -> None:
    found = []
    for device in ("cuda:0", "cpu"):
        quieten(device)
        found.append(os.environ["TOKENIZERS_PARALLELISM"])
    assert found == ["true", "false"]
    assert 1 <= int(os.environ["RAYON_NUM_THREADS"]) <= (os.cpu_count() or 1)


def test_the_number_of_threads_that_a_user_gives_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAYON_NUM_THREADS", "3")
    quieten("cuda:0")
    assert os.environ["RAYON_NUM_THREADS"] == "3"


def test_texts_are_read_alike_with_threads_and_without() -> None:
    reader = Reader(tokenizer=tiny.bert_tokenizer(), options=TextClassificationOptions(), max_length=24)
    read = []
    for device in ("cpu", "cuda:0"):
        quieten(device)
        read.append(reader.read([*tiny.TEXTS] * 20))
    assert read[0] == read[1] and len(read[0]) == 20 * len(tiny.TEXTS)
