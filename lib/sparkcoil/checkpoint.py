"""Loads the parts of a logged transformers artifact: from local files, and running code of theirs only where that is trusted."""

import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import safe_open

from sparkcoil.artifact import ADAPTER, COMPONENTS, MODEL
from sparkcoil.engines import Placement
from sparkcoil.errors import ModelError

# PEFT renames the layers that it wraps, and MLflow stores an adapter's base so. Loaded under those names, they would start at random.
WRAPPED = r"\.(?:base_layer|original_module)\."
# What torch says of weights that do not fit: which, their shape in the file, and in the model.
MISMATCH = re.compile(r"size mismatch for (\S+): .*?torch\.Size\((\[[\d, ]*\])\).*?torch\.Size\((\[[\d, ]*\])\)")
# The layers that PEFT trains and stores whole, by what transformers calls a classification head.
HEADS = ("score.weight", "classifier.weight", "classifier.out_proj.weight", "classification_head.out_proj.weight")


def load_model(artifact: Path, auto_class: str, placement: Placement) -> Any:
    """Return the model of an artifact in evaluation mode on its device, in its dtype (`auto`: as it was saved).

    An adapter is merged into its base where that is exact. Raises ModelError where weights are missing from the checkpoint,
    which transformers would start at random.
    """
    refuse_quantised(artifact, placement)
    adapter = artifact / ADAPTER
    is_adapter = (adapter / "adapter_config.json").is_file()
    given = loading(placement)
    stored = stored_weights(adapter) if is_adapter else {}
    if is_adapter:
        # The base's own head may be of another size: the adapter's takes its place.
        given = {"key_mapping": {WRAPPED: "."}, "ignore_mismatched_sizes": True, **head_size(stored), **given}
    loader = getattr(transformers, auto_class)
    model, found = loader.from_pretrained(artifact / MODEL, output_loading_info=True, **given, **allowed(placement))
    replaced = {each[0] for each in found["mismatched_keys"]}
    refuse_missing((set(found["missing_keys"]) | replaced) - set(stored), model)
    if is_adapter:
        model = adapted(model, adapter, stored)
    return model.eval() if "device_map" in given else model.eval().to(placement.device)


def refuse_quantised(artifact: Path, placement: Placement) -> None:
    """Pass unless the checkpoint is quantised and there is no GPU to run it on; raises ModelError."""
    config = json.loads((artifact / MODEL / "config.json").read_text())
    method = (config.get("quantization_config") or {}).get("quant_method")
    if method and placement.device == "cpu":
        raise ModelError(f"the checkpoint is quantised ({method}), which needs a GPU, and none is seen here; log it as it was before")


def loading(placement: Placement) -> dict[str, Any]:
    """Return what from_pretrained is told of number format, attention and trust, and what the run file adds."""
    given: dict[str, Any] = {"dtype": "auto" if placement.dtype == "auto" else getattr(torch, placement.dtype), **placement.load_kwargs}
    if placement.attn_implementation:
        given["attn_implementation"] = placement.attn_implementation
    given["use_safetensors"] = None if "pickle" in placement.trust else True
    return given


def stored_weights(adapter: Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of an adapter's weights, by their names in the base model."""
    file = adapter / "adapter_model.safetensors"
    if not file.is_file():
        return {}
    with safe_open(file, "pt") as weights:
        return {name.removeprefix("base_model.model."): tuple(weights.get_slice(name).get_shape()) for name in weights.keys()}  # noqa: SIM118


def head_size(stored: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """Return the number of labels of an adapter that brings its own classification head: its base may have another."""
    sizes = [shape[0] for name, shape in stored.items() if name.endswith(HEADS)]
    return {"num_labels": sizes[0]} if sizes else {}


def refuse_missing(missing: Collection[str], model: Any) -> None:
    """Pass if every weight was in the checkpoint; raises ModelError naming some that were not."""
    if missing:
        some = ", ".join(sorted(missing)[:3])
        raise ModelError(
            f"{len(missing)} weights of {type(model).__name__} are missing from the checkpoint and would be random, such as {some}; "
            "log the model as it was trained, with its head"
        )


def adapted(model: Any, adapter: Path, stored: Mapping[str, tuple[int, ...]]) -> Any:
    """Return the model with an adapter: merged where that is exact, which it is not in a quantised base, else beside it.

    A base of fewer tokens than the adapter was trained with grows by them first. Raises ModelError for an adapter of another base.
    """
    import peft

    tokens = trained_tokens(model, stored)
    if tokens is not None and tokens != model.get_input_embeddings().num_embeddings:
        model.resize_token_embeddings(tokens, mean_resizing=False)
    try:
        wrapped = peft.PeftModel.from_pretrained(model, str(adapter))
    except RuntimeError as error:
        if (found := MISMATCH.search(str(error))) is None:
            raise
        told = f"of shape {found[2]} in the adapter, and of {found[3]} in its base"
        raise ModelError(f"the adapter was trained on another base: {found[1]} is {told}; give its own base as model.base") from None
    mergeable = hasattr(wrapped, "merge_and_unload") and not getattr(model, "quantization_method", None)
    return wrapped.merge_and_unload(safe_merge=True) if mergeable else wrapped


def trained_tokens(model: Any, stored: Mapping[str, tuple[int, ...]]) -> int | None:
    """Return how many tokens an adapter has embeddings for, None where it brings none."""
    embeddings = model.get_input_embeddings()
    name = next(each for each, module in model.named_modules() if module is embeddings)
    for key, shape in stored.items():
        if key.replace(".base_layer.", ".").replace(".modules_to_save.", ".") == f"{name}.weight":
            return shape[0]
        if key.startswith(f"{name}.") and "lora_embedding_A" in key:
            return shape[1]
    return None


def load_tokenizer(artifact: Path, placement: Placement) -> Any:
    """Return the tokenizer of an artifact."""
    return load_part(artifact, "tokenizer", "AutoTokenizer", placement)


def load_feature_extractor(artifact: Path, placement: Placement) -> Any:
    """Return the feature extractor of an artifact."""
    return load_part(artifact, "feature_extractor", "AutoFeatureExtractor", placement)


def load_image_processor(artifact: Path, placement: Placement) -> Any:
    """Return the image processor of an artifact."""
    return load_part(artifact, "image_processor", "AutoImageProcessor", placement)


def load_processor(artifact: Path, placement: Placement) -> Any:
    """Return the processor of an artifact, which makes of images and texts what a model takes; raises ModelError where there is none."""
    found = load_part(artifact, "processor", "AutoProcessor", placement)
    if not isinstance(found, transformers.ProcessorMixin):
        raise ModelError("the artifact holds no processor; save it into the checkpoint (processor.save_pretrained) and log the model again")
    return found


def load_part(artifact: Path, name: str, auto_class: str, placement: Placement) -> Any:
    """Return a component of an artifact: MLflow keeps them in `components/`, apart from those it saved with the model."""
    component = artifact / COMPONENTS / name
    loader: Any = getattr(transformers, auto_class)
    return loader.from_pretrained(component if component.is_dir() else artifact / MODEL, **allowed(placement))


def allowed(placement: Placement) -> dict[str, Any]:
    """Return what every loader is told: look at local files alone, and run their code only where the run file trusts it."""
    return {"local_files_only": True, "trust_remote_code": "remote_code" in placement.trust}
