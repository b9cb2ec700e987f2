"""A model as a folder that MLflow's transformers flavor and our scorer can both load: what goes where, and what is said of it.

Knows nothing of MLflow. Weights are linked or copied as files, never loaded.
"""

import json
import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import transformers
import yaml

import sparkcoil
from sparkcoil.assembly import link_or_copy
from sparkcoil.errors import ModelError
from sparkcoil.tasks import Task

# The parts beside a model, the files that each is made of, and the one that shows it is there.
PARTS: Mapping[str, tuple[str, ...]] = {
    "tokenizer": (
        "tokenizer_config.json",
        "tokenizer*",
        "vocab*",
        "merges.txt",
        "special_tokens_map.json",
        "added_tokens.json",
        "*.model",
        "*.spm",
        "*.jinja",
    ),
    "feature_extractor": ("preprocessor_config.json",),
    "image_processor": ("preprocessor_config.json",),
}
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
    folder = Path(model) if isinstance(model, str | Path) else saved(model, scratch)
    is_adapter = (folder / "adapter_config.json").is_file()
    weights = base_of(folder, base) if is_adapter else folder
    config = read_config(weights)
    architecture = adapted_class(folder, weights) if is_adapter else str((config.get("architectures") or ["unknown"])[0])
    if not architecture.endswith(known.heads):
        raise ModelError(f"log_model: {folder}: expected a model class ending in {' or '.join(known.heads)}, found {architecture}")
    beside = folder if (folder / PARTS["tokenizer"][0]).is_file() or not is_adapter else weights
    parts = {part for part, (shown, *_) in PARTS.items() if (beside / shown).is_file() and belongs(part, beside)}
    flavor = {
        "task": PIPELINES.get(known.name, task),
        **({"inference_task": known.name} if known.name in PIPELINES else {}),
        "instance_type": f"{PIPELINES.get(known.name, known.name).title().replace('-', '')}Pipeline",
        "pipeline_model_type": architecture,
        "model_binary": "model",
        "source_model_name": str(config.get("_name_or_path") or weights.name),
        "torch_dtype": f"torch.{config['dtype']}" if config.get("dtype") else None,
        "components": sorted(parts),
        **{f"{part}_type": part_class(part, beside) for part in parts},
        **({"peft_adaptor": "peft"} if is_adapter else {}),
        "transformers_version": transformers.__version__,
        "code": None,
    }
    folders = {"model": weights, **{f"components/{part}": beside for part in parts}, **({"peft": folder} if is_adapter else {})}
    return Package("model" if scratch in folder.parents else folder.name, folders, flavor, notes(folder, weights))


def saved(model: Any, scratch: Path) -> Path:
    """Return a folder with a pipeline or components saved into it."""
    names = ("model", *PARTS, "processor")
    parts = model if isinstance(model, Mapping) else {name: getattr(model, name, None) for name in names}
    if parts.get("model") is None:
        raise ModelError(f"log_model: expected a directory, a pipeline or components with a model, found {type(model).__name__}")
    folder = scratch / "saved"
    for part in filter(None, parts.values()):
        part.save_pretrained(folder)
    return folder


def base_of(adapter: Path, base: Path | None) -> Path:
    """Return the checkpoint directory of an adapter's base, as given or as the adapter names it."""
    named = json.loads((adapter / "adapter_config.json").read_text()).get("base_model_name_or_path")
    folder = base or Path(str(named))
    if not (folder / "config.json").is_file():
        raise ModelError(f"log_model: {adapter}: its base model {folder} is no checkpoint directory here; give one as base")
    return folder


def read_config(folder: Path) -> dict[str, Any]:
    """Return a checkpoint's config.json; raises ModelError where there is none."""
    if not (folder / "config.json").is_file():
        raise ModelError(f"log_model: {folder}: expected a checkpoint directory, found no config.json in it")
    config: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return config


