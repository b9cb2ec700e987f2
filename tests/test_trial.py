"""What is found out about a model when it is loaded: whether padding, neighbours or its own past change its answers, and what follows."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tiny_encoders as tiny
import tiny_models
import tiny_vision
import torch
import transformers
from kept import kept
from PIL import Image

from sparkcoil import cache, engines, tasks, trial
from sparkcoil.batching import Budget
from sparkcoil.engines import Findings, Placement, encoder
from sparkcoil.errors import ModelError
from sparkcoil.scoring import Scoring
from sparkcoil.trial import Probe

TEXTS = [text for text in tiny.TEXTS if text.strip()] + ["one", "two words", "Paris " * 30]


@kept
def build(folder: Path, family: str, head: str, *, longest: int = 64, **config: Any) -> Path:
    """Return an artifact around a tiny text model of any family that reads a BERT's tokens."""
    tokenizer = tiny.bert_tokenizer()
    tokenizer.model_max_length = longest
    torch.manual_seed(5)
    special = {name: getattr(tokenizer, name) for name in ("pad_token_id", "bos_token_id", "eos_token_id")}
    chosen = transformers.AutoConfig.for_model(family, vocab_size=len(tokenizer), **{**special, **config})
    model = getattr(transformers, head).from_config(chosen)
    with torch.no_grad():
        model.get_input_embeddings().weight[tokenizer.pad_token_id] = 0.5  # which a training may have left there
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    return folder


SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64, "initializer_range": 0.5}


def loaded(artifact: Path, task: str, *, digest: str | None = None, dtype: str = "float32", **options: Any) -> Any:
    """Return the engine of an artifact for a task."""
    known = tasks.load(task)
    return engines.load(engines.name_of(known, artifact), artifact, known.options(**options), Placement("cpu", dtype), digest=digest)


def labels(artifact: Path, texts: Sequence[str], batch: int) -> list[dict[str, float]]:
    """Return the score of each label of each text, scored in batches of at most so many."""
    task = tasks.load("text-classification")
    options = task.options(top_k=None)
    engine = loaded(artifact, "text-classification")
    records = Scoring(task, engine, options, Budget(10**6, batch)).score([{"text": each.encode()} for each in texts])[0]
    assert [each.error for each in records] == [None] * len(texts)
    return [{one["label"]: one["score"] for one in (each.prediction or {})["scores"]} for each in records]


