"""Settings that were logged for a native pipeline, as the options that mean the same here, and those that nothing here follows.

Knows nothing of Spark, MLflow or torch.
"""

from collections.abc import Callable, Mapping
from typing import Any

from sparkcoil.tasks import Task

# Settings in which a native pipeline takes others.
NESTED = ("generate_kwargs", "tokenizer_kwargs", "tokenize_kwargs", "postprocess_params", "preprocess_params", "forward_params")
# What changes no prediction here: where and how fast it is computed, what is done for every model, or in what shape it is given natively.
HARMLESS = {
    *("batch_size", "device", "device_map", "num_workers", "torch_dtype", "dtype", "framework", "model_kwargs", "use_cache", "use_fast"),
    *("padding", "pad_to_multiple_of", "return_tensors", "return_text", "return_full_text", "return_type", "return_language"),
    *("max_shard_size", "chunk_size", "verbose", "trust_remote_code", "attn_implementation", "low_cpu_mem_usage", "task", "model"),
    *("pad_token_id", "eos_token_id", "bos_token_id", "decoder_start_token_id", "cache_implementation", "return_dict_in_generate"),
    *("output_scores", "output_logits", "output_attentions", "output_hidden_states", "transformers_version", "show_progress_bar"),
}


def translate(task: Task, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return logged settings under the names and with the values that the task's options have, those in nested settings beside them."""
    nested = {name: value for outer in NESTED if isinstance(given.get(outer), Mapping) for name, value in given[outer].items()}
    flat = {name: value for name, value in given.items() if not (name in NESTED and isinstance(value, Mapping))}
    found: dict[str, Any] = {}
    for name, value in {**flat, **nested}.items():
        for own, translation in RENAMED.get(name, as_it_is(name))(value).items():
            if own in task.options.model_fields or own == name:
                found[own] = translation
    return found


def not_followed(ignored: Mapping[str, str]) -> str:
    """Return the logged settings that are no options and might change predictions, each with its home, in a line; empty for none."""
    return ", ".join(f"{name} ({origin})" for name, origin in ignored.items() if name not in HARMLESS)


def as_it_is(name: str) -> Callable[[Any], Mapping[str, Any]]:
    """Return what leaves a setting as it is."""
    return lambda value: {name: value}


def truncation(value: Any) -> Mapping[str, Any]:
    """Return an option for what becomes of a long text; which end is cut is the tokenizer's to say."""
    if value in (False, "do_not_truncate"):
        return {"truncation": "fail"}
    return {} if value is True or value in ("longest_first", "only_first", "only_second") else {"truncation": value}


def timestamps(value: Any) -> Mapping[str, Any]:
    """Return the option for the times in a transcript."""
    return {"return_timestamps": {True: "segment", False: "none"}.get(value, value) if isinstance(value, bool) else value}


RENAMED: Mapping[str, Callable[[Any], Mapping[str, Any]]] = {
    "truncation": truncation,
    "return_timestamps": timestamps,
    "stride_length_s": lambda value: {"stride_length_s": tuple(value) if isinstance(value, list) else value},
    "return_all_scores": lambda value: {"top_k": None} if value else {"top_k": 1},
    "grouped_entities": lambda value: {"aggregation_strategy": "simple" if value else "none"},
    "stop_strings": lambda value: {"stop": value},
    "stop_sequence": lambda value: {"stop": value},
    "multi_class": lambda value: {"multi_label": value},
    "topk": lambda value: {"top_k": value},
}