def adapted_class(adapter: Path, base: Path) -> str:
    """Return the class of the model that an adapter makes of its base."""
    kind = json.loads((adapter / "adapter_config.json").read_text()).get("task_type")
    if kind not in ADAPTED:
        raise ModelError(f"log_model: {adapter}: expected task_type to be one of {', '.join(ADAPTED)}, found {kind}")
    config = transformers.AutoConfig.from_pretrained(base, local_files_only=True, trust_remote_code=False)
    auto: Any = getattr(transformers, ADAPTED[kind])
    return str(auto._model_mapping[type(config)].__name__)


def belongs(part: str, folder: Path) -> bool:
    """Tell a feature extractor from an image processor: both are written to the same file."""
    if part == "tokenizer":
        return True
    written = json.loads((folder / PARTS[part][0]).read_text())
    is_image = "image_processor_type" in written or "ImageProcessor" in str(written.get("feature_extractor_type"))
    return is_image == (part == "image_processor")


def part_class(part: str, folder: Path) -> str:
    """Return the class that a component says it is of, as MLflow's flavor wants it."""
    written = json.loads((folder / PARTS[part][0]).read_text())
    named = str(written.get(f"{part}_type") or written.get(f"{part}_class"))
    fallback = {
        "tokenizer": "PreTrainedTokenizerFast",
        "feature_extractor": "AutoFeatureExtractor",
        "image_processor": "AutoImageProcessor",
    }
    return named if hasattr(transformers, named) else fallback[part]


def notes(folder: Path, weights: Path) -> dict[str, Any]:
    """Return what is worth knowing of a model afterwards: its versions, and what its model card says of licence and base."""
    known = {"transformers_version": transformers.__version__, "torch_version": torch.__version__.split("+")[0]}
    card = next((place / "README.md" for place in (folder, weights) if (place / "README.md").is_file()), None)
    if card is None:
        return known
    _, _, rest = card.read_text(errors="replace").partition("---\n")
    try:
        front = yaml.safe_load(rest.partition("\n---")[0])
    except yaml.YAMLError:
        front = None
    said_there = front if isinstance(front, Mapping) else {}
    return {**known, **{name: str(said_there[name]) for name in ("license", "base_model") if said_there.get(name)}}


def write(package: Package, folder: Path) -> None:
    """Write a package's files, the library that its pyfunc needs, and the packages that this needs."""
    for place, source in package.folders.items():
        link_part(source, folder / place, PARTS[Path(place).name] if place.startswith("components/") else ("*",))
    for source in package.folders.values():
        for name, kept in (("README.md", "model_card.md"), ("LICENSE", "LICENSE.txt"), ("LICENSE.txt", "LICENSE.txt")):
            if (source / name).is_file():
                shutil.copy(source / name, folder / kept)
    shutil.copytree(Path(sparkcoil.__file__).parent, folder / "code" / "sparkcoil", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "requirements.txt").write_text("".join(f"{line}\n" for line in requirements(package)))
    environment = {"python": platform.python_version(), "dependencies": ["-r requirements.txt"]}
    (folder / "python_env.yaml").write_text(yaml.safe_dump(environment))


def link_part(source: Path, target: Path, patterns: tuple[str, ...]) -> None:
    """Make a folder hold the source's files of these patterns, without those of a training run's other checkpoints."""
    target.mkdir(parents=True)
    for file in sorted({each for pattern in patterns for each in source.glob(pattern) if each.is_file()}):
        link_or_copy(str(file), str(target / file.name))


def requirements(package: Package) -> list[str]:
    """Return the packages that a pyfunc of the model needs, at the versions here."""
    needed = ["mlflow", "transformers", "torch", "safetensors", "numpy", "pandas", "pydantic", "pyyaml", "pyspark"]
    needed += ["peft"] if "peft" in package.folders else []
    needed += ["soundfile", "soxr"] if "components/feature_extractor" in package.folders else []
    return [f"{name}=={version(name).split('+')[0]}" for name in needed]
