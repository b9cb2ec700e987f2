"""Embeddings held against the native pipeline's token vectors, pooled one row at a time, without Spark."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import one_by_one
import pytest
import tiny_encoders as tiny
import torch
import transformers
from safetensors.torch import save_file

from sparkcoil import engines
from sparkcoil.engines import Placement
from sparkcoil.errors import ModelError, RowError
from sparkcoil.generation import Request
from sparkcoil.scoring import Record
from sparkcoil.tasks.feature_extraction import TASK, EmbeddingOptions

MODULES = "sentence_transformers.models"
LONG = " ".join(tiny.TEXTS)


@pytest.fixture(scope="module", params=["bert", "roberta"])
def artifact(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.build(tmp_path_factory.mktemp(request.param), "AutoModel", family=request.param)


@pytest.fixture(scope="module")
def native(artifact: Path) -> list[np.ndarray]:
    """The vectors of each text's tokens, of each text by itself."""
    extract = tiny.pipeline("feature-extraction", artifact)
    return [np.array(extract(text, truncation=True)[0]) for text in tiny.TEXTS]


@pytest.fixture
def described(tmp_path: Path) -> Path:
    """A model with sentence-transformers files, which a test may change."""
    tiny.build(tmp_path, "AutoModel")
    describe(tmp_path, ["Transformer", "Pooling", "Normalize"], {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False})
    return tmp_path


def describe(artifact: Path, kinds: Sequence[str], pooling: dict[str, Any]) -> None:
    model = artifact / "model"
    paths = ["" if kind == "Transformer" else f"{i}_{kind}" for i, kind in enumerate(kinds)]
    modules = [{"idx": i, "name": str(i), "path": paths[i], "type": f"{MODULES}.{kind}"} for i, kind in enumerate(kinds)]
    (model / "modules.json").write_text(json.dumps(modules))
    (model / "1_Pooling").mkdir(exist_ok=True)
    (model / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 32, **pooling}))


def embedded(artifact: Path, texts: Sequence[str | None] = tiny.TEXTS, **given: Any) -> list[Record]:
    return tiny.scored(TASK, artifact, tiny.cells("text", texts), **given)


def vectors(artifact: Path, texts: Sequence[str] = tiny.TEXTS, **given: Any) -> np.ndarray:
    return np.array([(each.prediction or {})["embedding"] for each in embedded(artifact, texts, **given)])


def unit(table: np.ndarray) -> np.ndarray:
    return table / np.linalg.norm(table, axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("pooling", "pool"), [("cls", lambda each: each[0]), ("last", lambda each: each[-1]), ("max", lambda each: each.max(axis=0))]
)
def test_pooling_is_an_option(artifact: Path, native: list[np.ndarray], pooling: str, pool: Any) -> None:
    assert vectors(artifact, pooling=pooling) == pytest.approx(np.array([pool(each) for each in native]), abs=1e-4)


def test_token_embeddings_come_on_request(artifact: Path, native: list[np.ndarray]) -> None:
    for record, expected in zip(embedded(artifact, token_embeddings=True), native, strict=True):
        assert record.prediction is not None
        assert np.array(record.prediction["token_embeddings"]) == pytest.approx(expected, abs=1e-4)
    assert (embedded(artifact)[0].prediction or {})["token_embeddings"] == []


def test_vectors_are_cut_before_they_are_normalised(artifact: Path) -> None:
    whole = vectors(artifact)
    assert vectors(artifact, dimensions=8) == pytest.approx(whole[:, :8], abs=1e-5)
    assert vectors(artifact, dimensions=8, normalize=True) == pytest.approx(unit(whole[:, :8]), abs=1e-5)


def test_the_models_own_files_say_how_to_pool(described: Path) -> None:
    expected = unit(vectors(described, pooling="cls", normalize=False))
    assert vectors(described) == pytest.approx(expected, abs=1e-5)


