"""Embeddings in OpenAI's shape, without Spark."""

from pathlib import Path

import numpy as np
import pytest
import tiny_encoders as tiny

from sparkcoil import tasks
from sparkcoil.tasks import feature_extraction
from sparkcoil.tasks.llm_v1_embeddings import TASK


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.build(tmp_path_factory.mktemp("bert"), "AutoModel")


def test_the_name_loads_the_task() -> None:
    assert tasks.load("llm/v1/embeddings") is TASK


def test_the_response_is_shaped_like_openais_and_counts_no_padding(artifact: Path) -> None:
    tokenizer = tiny.bert_tokenizer()
    texts = tiny.TEXTS[:9]
    plain = tiny.scored(feature_extraction.TASK, artifact, tiny.cells("text", texts))
    for text, record, other in zip(texts, tiny.scored(TASK, artifact, tiny.cells("input", texts)), plain, strict=True):
        count = len(tokenizer(text)["input_ids"])
        assert record.prediction is not None and other.prediction is not None
        assert np.array_equal(record.prediction["embedding"], other.prediction["embedding"])
        assert record.prediction["prompt_tokens"] == count
        response = record.prediction["response"]
        assert (response["object"], response["model"]) == ("list", "BertModel")
        assert response["usage"] == {"prompt_tokens": count, "total_tokens": count}
        (data,) = response["data"]
        assert (data["object"], data["index"]) == ("embedding", 0)
        assert np.array_equal(data["embedding"], other.prediction["embedding"])


def test_the_input_may_be_called_text(artifact: Path) -> None:
    one, other = (tiny.scored(TASK, artifact, tiny.cells(name, ["cat"]))[0] for name in ("input", "text"))
    assert tiny.plain(one.prediction) == tiny.plain(other.prediction)


def test_rows_without_input_and_null_are_failed(artifact: Path) -> None:
    missing, null = tiny.scored(TASK, artifact, [{}, {"input": None}])
    assert missing.error is not None and missing.error.code == "null_input"
    assert null.error is not None and null.error.code == "null_input"
