"""Tiny models that find objects in images, with random weights, laid out as logged models."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tiny_vision
import torch
import transformers
from kept import kept
from tokenizers import pre_tokenizers

QUERIES = 12
LAYERS = {
    f"{side}_{name}": size for side in ("encoder", "decoder") for name, size in (("layers", 2), ("attention_heads", 2), ("ffn_dim", 32))
}
SLOW_STEPS: dict[str, Any] = {**tiny_vision.BLOCKS, "model_type": "resnet", "out_features": ["stage2"]}
PYRAMID: dict[str, Any] = {
    "model_type": "rt_detr_resnet",
    "embedding_size": 8,
    "hidden_sizes": [8, 12, 16, 20],
    "depths": [1, 1, 1, 1],
    "layer_type": "basic",
    "out_indices": [2, 3, 4],
}
DETR: dict[str, Any] = {**LAYERS, "backbone_config": SLOW_STEPS, "d_model": 32, "num_queries": QUERIES, "init_std": 0.3}
REAL_TIME: dict[str, Any] = {
    **LAYERS,
    "backbone_config": PYRAMID,
    "d_model": 32,
    "num_queries": QUERIES,
    "encoder_hidden_dim": 32,
    "encoder_in_channels": [12, 16, 20],
    "decoder_in_channels": [32, 32, 32],
    "initializer_range": 0.3,
    "initializer_bias_prior_prob": 0.3,
}
STEPWISE: dict[str, Any] = {
    **DETR,
    "num_feature_levels": 2,
    "backbone_config": {**SLOW_STEPS, "out_features": ["stage1", "stage2"]},
    "disable_custom_kernels": True,
}
MIXED: dict[str, Any] = {
    "model_type": "hgnet_v2",
    "stem_channels": [3, 8, 8],
    "hidden_sizes": [8, 12, 16, 20],
    "stage_in_channels": [8, 8, 12, 16],
    "stage_mid_channels": [8, 8, 8, 8],
    "stage_out_channels": [8, 12, 16, 20],
    "stage_num_blocks": [1, 1, 1, 1],
    "stage_numb_of_layers": [1, 1, 1, 1],
    "stage_downsample": [False, True, True, True],
    "stage_light_block": [False, False, False, False],
    "stage_kernel_size": [3, 3, 3, 3],
    "out_indices": [2, 3, 4],
}
SQUARE = {"height": 64, "width": 64}
SIDES = {"shortest_edge": 64, "longest_edge": 100}
# Each family of detectors: its configuration, and its processor with what that is told. Where sides differ, so do the model's inputs.
DETECTORS: dict[str, tuple[dict[str, Any], str, dict[str, Any]]] = {
    "detr": (DETR, "DetrImageProcessor", {"size": SIDES}),
    "conditional_detr": (DETR, "ConditionalDetrImageProcessor", {"size": SIDES, "pad_size": {"height": 112, "width": 112}}),
    "deformable_detr": (STEPWISE, "DeformableDetrImageProcessor", {"size": SIDES}),
    "table-transformer": (DETR, "DetrImageProcessor", {"size": SIDES}),
    "yolos": (
        {**tiny_vision.TRANSFORMER, "num_detection_tokens": QUERIES, "image_size": [64, 64], "use_mid_position_embeddings": False},
        "YolosImageProcessor",
        {"size": SIDES},
    ),
    "rt_detr": (REAL_TIME, "RTDetrImageProcessor", {"size": SQUARE}),
    "d_fine": ({**REAL_TIME, "backbone_config": MIXED}, "RTDetrImageProcessor", {"size": SQUARE}),
}


@kept
def tiny_detector(folder: Path, family: str, **config: Any) -> Path:
    """Return the folder with a random model that finds objects saved in it."""
    chosen, processor, told = DETECTORS[family]
    torch.manual_seed(5)
    configured = transformers.AutoConfig.for_model(family, **{**chosen, **tiny_vision.named_labels(), **config})
    model = transformers.AutoModelForObjectDetection.from_config(configured)
    if family == "yolos":
        torch.nn.init.normal_(model.vit.embeddings.detection_tokens)  # which start as zeros, so that all would find the same
    return tiny_vision.saved(folder, model, getattr(transformers, processor)(**told))


def same_images(found: Sequence[Sequence[dict[str, Any]]], native: Sequence[Sequence[dict[str, Any]]]) -> bool:
    """Tell whether the objects of every image are those of the native pipeline."""
    return len(found) == len(native) and all(map(same_objects, found, native))


def same_objects(found: Sequence[dict[str, Any]], native: Sequence[dict[str, Any]]) -> bool:
    """Tell whether objects are the same: label for label, scores within 1e-4, boxes within a pixel, at whose edge they are cut.

    Objects whose scores differ by less than that may have changed places.
    """
    left = list(native)
    for each in found:
        twin = next((i for i, other in enumerate(left) if same_object(each, other)), None)
        if twin is None:
            return False
        del left[twin]
    return not left and in_order(found, native)


def in_order(found: Sequence[dict[str, Any]], native: Sequence[dict[str, Any]]) -> bool:
    """Tell whether scores follow each other as in the native pipeline's."""
    return all(abs(ours["score"] - theirs["score"]) < 1e-4 for ours, theirs in zip(found, native, strict=True))


def same_object(found: dict[str, Any], native: dict[str, Any]) -> bool:
    """Tell whether two objects are one."""
    apart = [abs(found["box"][side] - native["box"][side]) for side in ("xmin", "ymin", "xmax", "ymax")]
    return bool(found["label"] == native["label"] and abs(found["score"] - native["score"]) < 1e-4 and max(apart) <= 1)


OWL_TEXT = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64, "initializer_factor": 8.0}
OWL_SIGHT = {"patch_size": 16, "image_size": 64, **OWL_TEXT}
FINDERS = {"owlvit": "OwlViTImageProcessor", "owlv2": "Owlv2ImageProcessor"}


def clip_tokenizer() -> Any:
    """Return a tokenizer that reads letter by letter; the token that ends a text is the one with the highest number, as CLIP needs it."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = [*letters, *(f"{each}</w>" for each in letters), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {each: i for i, each in enumerate(pieces)}
    return transformers.CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=16, pad_token="!")


@kept
def tiny_finder(folder: Path, family: str) -> Path:
    """Return the folder with a random model that finds what texts say saved in it."""
    torch.manual_seed(6)
    tokenizer = clip_tokenizer()
    text = {**OWL_TEXT, "vocab_size": len(tokenizer), "max_position_embeddings": 16}
    text |= {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    given = {"text_config": text, "vision_config": OWL_SIGHT, "projection_dim": 32, "initializer_factor": 8.0}
    model = transformers.AutoModelForZeroShotObjectDetection.from_config(transformers.AutoConfig.for_model(family, **given))
    for head in (model.class_head, model.box_head):
        for weight in head.parameters():
            torch.nn.init.normal_(weight, std=0.2)  # they start so large that all is certain, and all boxes are one
    return tiny_vision.saved(folder, model, getattr(transformers, FINDERS[family])(size=SQUARE), tokenizer)