def test_options_come_before_the_models_own_files(described: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    plain = tiny.build(tmp_path_factory.mktemp("plain"), "AutoModel")
    assert vectors(described, pooling="mean", normalize=False) == pytest.approx(vectors(plain), abs=1e-5)


def test_the_models_own_files_say_how_much_it_reads(described: Path) -> None:
    (described / "model" / "sentence_bert_config.json").write_text('{"max_seq_length": 7, "do_lower_case": false}')
    tokens = [len((each.prediction or {})["token_embeddings"]) for each in embedded(described, token_embeddings=True)]
    assert max(tokens) == 7
    assert embedded(described)[0].warnings == ("truncated",)


def test_a_dense_layer_follows_the_pooling(described: Path) -> None:
    describe(described, ["Transformer", "Pooling", "Dense"], {"pooling_mode": "mean"})
    weight, bias = torch.randn(4, 32), torch.randn(4)
    folder = described / "model" / "2_Dense"
    folder.mkdir()
    (folder / "config.json").write_text('{"activation_function": "torch.nn.modules.activation.Tanh"}')
    save_file({"linear.weight": weight, "linear.bias": bias}, folder / "model.safetensors")
    found = vectors(described)
    describe(described, ["Transformer", "Pooling"], {"pooling_mode": "mean"})
    assert found == pytest.approx(np.tanh(vectors(described) @ weight.numpy().T + bias.numpy()), abs=1e-4)


@pytest.mark.parametrize("pooling", [{"pooling_mode_cls_token": True, "pooling_mode_max_tokens": True}, {"pooling_mode": "weightedmean"}])
def test_a_pooling_that_cannot_be_done_is_refused_unless_an_option_says_another(described: Path, pooling: dict[str, Any]) -> None:
    describe(described, ["Transformer", "Pooling"], pooling)
    with pytest.raises(ModelError, match="expected one pooling of mean, cls, last and max"):
        vectors(described)
    assert vectors(described, pooling="mean").shape == (len(tiny.TEXTS), 32)


def test_prompts_of_the_model_are_put_before_texts_by_name(described: Path) -> None:
    settings = {"prompts": {"query": "Where: ", "document": "Paris "}, "default_prompt_name": None}
    (described / "model" / "config_sentence_transformers.json").write_text(json.dumps(settings))
    assert vectors(described, ["cat"], prompt_name="query") == pytest.approx(vectors(described, ["Where: cat"]), abs=1e-5)
    assert vectors(described, ["cat"], prompt="a ") == pytest.approx(vectors(described, ["a cat"]), abs=1e-5)
    with pytest.raises(ModelError, match="no prompt 'querry'; did you mean 'query'"):
        vectors(described, ["cat"], prompt_name="querry")


def test_a_template_holds_the_text_literally(described: Path) -> None:
    found = vectors(described, ["{prompt} cat {0}"], prompt_template="the {prompt} of {0}")
    assert found == pytest.approx(vectors(described, ["the {prompt} cat {0} of {0}"]), abs=1e-6)


def test_the_encoder_of_an_encoder_decoder_is_what_embeds(tmp_path: Path) -> None:
    tiny.bert_tokenizer().save_pretrained(tmp_path / "model")
    config = transformers.T5Config(vocab_size=200, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=2, pad_token_id=0)
    model = transformers.T5Model(config).eval()
    model.save_pretrained(tmp_path / "model")
    ids = tiny.bert_tokenizer()(tiny.TEXTS[0], return_tensors="pt")["input_ids"]
    with torch.no_grad():
        expected = model.encoder(ids)[0][0].mean(axis=0).numpy()
    assert vectors(tmp_path)[0] == pytest.approx(expected, abs=1e-4)


def test_long_texts_are_cut_with_a_warning_or_failed(artifact: Path) -> None:
    assert embedded(artifact, [LONG])[0].warnings == ("truncated",)
    error = embedded(artifact, [LONG], truncation="fail")[0].error
    assert error is not None and (error.stage, error.code) == ("input", "too_long")


def test_cutting_on_the_left_keeps_the_end(artifact: Path) -> None:
    long, end = "cat " * 200 + " Paris" * 70, "London " + " Paris" * 70
    assert len(np.unique(np.round(vectors(artifact, [long, end], truncation="truncate_left"), 4), axis=0)) == 1


def test_a_text_that_gives_no_tokens_is_failed_alone(tmp_path: Path) -> None:
    tiny.build(tmp_path, "AutoModel", family="gpt2")
    failed, fine = embedded(tmp_path, ["", "cat"])
    assert isinstance(failed.error, RowError) and failed.error.code == "no_tokens"
    assert fine.prediction is not None


def test_a_decoders_vectors_do_not_depend_on_the_batch(tmp_path: Path) -> None:
    tiny.build(tmp_path, "AutoModel", family="gpt2")
    assert vectors(tmp_path, pooling="last", batch=32) == pytest.approx(vectors(tmp_path, pooling="last", batch=1), abs=1e-4)


def test_a_tokenizer_written_in_python_will_do(tmp_path: Path) -> None:
    tiny.build(tmp_path, "AutoModel")
    tiny.slow_tokenizer(tmp_path)
    short, long = embedded(tmp_path, ["MKTAYI", "MKTAYI" * 9])
    assert (short.warnings, long.warnings) == ((), ("truncated",))


def test_vectors_that_are_not_finite_fail_the_row(artifact: Path) -> None:
    engine = engines.load("embedder", artifact, EmbeddingOptions(), Placement("cpu", "auto"))
    torch.nn.init.constant_(engine.model.encoder.layer[-1].output.LayerNorm.bias, float("nan"))
    (embedding,) = engine.forward(engine.prepare([Request("cat", EmbeddingOptions())]))
    assert engine.facts["finished"]([embedding])[0].code == "non_finite"


def long_vectors(artifact: Path, **given: Any) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return a long text's vector, and the vectors of its tokens."""
    (record,) = embedded(artifact, [LONG], truncation="stride", token_embeddings=True, **given)
    assert record.prediction is not None and record.warnings == ()
    return record.prediction["embedding"], record.prediction["token_embeddings"]


def test_a_text_read_by_strides_has_a_vector_for_each_of_its_tokens(artifact: Path) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(artifact / "model")
    assert len(long_vectors(artifact)[1]) == len(tokenizer(LONG)["input_ids"])


@pytest.mark.parametrize(("pooling", "pool"), [("mean", np.mean), ("max", np.max)])
def test_a_text_read_by_strides_is_pooled_over_all_its_tokens(artifact: Path, pooling: str, pool: Any) -> None:
    vector, tokens = long_vectors(artifact, pooling=pooling)
    assert vector == pytest.approx(pool(tokens, axis=0), abs=1e-5)


@pytest.mark.parametrize(("pooling", "place"), [("cls", 0), ("last", -1)])
def test_windows_with_a_vector_of_their_own_count_by_their_tokens(tmp_path: Path, pooling: str, place: int) -> None:
    artifact = tiny.build(tmp_path, "AutoModel")
    read = list(one_by_one.Strides(artifact, "AutoModel").windows(LONG))
    expected = np.average([hidden[place] for hidden, _ in read], axis=0, weights=[own.sum() for _, own in read])
    assert long_vectors(artifact, pooling=pooling)[0] == pytest.approx(expected, abs=1e-4)


def test_layers_and_normalising_come_after_the_windows_are_put_together(described: Path) -> None:
    describe(described, ["Transformer", "Pooling", "Dense", "Normalize"], {"pooling_mode": "mean"})
    weight = torch.randn(4, 32)
    folder = described / "model" / "2_Dense"
    folder.mkdir()
    (folder / "config.json").write_text('{"activation_function": "torch.nn.modules.activation.Tanh"}')
    save_file({"linear.weight": weight}, folder / "model.safetensors")
    vector, tokens = long_vectors(described, dimensions=3)
    expected = np.tanh(np.mean(tokens, axis=0) @ weight.numpy().T)[:3]
    assert vector == pytest.approx(expected / np.linalg.norm(expected), abs=1e-4)


def test_a_text_that_the_model_reads_whole_has_the_same_vector_with_strides(described: Path) -> None:
    assert np.array_equal(vectors(described, tiny.TEXTS, truncation="stride"), vectors(described, tiny.TEXTS))


def test_a_tokenizer_that_knows_no_offsets_is_refused_where_texts_are_read_by_strides(tmp_path: Path) -> None:
    tiny.build(tmp_path, "AutoModel")
    tiny.slow_tokenizer(tmp_path)
    with pytest.raises(ModelError, match="expected a fast tokenizer"):
        embedded(tmp_path, ["a"], truncation="stride")
