"""A model as a folder that MLflow's transformers flavor and our scorer can both load: what goes where, and what is said of it.

Knows nothing of MLflow. Weights are linked or copied as files, never loaded.
"""

import json
import platform
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import transformers
import yaml

from sparkcoil import card, inmemory, library, refused
from sparkcoil.assembly import link_or_copy
from sparkcoil.errors import ModelError, first_line
from sparkcoil.tasks import Task

# The parts beside a model, and the files that each is made of.
PARTS: Mapping[str, tuple[str, ...]] = {
    "tokenizer": (
        "tokenizer*",
        "vocab*",
        "merges.txt",
        "special_tokens_map.json",
        "added_tokens.json",
        "*.model",
        "*.spm",
        "*.jinja",
    ),
    "feature_extractor": ("preprocessor_config.json", "processor_config.json"),
    "image_processor": ("preprocessor_config.json", "processor_config.json"),
}
FALLBACK = {
    "tokenizer": "PreTrainedTokenizerFast",
    "feature_extractor": "AutoFeatureExtractor",
    "image_processor": "AutoImageProcessor",
}
# What is taken of a checkpoint directory: a training run leaves its optimizer and its arguments there too, as pickles.
CARRIED = ("*.json", "*.safetensors", "*.txt", "*.model", "*.spm", "*.codes", "*.jinja")
LEFT = ("trainer_state.json", "optimizer.safetensors")
INDEX = "model.safetensors.index.json"
ADAPTED = {
    "SEQ_CLS": "AutoModelForSequenceClassification",
    "TOKEN_CLS": "AutoModelForTokenClassification",
    "QUESTION_ANS": "AutoModelForQuestionAnswering",
    "CAUSAL_LM": "AutoModelForCausalLM",
    "SEQ_2_SEQ_LM": "AutoModelForSeq2SeqLM",
    "FEATURE_EXTRACTION": "AutoModel",
}
# The pipeline that transformers 5 has for a task of ours, where the names differ.
PIPELINES = {"llm/v1/chat": "text-generation", "llm/v1/completions": "text-generation", "llm/v1/embeddings": "feature-extraction"}


@dataclass(frozen=True)
class Package:
    """A model about to be written: its folders by their place in the artifact, MLflow's flavor of it, and notes for its metadata."""

    name: str
    folders: Mapping[str, Path]
    flavor: Mapping[str, Any]
    notes: Mapping[str, Any]


def package(model: Any, known: Task, scratch: Path, *, task: str, base: Path | None) -> Package:
    """Return a model as folders, after saving one that is in memory; raises ModelError where it is none of the task."""
    in_memory = not isinstance(model, str | Path)
    folder, base = inmemory.saved(model, scratch, base) if in_memory else (Path(model), base)
    adapter = folder if (folder / "adapter_config.json").is_file() else None
    weights = base_of(folder, base) if adapter else folder
    config = read_object(weights / "config.json", "a checkpoint directory")
    for each in filter(None, (weights, adapter)):
        refuse_without_weights(each)
    architecture = adapted_class(adapter, weights) if adapter else str((config.get("architectures") or ["unknown"])[0])
    if not architecture.endswith(known.heads):
        found = f"{architecture}{refused.reason(architecture)}"
        raise ModelError(f"log_model: {folder}: expected a model class ending in {' or '.join(known.heads)}, found {found}")
    beside = weights if adapter and not (adapter / "tokenizer_config.json").is_file() else folder
    folders = {"model": weights, **{f"components/{part}": beside for part in PARTS if part_class(part, beside)}}
    name = "model" if in_memory else folder.resolve().name
    source = str(config.get("_name_or_path") or weights.resolve().name)
    described = flavor_of(known, task, architecture, config=config, beside=beside)
    flavor = {**described, "source_model_name": source, **({"peft_adaptor": "peft"} if adapter else {})}
    return Package(name, {**folders, **({"peft": adapter} if adapter else {})}, flavor, card.notes(folder, weights))


def flavor_of(known: Task, task: str, architecture: str, *, config: Mapping[str, Any], beside: Path) -> dict[str, Any]:
    """Return what MLflow's transformers flavor must know to load the model by itself."""
    classes = {part: part_class(part, beside) for part in PARTS}
    dtype = config.get("dtype") or config.get("torch_dtype")  # transformers 4 wrote the latter
    return {
        "task": PIPELINES.get(known.name, task),
        **({"inference_task": known.name} if known.name in PIPELINES else {}),
        "instance_type": f"{PIPELINES.get(known.name, known.name).title().replace('-', '')}Pipeline",
        "pipeline_model_type": architecture,
        "model_binary": "model",
        "torch_dtype": f"torch.{dtype}" if dtype else None,
        "components": sorted(part for part, named in classes.items() if named),
        **{f"{part}_type": named for part, named in classes.items() if named},
        "transformers_version": transformers.__version__,
        "code": None,
    }


def base_of(adapter: Path, base: Path | None) -> Path:
    """Return the checkpoint directory of an adapter's base, as given or as the adapter names it."""
    named = read_object(adapter / "adapter_config.json", "an adapter").get("base_model_name_or_path")
    folder = base or Path(str(named))
    if not (folder / "config.json").is_file():
        raise ModelError(f"log_model: {adapter}: its base model {folder} is no checkpoint directory here; give one as base")
    return folder


