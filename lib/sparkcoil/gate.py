"""Judges a logged model's files before anything of them may run: each is read as plain data, and what could run code is refused.

Knows nothing of Spark, MLflow, torch or transformers, and imports, unpickles or opens nothing that a file names.
"""

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from sparkcoil import mlmodel
from sparkcoil.errors import ModelError, first_line

TRUST = ("remote_code", "pickle")
CURE = {"remote_code": "log the model with classes that transformers itself has", "pickle": "save the model as safetensors"}
REMOVE = "remove the file and log the model again"
TORCH_SUFFIXES = {".bin", ".pt", ".pth", ".ckpt"}
PICKLE_SUFFIXES = {".pkl", ".pickle", ".joblib", ".h5", ".hdf5", ".keras", ".msgpack", ".npz"}
CODE_SUFFIXES = {".py", ".pyc", ".pyo", ".pyd", ".pyx", ".pyw", ".so", ".dll", ".dylib", ".egg", ".whl"}
FOREIGN_SUFFIXES = {".onnx", ".gguf", ".ggml", ".tflite", ".pb", ".ot", ".mlmodel"}
PICKLE = re.compile(rb"\x80[\x02-\x05]|PK\x03\x04")  # a pickle of protocol 2 to 5, or a zip as torch and numpy write them
NUMBERS = re.compile(  # what numpy writes before an array of numbers or texts; in any other it may have put a pickle
    rb"\x93NUMPY(?:\x01\0..|[\x02\x03]\0....)\{'descr': '[<>|][biufcSU]\d+', 'fortran_order': \w+, 'shape': \([\d, ]*\), \}", re.DOTALL
)
# These hold vocabularies and rows, in which any word may be a key; no library looks for settings in them.
DATA_JSON = {"tokenizer.json", "vocab.json", "input_example.json", "serving_input_example.json", "known_answers.json"}
CODE_KEYS = {"auto_map", "custom_pipelines", "custom_generate"}
KERNEL_KEYS = {under + name + "_implementation" + end for under in ("", "_") for name in ("attn", "experts") for end in ("", "_internal")}
LIBRARIES = {"parent_library": "transformers", "megatron_core": "megatron", "type": "sentence_transformers"}
# PEFT opens what these name as paths of the machine, or fetches it; an adapter's other paths it does not open when it loads.
ADAPTER_PATHS = {"prompt_tuning_init_state_dict_path", "shadow_model", "adapters"}
PARTS = {"model_binary", "peft_adaptor", "components", "pipeline", "tokenizer", "feature_extractor", "image_processor", "processor"}
PARTS |= {"code", "data", "env", "model_path", "python_model", "saved_input_example_info"}
PATHS = {"modules.json": {"path"}, "tokenizer_config.json": {"*_file"}, "adapter_config.json": ADAPTER_PATHS, "MLmodel": PARTS}
FILE_KEY = re.compile(r"(?!special_tokens_map_)\w*_files?")  # that one is a leftover of old versions, which no library opens
JUDGED = {"trust_remote_code", "weight_map", "transformers_weights"}.union(LIBRARIES, CODE_KEYS, KERNEL_KEYS, *PATHS.values())
LOADERS = ("mlflow.transformers", "sparkcoil.scorer", "mlflow.sentence_transformers")
# Python writes the bytecode when MLflow imports the library from there.
OWN_CODE = re.compile(r"code/sparkcoil/(?:[a-z0-9_]+/)*(?:[a-z0-9_]+\.(?:py|typed)|__pycache__/[a-z0-9_]+\.cpython-[\w.-]+)")
KENLM = b"mmap lm http://kheafield.com/code"
MAX_JSON = 20_000_000  # bytes
MAX_DEPTH, MAX_SETTINGS = 50, 300_000


@dataclass(frozen=True)
class Finding:
    """What could run code or reach outside: the file, the reason, and either the way out or the word of trust that lifts it."""

    name: str
    reason: str
    remedy: str = ""
    trust: str = ""


def check(artifact: Path, uri: str, trust: Collection[str] = ()) -> tuple[str, ...]:
    """Pass if nothing of the artifact can run code unless trusted by name; return a sentence for each thing that was let through."""
    lifted = []
    try:
        for found in findings(artifact.resolve(strict=True)):
            if found.trust not in trust or not found.trust:
                remedy = found.remedy or f"{CURE[found.trust]}, or allow it with model.trust: [{found.trust}]"
                raise ModelError(f"model.uri: {uri}: {shown(found.name)} {found.reason}; {remedy}")
            lifted.append(f"{shown(found.name)} {found.reason}; let through by model.trust: [{found.trust}]")
    except (OSError, RecursionError) as error:
        raise ModelError(f"model.uri: {uri}: the artifact cannot be read ({shown(first_line(error))}); log the model again") from error
    return tuple(dict.fromkeys(lifted))


