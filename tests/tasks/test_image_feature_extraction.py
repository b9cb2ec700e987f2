"""Embeddings of images held against what the native pipeline and the models themselves give, image by image, without Spark."""

from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_vision
import torch
import transformers
from PIL import Image

from sparkcoil import engines
from sparkcoil.batching import Budget
from sparkcoil.engines import Placement
from sparkcoil.errors import ModelError
from sparkcoil.scoring import Record, Scoring
from sparkcoil.tasks import Options
from sparkcoil.tasks.image_feature_extraction import TASK

SIZES = ((32, 32), (40, 60), (100, 50), (64, 64), (33, 97), (40, 60), (5, 7))
IMAGES = [tiny_vision.drawn(*size, seed) for seed, size in enumerate(SIZES)]
IMAGES += [IMAGES[1].convert("L"), IMAGES[2].convert("P")]
# Those that the native pipeline can run; it gives a CLIP no texts, which its forward pass asks for.
NATIVE = ("vit", "deit", "dinov2", "swin", "convnext", "resnet", "CLIPVisionModel", "SiglipVisionModel")
SHARED = ("clip", "siglip", "siglip2")

Artifacts = dict[str, Path]


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Artifacts]:
    kinds = (*NATIVE, *SHARED, "CLIPVisionModelWithProjection")
    yield {kind: tiny_vision.tiny_embedder(tmp_path_factory.mktemp("embedder"), kind) for kind in kinds}
    for each in (pipe, pooled, loaded):
        each.cache_clear()


@cache
def pipe(artifact: Path) -> Any:
    return transformers.pipeline("image-feature-extraction", model=str(artifact / "model"), device="cpu")


@cache
def pooled(artifact: Path) -> np.ndarray:
    """Return what the native pipeline pools of each image."""
    return np.asarray([np.ravel(pipe(artifact)(image, pool=True)) for image in IMAGES])


def states(artifact: Path) -> list[np.ndarray]:
    """Return the native pipeline's hidden states of each image, of shape (positions, channels)."""
    found = [np.asarray(pipe(artifact)(image)[0]) for image in IMAGES]
    return [each.reshape(len(each), -1).T if each.ndim == 3 else each for each in found]


@lru_cache(2)
def loaded(artifact: Path, options: Options) -> Scoring:
    engine = engines.load(engines.name_of(TASK, artifact), artifact, options, Placement("cpu", "auto"))
    return Scoring(TASK, engine, options, engine.budget)


def records(artifact: Path, images: Sequence[Image.Image | bytes], *, batch: int = 4, **options: Any) -> list[Record]:
    known = loaded(artifact, TASK.options(**options))
    rows = [{"image": each if isinstance(each, bytes) else tiny_vision.png(each)} for each in images]
    return Scoring(TASK, known.engine, known.options, Budget(known.engine.budget.size * 8, batch)).score(rows)[0]


def embedded(artifact: Path, images: Sequence[Image.Image] = IMAGES, **options: Any) -> np.ndarray:
    """Return the vectors of images, of shape (images, dimensions)."""
    found = records(artifact, images, **options)
    assert [each.error for each in found] == [None] * len(found)
    return np.asarray([each.prediction["embedding"] for each in found if each.prediction])


def same(found: np.ndarray, native: Any) -> bool:
    """Tell whether vectors are equal, where those of images differ."""
    native = np.asarray(native)
    differ = len({tuple(np.round(each, 3)) for each in native}) > len(native) // 2
    return found.dtype == np.float32 and found.shape == native.shape and np.allclose(found, native, atol=1e-4, rtol=1e-4) and differ


@pytest.mark.parametrize("kind", NATIVE)
def test_vectors_equal_the_native_pipelines_for_every_batch_size(artifacts: Artifacts, kind: str) -> None:
    native = pooled(artifacts[kind])
    for batch in (1, 2, 7, 64):
        assert same(embedded(artifacts[kind], batch=batch), native)


@pytest.mark.parametrize("kind", ["vit", "resnet"])
def test_vectors_equal_the_native_pipelines_for_every_remainder_of_a_batch(artifacts: Artifacts, kind: str) -> None:
    for count in range(2, len(IMAGES)):
        assert same(embedded(artifacts[kind], IMAGES[:count], batch=3), pooled(artifacts[kind])[:count])