def read_object(file: Path, what: str) -> dict[str, Any]:
    """Return a JSON file's object; raises ModelError where the folder is not what it should be."""
    if not file.is_file():
        found = f"found no {file.name} in it" if file.parent.is_dir() else "found no such directory"
        raise ModelError(f"log_model: {file.parent}: expected {what}, {found}")
    try:
        content = json.loads(file.read_text())
    except (ValueError, RecursionError) as error:
        raise ModelError(f"log_model: {file}: cannot be read as JSON ({first_line(error)})") from None
    return content if isinstance(content, dict) else {}


def refuse_without_weights(folder: Path) -> None:
    """Pass if a folder holds its weights as safetensors, and all of them; raises ModelError."""
    if not any(folder.glob("*.safetensors")):
        others = sorted(each.name for suffix in ("bin", "pt", "pth", "ckpt", "h5", "msgpack") for each in folder.glob(f"*.{suffix}"))
        found = f"{others[0]}, and loading such a file may run code" if others else "none"
        raise ModelError(f"log_model: {folder}: expected weights as safetensors, found {found}; save the model again with save_pretrained")
    if (folder / INDEX).is_file():
        named = set(map(str, (read_object(folder / INDEX, "shards").get("weight_map") or {}).values()))
        missing = sorted(each for each in named if not (folder / each).is_file())
        if missing:
            raise ModelError(f"log_model: {folder}: {len(missing)} of {len(named)} shards of its weights are missing, such as {missing[0]}")


def adapted_class(adapter: Path, base: Path) -> str:
    """Return the class of the model that an adapter makes of its base."""
    kind = read_object(adapter / "adapter_config.json", "an adapter").get("task_type")
    if kind not in ADAPTED:
        raise ModelError(f"log_model: {adapter}: expected task_type to be one of {', '.join(ADAPTED)}, found {kind}")
    config = transformers.AutoConfig.from_pretrained(base, local_files_only=True, trust_remote_code=False)
    auto: Any = getattr(transformers, ADAPTED[kind])
    return str(auto._model_mapping[type(config)].__name__)


def part_class(part: str, folder: Path) -> str | None:
    """Return the class that a component says it is of, as MLflow's flavor wants it; None where the folder holds no such part."""
    written = part_settings(part, folder)
    if written is None:
        return None
    named = str(written.get(f"{part}_type") or written.get(f"{part}_class"))
    return named if hasattr(transformers, named) else FALLBACK[part]


def part_settings(part: str, folder: Path) -> dict[str, Any] | None:
    """Return a component's own settings, which transformers 5 may write into those of the processor around it."""
    if part == "tokenizer":
        file = folder / "tokenizer_config.json"
        return read_object(file, "a tokenizer") if file.is_file() else None
    for name, is_nested in (("preprocessor_config.json", False), ("processor_config.json", True)):
        if (folder / name).is_file():
            content = read_object(folder / name, "a processor")
            return content.get(part) if is_nested else content if is_part(part, content) else None
    return None


def is_part(part: str, written: Mapping[str, Any]) -> bool:
    """Tell a feature extractor from an image processor: both are written to the same file."""
    is_image = "image_processor_type" in written or "ImageProcessor" in str(written.get("feature_extractor_type"))
    return is_image == (part == "image_processor")


def write(package: Package, folder: Path) -> None:
    """Write a package's files, the library that its pyfunc needs, and the packages that this needs."""
    for place, source in package.folders.items():
        part = PARTS[Path(place).name] if place.startswith("components/") else None
        for file in sorted(set(matching(source, part) if part else carried(source))):
            target = folder / place / file.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            link_or_copy(str(file), str(target))
    card.carry([package.folders["model"], package.folders.get("peft", package.folders["model"])], folder)
    library.copy_into(folder / "code")
    (folder / "requirements.txt").write_text("".join(f"{line}\n" for line in requirements(package)))
    environment = {"python": platform.python_version(), "dependencies": ["-r requirements.txt"]}
    (folder / "python_env.yaml").write_text(yaml.safe_dump(environment))


def carried(folder: Path) -> Iterator[Path]:
    """Yield a model's files, and those of the folders that a sentence-transformers model keeps its other layers in."""
    yield from (each for each in matching(folder, CARRIED) if each.name not in LEFT and not each.name.endswith(".bin.index.json"))
    modules = json.loads((folder / "modules.json").read_text()) if (folder / "modules.json").is_file() else []
    for module in modules:
        below = folder / str(module["path"])
        if module["path"] and below.resolve().is_relative_to(folder.resolve()):
            yield from matching(below, ("*",))


def matching(folder: Path, patterns: tuple[str, ...]) -> Iterator[Path]:
    """Yield the files of a folder that match a pattern."""
    yield from (each for pattern in patterns for each in folder.glob(pattern) if each.is_file())


def requirements(package: Package) -> list[str]:
    """Return the packages that a pyfunc of the model needs, at the versions here."""
    needed = ["mlflow", "transformers", "torch", "safetensors", "numpy", "pandas", "pydantic", "pyyaml", "pyspark", "jinja2"]
    needed += ["peft"] if "peft" in package.folders else []
    needed += ["soundfile", "soxr"] if "components/feature_extractor" in package.folders else []
    needed += ["pillow", "torchvision"] if "components/image_processor" in package.folders else []
    config = (package.folders["model"] / "config.json").read_text(encoding="utf-8")
    needed += ["timm"] if re.search(r'"timm_backbone"|"use_timm_backbone": true', config) else []
    needed += ["soundfile"] if package.flavor["instance_type"] == "TextToAudioPipeline" else []
    return [f"{name}=={version(name).split('+')[0]}" for name in needed]