def findings(artifact: Path) -> Iterator[Finding]:
    """Yield whatever is not plainly harmless; nothing is opened before it is known to be an ordinary file of the artifact."""
    weights, ours = {}, carries_sparkcoil(artifact / "MLmodel")
    for path in entries(artifact):
        name = str(path.relative_to(artifact))
        if misplaced := out_of_place(artifact, path):
            yield Finding(name, misplaced, "put an ordinary file there")
        elif path.is_file() and not (ours and OWN_CODE.fullmatch(name)):
            weights[path.suffix.lower()] = name
            yield from judged(path, name)
    foreign = sorted(name for suffix, name in weights.items() if suffix in FOREIGN_SUFFIXES)
    if foreign and weights.keys().isdisjoint({".safetensors", *TORCH_SUFFIXES}):
        yield Finding(foreign[0], "is not PyTorch safetensors, and there are none beside it", CURE["pickle"])
    yield from judged_mlmodel(artifact / "MLmodel")


def entries(folder: Path) -> Iterator[Path]:
    """Yield every entry of a folder and its folders in a fixed order, following no link."""
    for path in sorted(folder.iterdir()):
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from entries(path)


def out_of_place(artifact: Path, path: Path) -> str | None:
    """Return what is wrong with where an entry leads, or with its kind."""
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError):  # a loop of links is a RuntimeError before Python 3.13
        return "is a link that leads nowhere"
    if not target.is_relative_to(artifact):
        return "is a link out of the artifact"
    return None if target.is_file() or target.is_dir() else "is a pipe, a socket or a device"


def judged(path: Path, name: str) -> Iterator[Finding]:
    """Yield what is wrong with an ordinary file: by its suffix, and by how it begins where the suffix says nothing."""
    suffix = path.suffix.lower()
    if suffix in CODE_SUFFIXES:
        yield Finding(name, "is code of the model's own", trust="remote_code")
    elif suffix in TORCH_SUFFIXES and not is_ngrams(path):
        yield Finding(name, "may run code when loaded (a pickle)", trust="pickle")
    elif suffix == ".safetensors":
        yield from judged_safetensors(path, name)
    elif suffix in PICKLE_SUFFIXES or hides_pickle(path):
        yield Finding(name, "may run code when loaded (a pickle, an archive or an array of objects)", REMOVE)
    elif suffix == ".json" and path.name not in DATA_JSON:
        yield from judged_json(path, name)


def is_ngrams(path: Path) -> bool:
    """Whether a file holds the n-grams of a language model as KenLM writes them: tables of numbers, which run nothing."""
    with path.open("rb") as content:
        return content.read(len(KENLM)) == KENLM


def hides_pickle(path: Path) -> bool:
    """Whether a file may be read as a pickle, whatever its name says."""
    with path.open("rb") as content:
        head = content.read(1 << 12)
    return bool(PICKLE.match(head)) or (head.startswith(b"\x93NUMPY") and not NUMBERS.match(head))


def judged_safetensors(path: Path, name: str) -> Iterator[Finding]:
    """Yield a finding unless the file begins with a safetensors header whose tensors all lie inside the file."""
    try:
        with path.open("rb") as content:
            length = int.from_bytes(content.read(8), "little")
            room = path.stat().st_size - 8 - length
            tensors = json.loads(content.read(length if room >= 0 and length <= MAX_JSON else 0).decode())
        spans = [tensor["data_offsets"] for key, tensor in tensors.items() if key != "__metadata__"]
        if not all(0 <= begin <= end <= room for begin, end in spans):
            raise ValueError("a tensor lies outside the file")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        yield Finding(name, "is no safetensors file, whatever its name says", "save the model again as safetensors")


def judged_json(path: Path, name: str) -> Iterator[Finding]:
    """Yield what is wrong with the settings of a JSON file, or the one reason why they cannot be judged."""
    try:
        settings = json.loads(path.read_bytes().decode() if path.stat().st_size <= MAX_JSON else "")
    except (ValueError, RecursionError):
        yield Finding(name, f"is no JSON that can be judged (invalid, nested too deeply or over {MAX_JSON // 1_000_000} MB)", REMOVE)
    else:
        yield from judged_settings(name, settings)