def native(artifact: Path, texts: Sequence[str]) -> list[dict[str, float]]:
    """Return the score of each label of each text, asked of a fresh native pipeline each."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(artifact / "model")
    found = []
    for text in texts:
        model: Any = transformers.AutoModelForSequenceClassification.from_pretrained(artifact / "model")
        pipeline = transformers.pipeline("text-classification", model=model, tokenizer=tokenizer, device="cpu")
        found.append({each["label"]: each["score"] for each in pipeline(text, top_k=None, truncation=True)})
    return found


def assert_alike(found: Sequence[dict[str, float]], expected: Sequence[dict[str, float]]) -> None:
    """Pass if scores are the same within what batches may change."""
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, abs=2e-5)


CLASSIFIERS: dict[str, tuple[str, dict[str, Any], str]] = {
    # Its embedding reads three tokens at once, padding among them.
    "mobilebert": (
        "mobilebert",
        {**SMALL, "embedding_size": 32, "intra_bottleneck_size": 32, "num_feedforward_networks": 1},
        "exact lengths",
    ),
    # It mixes all tokens, and knows no mask.
    "fnet": ("fnet", SMALL, "exact lengths"),
    "bert": ("bert", SMALL, "padded"),
    "gpt2 without a padding token": (
        "gpt2",
        {"n_embd": 32, "n_layer": 2, "n_head": 2, "pad_token_id": None, "initializer_range": 0.5},
        "exact lengths",
    ),
}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_model_that_padding_changes_gets_rows_of_equal_lengths(tmp_path: Path, name: str) -> None:
    family, config, expected = CLASSIFIERS[name]
    artifact = build(tmp_path, family, "AutoModelForSequenceClassification", num_labels=3, **config)
    assert loaded(artifact, "text-classification").batching == expected
    wanted = native(artifact, TEXTS)
    for batch in (1, 7, 64):
        assert_alike(labels(artifact, TEXTS, batch), wanted)


def test_a_text_that_ends_in_the_padding_token_pools_its_last_token_where_the_model_names_none(tmp_path: Path) -> None:
    artifact = build(tmp_path, "gpt2", "AutoModelForSequenceClassification", num_labels=3, **CLASSIFIERS["gpt2 without a padding token"][1])
    texts = ["Paris [PAD]", "Paris [PAD] [PAD]", "Paris", "[PAD]"]
    wanted = native(artifact, texts)
    for batch in (1, 4):
        assert_alike(labels(artifact, texts, batch), wanted)


BIRD = {**SMALL, "block_size": 2, "num_random_blocks": 1, "attention_type": "block_sparse", "max_position_embeddings": 128}


def test_a_model_that_changes_itself_is_put_back_before_each_forward(tmp_path: Path) -> None:
    artifact = build(tmp_path, "big_bird", "AutoModelForSequenceClassification", num_labels=3, longest=120, **BIRD)
    engine = loaded(artifact, "text-classification")
    assert engine.findings.changes
    texts = ["Paris " * 50, "a", "Paris " * 50 + "a", "Warsaw " * 45]
    wanted = native(artifact, texts)
    for batch in (1, 4):
        assert_alike(labels(artifact, texts, batch), wanted)
        assert_alike(labels(artifact, texts[::-1], batch), wanted[::-1])


class Restless(torch.nn.Module):
    """A model whose answer is another one each time."""

    dtype = torch.float32

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.calls = 0

    def answer(self, probes: Sequence[Probe]) -> list[list[np.ndarray]]:
        self.calls += 1
        with torch.no_grad():
            self.weight += 1
        return [[np.array([float(self.weight)])] for _ in probes]


def test_a_model_that_never_gives_the_same_answer_is_refused_by_its_name() -> None:
    model = Restless()
    with pytest.raises(ModelError, match="Restless gives the same input another answer each time"):
        trial.examine(model, model.answer, [1, 2], 2)


def voting(probes: Sequence[Probe]) -> list[list[np.ndarray]]:
    """Give each input what the whole batch comes to, as a model does whose head the batch elects."""
    return [[np.array([float(each.number), sum(one.number for one in probes)])] for each in probes]


def test_a_model_whose_rows_change_each_other_gets_them_one_by_one() -> None:
    assert trial.batching_of(voting, [1, 2, 3], 1e-4) == "one by one"


def test_answers_are_compared_without_what_stands_for_padding() -> None:
    outputs = {"logits": torch.tensor([[[1.0], [2.0]], [[3.0], [9.0]]]), "past_key_values": (torch.zeros(2, 1),)}
    answers = trial.without_padding(trial.answers_of(outputs, 2), [2, 1])
    assert [[values.tolist() for values in each] for each in answers] == [[[[1.0], [2.0]]], [[[3.0]]]]


@pytest.mark.parametrize(
    ("answer", "expected", "distance"),
    [
        ([1.0, 2.0], [1.0, 2.0], 0.0),
        ([1.0, 2.1], [1.0, 2.0], 0.05),
        ([np.nan, -np.inf], [np.nan, -np.inf], 0.0),
        ([np.nan, 1.0], [0.0, 1.0], np.inf),
        ([1.0], [1.0, 1.0], np.inf),
    ],
)
def test_the_distance_of_answers_is_a_share_of_the_largest_value(answer: list[float], expected: list[float], distance: float) -> None:
    assert trial.apart(np.array(answer), np.array(expected)) == pytest.approx(distance)


def test_half_precision_is_judged_by_its_own_steps() -> None:
    assert trial.tolerance_of(torch.float32) == 1e-4
    assert 2e-2 < trial.tolerance_of(torch.bfloat16) < 5e-2


def test_the_noise_of_a_format_is_that_of_an_input_beside_its_like() -> None:
    def ask(probes: Sequence[Probe]) -> list[list[np.ndarray]]:
        return [[np.array([1.0 + 0.1 * (len(probes) - 1)])] for _ in probes]

    assert trial.noise_of(torch.bfloat16, ask, Probe(3, 0)) == pytest.approx(0.1)
    assert trial.noise_of(torch.float32, ask, Probe(3, 0)) == 0.0


@pytest.mark.parametrize("name", ["bert", "mobilebert"])
def test_in_bfloat16_the_same_is_found(tmp_path: Path, name: str) -> None:
    family, config, expected = CLASSIFIERS[name]
    artifact = build(tmp_path, family, "AutoModelForSequenceClassification", num_labels=3, **config)
    assert loaded(artifact, "text-classification", dtype="bfloat16").batching == expected


def test_a_digest_that_was_seen_costs_no_forward_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARKCOIL_CACHE", str(tmp_path / "cache"))
    artifact = build(tmp_path / "built", "fnet", "AutoModelForSequenceClassification", num_labels=3, **SMALL)
    first = loaded(artifact, "text-classification", digest="a" * 64)

    def refuse(self: Any, *given: Any) -> None:
        raise AssertionError("a forward pass")

    monkeypatch.setattr(encoder.Encoder, "outputs", refuse)
    assert loaded(artifact, "text-classification", digest="a" * 64).findings == first.findings
    with pytest.raises(AssertionError, match="a forward pass"):
        loaded(artifact, "text-classification", digest="b" * 64)


def test_findings_that_cannot_be_kept_or_read_are_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARKCOIL_CACHE", str(tmp_path))
    trial.write("some", Findings("exact lengths"))
    assert trial.read("some") == Findings("exact lengths")
    for content in ("", "[]", json.dumps({"batching": "padded", "new": 1})):
        (cache.folder("trials") / "some").write_text(content)
        assert trial.read("some") is None


@pytest.mark.parametrize(
    ("family", "config", "limit"),
    [
        ("roberta", {"max_position_embeddings": 40, "pad_token_id": 1}, 38),
        ("data2vec-text", {"max_position_embeddings": 40, "pad_token_id": 1}, 38),
        ("esm", {"max_position_embeddings": 40, "pad_token_id": 1, "position_embedding_type": "absolute"}, 38),
        ("bert", {"max_position_embeddings": 40}, 40),
        ("xlnet", {"d_model": 32, "n_layer": 1, "n_head": 2, "d_inner": 32}, 10**9),
    ],
)
def test_as_many_tokens_are_read_as_the_model_has_positions(family: str, config: dict[str, Any], limit: int) -> None:
    chosen = transformers.AutoConfig.for_model(family, vocab_size=64, **{**(SMALL if family != "xlnet" else {}), **config})
    model = transformers.AutoModel.from_config(chosen)
    assert encoder.readable_tokens(SimpleNamespace(model_max_length=10**30), model) == limit


def test_rows_that_a_bart_takes_apart_share_batches_with_their_like(tmp_path: Path) -> None:
    config = {"d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
    tokenizer = tiny.bert_tokenizer()
    artifact = build(
        tmp_path, "bart", "AutoModelForSequenceClassification", num_labels=3, eos_token_id=tokenizer.sep_token_id, pad_token_id=0, **config
    )
    texts = ["Paris", "London [SEP]", "Warsaw", "a [SEP] b", "Houston, Texas"]
    engine = loaded(artifact, "text-classification")
    forwards: list[int] = []
    run = engine.outputs
    engine.outputs = lambda rows: (forwards.append(len(rows)), run(rows))[1]
    engine.forward(engine.prepare(texts))
    assert sorted(forwards) == [2, 3]
    wanted = native(artifact, texts)
    for batch in (1, 5):
        assert_alike(labels(artifact, texts, batch), wanted)


def test_a_configuration_that_is_composed_is_read_where_its_text_is(tmp_path: Path) -> None:
    text = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16}
    tokenizer = tiny.bert_tokenizer()
    vision = {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "image_size": 28,
        "patch_size": 14,
    }
    config = transformers.Gemma3Config(
        text_config={**text, "intermediate_size": 64, "vocab_size": len(tokenizer), "initializer_range": 0.5, "pad_token_id": 0},
        vision_config=vision,
        num_labels=3,
        pad_token_id=0,
    )
    torch.manual_seed(0)
    transformers.Gemma3ForSequenceClassification(config).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    wanted = native(tmp_path, TEXTS[:6])
    for batch in (1, 6):
        assert_alike(labels(tmp_path, TEXTS[:6], batch), wanted)


WRITERS: dict[str, tuple[Any, dict[str, Any], str, bool]] = {
    "gpt2": (transformers.GPT2Config, {"n_positions": 128, "n_embd": 32, "n_layer": 2, "n_head": 2}, "padded", True),
    # Its local attention forgets what lies far behind, and counts a gap as tokens.
    "gpt_neo": (
        transformers.GPTNeoConfig,
        {"hidden_size": 32, "num_layers": 2, "num_heads": 2, "window_size": 8, "attention_types": [[["global", "local"], 1]]},
        "padded",
        False,
    ),
    # It is not told of positions.
    "bart": (transformers.BartConfig, {"d_model": 32, "decoder_layers": 2, "decoder_attention_heads": 2}, "exact lengths", False),
}


@pytest.mark.parametrize("name", WRITERS)
def test_prompts_share_batches_and_beginnings_as_their_model_allows_it(tmp_path: Path, name: str) -> None:
    kind, sizes, batching, shares = WRITERS[name]
    tokenizer = tiny_models.byte_tokenizer(None)
    special = {"vocab_size": len(tokenizer), "bos_token_id": 3, "eos_token_id": 1, "pad_token_id": 0, "is_decoder": True}
    torch.manual_seed(3)
    model: Any = transformers.AutoModelForCausalLM.from_config(kind(**{"max_position_embeddings": 256, **special, **sizes}))
    with torch.no_grad():
        for weights in model.parameters():
            weights.mul_(8.0 if weights.dim() > 1 else 1.0)
    tiny_models.saved(tmp_path, model, tokenizer)
    engine = loaded(tmp_path, "text-generation")
    assert (engine.batching, engine.findings.shares) == (batching, shares)
    prompts = [f"The quick brown fox jumps over the lazy dog and {end}" for end in ("a", "then goes home", "sleeps", "eats, " * 8)] + ["b"]
    wanted = tiny_models.native(tmp_path, prompts, max_new_tokens=8)
    texts = [tokenizer.decode(each, skip_special_tokens=True) for each in wanted]
    for batch in (1, 8):
        found = tiny_models.predictions(tasks.load("text-generation"), tmp_path, prompts, batch=batch, max_new_tokens=8)
        assert [each["completion_tokens"] for each in found] == [len(each) for each in wanted]
        assert [each["text"].strip() for each in found] == [each.strip() for each in texts]


def vectors(artifact: Path, images: Sequence[bytes], batch: int) -> np.ndarray:
    """Return the embedding of each image, looked at in batches of at most so many."""
    task = tasks.load("image-feature-extraction")
    engine = loaded(artifact, task.name)
    records = Scoring(task, engine, task.options(), Budget(10**9, batch)).score([{"image": each} for each in images])[0]
    assert [each.error for each in records] == [None] * len(images)
    return np.stack([(each.prediction or {})["embedding"] for each in records])


def drawn(count: int) -> list[bytes]:
    """Return images that differ, as PNG files."""
    found = []
    for seed in range(count):
        file = io.BytesIO()
        tiny_vision.drawn(40, 40, seed).save(file, "PNG")
        found.append(file.getvalue())
    return found


def test_a_model_that_leaves_out_patches_at_random_is_made_to_see_all_of_them(tmp_path: Path) -> None:
    sizes = {"decoder_hidden_size": 16, "decoder_num_hidden_layers": 1, "decoder_num_attention_heads": 2, "decoder_intermediate_size": 16}
    torch.manual_seed(2)
    model: Any = transformers.ViTMAEModel(transformers.ViTMAEConfig(**{**tiny_vision.TRANSFORMER, **sizes})).eval()
    processor: Any = transformers.ViTImageProcessor(size=tiny_vision.SQUARE)
    tiny_vision.saved(tmp_path, model, processor)
    model.config.mask_ratio = 0.0
    images = drawn(5)
    with torch.no_grad():
        inputs = processor(images=[Image.open(io.BytesIO(each)).convert("RGB") for each in images], return_tensors="pt")
        wanted = model(**inputs).last_hidden_state.mean(1).numpy()
    for batch in (1, 5):
        assert np.abs(vectors(tmp_path, images, batch) - wanted).max() < 1e-5


def test_a_model_that_reads_colours_in_place_of_pixels_is_refused_by_its_name(tmp_path: Path) -> None:
    config = transformers.ImageGPTConfig(vocab_size=9, n_positions=16, n_embd=16, n_layer=1, n_head=2, num_labels=2)
    tiny_vision.saved(tmp_path, transformers.ImageGPTForImageClassification(config))
    processor: Any = transformers.ImageGPTImageProcessor(clusters=np.zeros((8, 3)).tolist(), size={"height": 4, "width": 4})
    processor.save_pretrained(tmp_path / "model")
    with pytest.raises(ModelError, match=r"ImageGPTImageProcessor.* makes input_ids of an image"):
        loaded(tmp_path, "image-classification")


HEADS = [{"n_bins": 8, "min_depth": 0.001, "max_depth": size, "name": name} for name, size in (("nyu", 10.0), ("kitti", 80.0))]


def test_a_model_whose_head_the_batch_elects_looks_at_images_one_by_one(tmp_path: Path) -> None:
    backbone = {**tiny_vision.BACKBONE, "reshape_hidden_states": False}
    sizes = {"fusion_hidden_size": 16, "bottleneck_features": 16, "num_attractors": [2, 1, 1, 1], "bin_embedding_dim": 8}
    sizes |= {
        "patch_transformer_num_attention_heads": 2,
        "num_patch_transformer_layers": 4,
        "patch_transformer_hidden_size": 128,
        "patch_transformer_intermediate_size": 16,
    }
    config = transformers.ZoeDepthConfig(
        backbone_config=backbone, bin_configurations=HEADS, neck_hidden_sizes=[8, 8, 16, 16], backbone_hidden_size=32, **sizes
    )
    torch.manual_seed(2)
    model: Any = transformers.ZoeDepthForDepthEstimation(config)
    processor: Any = transformers.ZoeDepthImageProcessor(size=tiny_vision.SQUARE64, ensure_multiple_of=8, do_pad=False)
    tiny_vision.saved(tmp_path, model, processor)
    engine = loaded(tmp_path, "depth-estimation")
    assert engine.batching == "one by one"