@pytest.mark.parametrize("kind", ["vit", "convnext", "SiglipVisionModel"])
def test_the_mean_is_that_of_all_hidden_states_of_the_native_pipeline(artifacts: Artifacts, kind: str) -> None:
    assert same(embedded(artifacts[kind], pooling="mean"), [each.mean(0) for each in states(artifacts[kind])])


@pytest.mark.parametrize("kind", ["dinov2", "CLIPVisionModel"])
def test_cls_is_the_first_of_the_hidden_states(artifacts: Artifacts, kind: str) -> None:
    assert same(embedded(artifacts[kind], pooling="cls"), [each[0] for each in states(artifacts[kind])])


@pytest.mark.parametrize("kind", [*SHARED, "CLIPVisionModelWithProjection"])
def test_models_of_images_and_texts_give_the_vectors_that_they_compare_with_those_of_texts(artifacts: Artifacts, kind: str) -> None:
    folder = artifacts[kind] / "model"
    model_class: Any = getattr(transformers, kind) if kind not in SHARED else transformers.AutoModel
    model, processor = model_class.from_pretrained(folder).eval(), transformers.AutoImageProcessor.from_pretrained(folder)

    def one(image: Image.Image) -> Any:
        inputs = processor(images=image.convert("RGB"), return_tensors="pt")
        with torch.inference_mode():
            return model.get_image_features(**inputs).pooler_output[0] if kind in SHARED else model(**inputs).image_embeds[0]

    assert same(embedded(artifacts[kind]), np.stack([one(image).numpy() for image in IMAGES]))


def test_the_mean_leaves_out_what_pads_an_image_to_the_number_of_patches(artifacts: Artifacts) -> None:
    folder = artifacts["siglip2"] / "model"
    model, processor = transformers.AutoModel.from_pretrained(folder).eval(), transformers.AutoImageProcessor.from_pretrained(folder)
    inputs = [processor(images=image.convert("RGB"), return_tensors="pt") for image in IMAGES]
    masks = [each["pixel_attention_mask"][0].bool() for each in inputs]
    assert not all(each.all() for each in masks)
    with torch.inference_mode():
        native = [model.get_image_features(**each).last_hidden_state[0][own].mean(0) for each, own in zip(inputs, masks, strict=True)]
    assert same(embedded(artifacts["siglip2"], pooling="mean"), np.stack(native))


@pytest.mark.parametrize("kind", ["vit", "dinov2", "convnext"])
def test_a_classifier_gives_the_vectors_that_its_labels_are_told_by(tmp_path: Path, kind: str) -> None:
    artifact = tiny_vision.tiny_classifier(tmp_path, kind)
    vectors = torch.from_numpy(embedded(artifact, pooling="cls" if kind == "vit" else None))
    if kind == "dinov2":  # its head is handed the class token's vector and the mean of the patches'
        tokens = torch.from_numpy(embedded(artifact, pooling="mean"))
        vectors = torch.cat([vectors, (tokens * 17 - vectors) / 16], dim=1)
    native: Any = transformers.pipeline("image-classification", model=str(artifact / "model"), device="cpu", function_to_apply="none")
    with torch.inference_mode():
        logits = native.model.classifier(vectors)
    expected = [[{each["label"]: each["score"] for each in native(image)}[label] for label in tiny_vision.LABELS] for image in IMAGES]
    assert np.allclose(logits.numpy(), expected, atol=1e-3)


def test_the_first_dimensions_are_kept_and_then_brought_to_length_1(artifacts: Artifacts) -> None:
    native = pooled(artifacts["convnext"])[:, :5]
    assert same(embedded(artifacts["convnext"], dimensions=5, normalize=True), native / np.linalg.norm(native, axis=1, keepdims=True))


def test_a_pooling_that_the_model_does_not_offer_is_refused(artifacts: Artifacts, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="SwinModel has no class token, found cls; `mean` is there for every model"):
        records(artifacts["swin"], IMAGES[:1], pooling="cls")
    with pytest.raises(ModelError, match="ViTModel has no pooler, found pooler"):
        records(tiny_vision.tiny_classifier(tmp_path, "vit"), IMAGES[:1], pooling="pooler")


def test_an_image_that_cannot_be_decoded_fails_alone(artifacts: Artifacts) -> None:
    found = records(artifacts["vit"], [IMAGES[0], b"no image", tiny_vision.png(IMAGES[1])[:90], IMAGES[2]])
    assert [each.error.code if each.error else None for each in found] == [None, "undecodable_image", "truncated_image", None]
