"""Embeddings in OpenAI's shape, without Spark."""

import json
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


def test_a_request_s_dimensions_are_its_own_whatever_shares_its_batch(artifact: Path) -> None:
    texts = tiny.TEXTS[:6]
    for normalize in (False, True):
        sizes = [None, 8, 3, None, 8, 32]
        rows = [{"request": json.dumps({"input": text, "dimensions": size}).encode()} for text, size in zip(texts, sizes, strict=True)]
        together = [each.prediction for each in tiny.scored(TASK, artifact, rows, normalize=normalize, dimensions=16)]
        for text, size, prediction in zip(texts, sizes, together, strict=True):
            row = tiny.cells("input", [text])
            alone = tiny.scored(TASK, artifact, row, normalize=normalize, dimensions=size or 16)[0].prediction
            assert prediction is not None and alone is not None
            assert len(prediction["embedding"]) == (size or 16)
            assert prediction["embedding"] == pytest.approx(alone["embedding"], abs=1e-4)


def test_a_response_names_the_model_as_its_request_does(artifact: Path) -> None:
    rows: list[dict[str, bytes]] = [{"request": b'{"model": "asked", "input": "cat"}'}, {"request": b'{"input": "cat"}'}]
    assert [each.prediction["response"]["model"] for each in tiny.scored(TASK, artifact, rows) if each.prediction] == ["asked", "BertModel"]


def test_rows_without_input_and_null_are_failed(artifact: Path) -> None:
    missing, null = tiny.scored(TASK, artifact, [{}, {"input": None}])
    assert missing.error is not None and missing.error.code == "null_input"
    assert null.error is not None and null.error.code == "null_input"


def test_all_tokens_of_a_text_read_by_strides_are_counted_once(artifact: Path) -> None:
    long = " ".join(tiny.TEXTS)
    (record,) = tiny.scored(TASK, artifact, tiny.cells("input", [long]), truncation="stride")
    assert (record.prediction or {})["prompt_tokens"] == len(tiny.bert_tokenizer()(long)["input_ids"])