def judged_settings(name: str, settings: Any) -> Iterator[Finding]:
    """Yield the settings that make a library import code, or open what lies outside the artifact."""
    for count, (keys, value) in enumerate(leaves(settings)):
        if count > MAX_SETTINGS:
            yield Finding(name, "holds too many settings to be judged", REMOVE)
            return
        if leads_out(PurePosixPath(name).name, keys, value):
            yield Finding(name, f"names what lies outside the artifact ({', '.join(sorted(keys))})", "name a file inside it")
        elif imports(PurePosixPath(name).name, keys, value):
            yield Finding(name, f"points to code of the model's own ({', '.join(sorted(keys))})", trust="remote_code")


def leads_out(file: str, keys: Collection[str], value: str) -> bool:
    """Whether a setting names a file that a library would look for outside the artifact."""
    named = {"weight_map", "transformers_weights", "auto_map", *PATHS.get(file, ())}.intersection(keys)
    return bool(named) and (climbs(value) or (not named.isdisjoint(ADAPTER_PATHS) and value not in ("", "mirror")))


def imports(file: str, keys: Collection[str], value: str) -> bool:
    """Whether a setting has code imported; a key that a vocabulary happens to hold has no text as its value."""
    odd = {key for key in LIBRARIES.keys() & keys if value.split(".")[0] != LIBRARIES[key] and (key != "type" or file == "modules.json")}
    asked = "trust_remote_code" in keys and value.lower() == "true"
    return bool(odd) or asked or not CODE_KEYS.isdisjoint(keys) or ("/" in value and not KERNEL_KEYS.isdisjoint(keys))


def leaves(data: Any) -> Iterator[tuple[frozenset[str], str]]:
    """Yield each text (and each true, as one) that lies under keys that are judged, with those keys."""
    stack: list[tuple[frozenset[str], Any]] = [(frozenset(), data)]
    while stack:
        keys, value = stack.pop()
        if isinstance(value, dict):
            stack += [
                (keys | JUDGED.intersection(["*_file" if FILE_KEY.fullmatch(str(key)) else key]), each) for key, each in value.items()
            ]
        elif isinstance(value, list):
            stack += [(keys, each) for each in value if keys or isinstance(each, dict | list)]
        elif keys and (value is True or isinstance(value, str)):
            yield keys, "true" if value is True else value


def judged_mlmodel(path: Path) -> Iterator[Finding]:
    """Yield what the MLmodel file has of code, other frameworks and names outside, or the one reason why it cannot be judged."""
    try:
        settings = mlmodel.read(path)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        yield Finding("MLmodel", str(error) if type(error) is ValueError else "is no valid YAML of plain values", "log the model again")
        return
    flavors = settings["flavors"]
    if flavors.get("python_function", {}).get("loader_module", LOADERS[0]) not in LOADERS:
        yield Finding("MLmodel", "names a loader module of its own (python_function.loader_module)", trust="remote_code")
    allowed = "python_function" if carries_sparkcoil(path) else None
    if any(flavor.get("code") for name, flavor in flavors.items() if name != allowed):
        yield Finding("MLmodel", "carries code of its own (code paths)", trust="remote_code")
    if flavors.get("transformers", {}).get("framework", "pt") not in (None, "pt"):
        yield Finding("MLmodel", "names another framework than PyTorch (framework)", "log the model from PyTorch, as safetensors")
    yield from judged_settings("MLmodel", {key: settings.get(key) for key in ("flavors", "saved_input_example_info")})


def carries_sparkcoil(path: Path) -> bool:
    """Whether a model was logged by sparkcoil, with this library for MLflow's use; a run imports nothing from there."""
    try:
        flavor = mlmodel.read(path)["flavors"].get("python_function", {})
    except (yaml.YAMLError, ValueError, TypeError, RecursionError):
        return False
    return bool(flavor.get("loader_module") == LOADERS[1] and flavor.get("code") == "code")


def climbs(name: str) -> bool:
    """Whether a name may lead out of the folder that it is read in."""
    name = name.replace("\\", "/")
    return name.startswith(("/", "~")) or ".." in name.split("/") or "://" in name or name[1:2] == ":"


def shown(text: str) -> str:
    """Return a text of the artifact's as one printable line, cut where it is long."""
    return (text if text.isprintable() else ascii(text))[:300]
