"""Any architecture as a tiny model with random weights: its own configuration, made small by the names of its sizes."""

import copy
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import PretrainedConfig

# What a size's name ends with, and how small it is made; the first that matches counts.
SIZES: tuple[tuple[str, int], ...] = (
    (r"vocab_size|num_embeddings", 0),
    (r"num_experts_per_tok|num_selected_experts|moe_topk|top_k_experts|experts_top_k", 2),
    (r"num_experts|num_local_experts|n_routed_experts|moe_num_experts", 4),
    (r"(n_|num_)?shared_experts", 1),
    (r"(num_key_value|kv|n_kv|num_kv)_heads", 2),
    (r"(attention|num|n|encoder_attention|decoder_attention)_heads?|n_head|n_heads", 2),
    (r"(hidden|encoder|decoder|num|n)_layers?|n_layer|num_blocks|num_hidden_groups", 2),
    (r"head_dim|d_kv|d_head|attention_head_size|kv_channels", 16),
    (r"moe_intermediate_size|intermediate_size|ffn_dim|d_ff|d_inner|ffn_hidden_size|expert_ffn_hidden_size|hidden_dim", 64),
    (r"intra_bottleneck_size", 32),
    (r"hidden_size|d_model|n_embd|emb_dim|embed_dim|embedding_size|attention_hidden_size|true_hidden_size", 32),
    (r"max_position_embeddings|n_positions|max_source_positions|max_target_positions|max_seq_len|n_ctx", 256),
    (r"sliding_window|local_attention|window_size|attention_window", 8),
    (r"image_size", 32),
    (r"patch_size", 8),
)
# What some kinds need beside that.
OWN: Mapping[str, Mapping[str, Any]] = {"gpt_neo": {"attention_types": [[["global", "local"], 1]]}}
# What is said of a model beside its sizes.
LABELS = dict(enumerate(("red", "green", "blue")))
SCALE = 0.15
MOST_WEIGHTS = 100_000_000


def config_of(kind: type[PretrainedConfig], vocabulary: int, **given: Any) -> PretrainedConfig:
    """Return a small configuration of a kind; raises what the kind raises where its sizes do not fit each other."""
    return kind(**{**small(kind, vocabulary), **given})


def small(kind: type[PretrainedConfig], vocabulary: int) -> dict[str, Any]:
    """Return the arguments that make a configuration small, those of the ones in it included."""
    found: dict[str, Any] = dict(OWN.get(kind.model_type, {}))
    for name, value in kind().to_dict().items():
        if isinstance(value, bool) or not isinstance(value, int):
            continue
        size = next((size for pattern, size in SIZES if re.fullmatch(rf"(\w+_)?({pattern})", name)), None)
        if size is not None:
            found[name] = size or vocabulary
    own = {name: each for name, each in getattr(kind, "sub_configs", {}).items() if each is not transformers.AutoConfig}
    return {**found, **{name: small(each, vocabulary) for name, each in own.items()}}


def make_model(head: str, config: PretrainedConfig) -> Any:
    """Return a model of a class with random weights; raises ValueError for one that its configuration has not made small."""
    kind = getattr(transformers, head)
    with torch.device("meta"):
        size = sum(each.numel() for each in kind._from_config(copy.deepcopy(config)).parameters())
    if size > MOST_WEIGHTS:
        raise ValueError(f"{size:,} weights, since a part of its configuration is not made small")
    model = kind._from_config(config).eval()
    randomise(model, 3)
    return model


def randomise(model: torch.nn.Module, seed: int) -> None:
    """Give every weight of a model another value, that of its padding token too, so that its answers differ from input to input."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if weights.dim() > 1:
                weights.normal_(0.0, SCALE)
            elif "norm" not in name.lower() and "ln" not in name.lower():
                weights.add_(torch.randn_like(weights) * 0.05)


def save(folder: Path, model: Any, *parts: Any) -> None:
    """Save a model and its parts in a folder as in a logged model."""
    for each in (model, *parts):
        each.save_pretrained(folder / "model")
