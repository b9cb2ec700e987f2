"""A model made whole: an adapter put beside the base it was logged without, or a reference replaced by the weights it names.

This happens once, on the driver, into a local copy with its own digest: executors never look for a base model.
"""

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from sparkcoil import cache, digest, models
from sparkcoil.artifact import COMPONENTS, EMBEDDER, MODEL, LoggedModel
from sparkcoil.errors import ModelError, first_line

# A repository may hold the same weights several times over, in formats that run code when they are loaded.
FETCHED = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja")


def assembled(model: LoggedModel, base: str | None) -> LoggedModel:
    """Return the model with its weights in the artifact; raises ModelError where they are nowhere, saying what to do.

    `base` is the run file's base model: a checkpoint directory, or the URI of a logged model.
    """
    if model.is_embedder:
        return laid_out(model)
    if base is None and model.has_weights:
        return model
    if base is not None and not model.has_adapter:
        raise ModelError(f"model.base: {model.uri} is not an adapter, and needs no base model")
    weights = base_folder(model, base)
    whole = hashlib.sha256(f"{model.digest}\0{digest.remembered(weights)}".encode()).hexdigest()
    folder = cache.folder("assembled") / whole
    if not folder.is_dir():
        unfinished = Path(tempfile.mkdtemp(prefix="unfinished-", dir=folder.parent))
        link_tree(model.path, unfinished)
        shutil.rmtree(unfinished / MODEL, ignore_errors=True)
        link_tree(weights, unfinished / MODEL)
        fetch_components(model, unfinished)
        put(unfinished, folder)
    return replace(model, path=folder)


def laid_out(model: LoggedModel) -> LoggedModel:
    """Return a sentence-transformers model with its files where a transformers model has them, its first module's among them."""
    folder = cache.folder("assembled") / hashlib.sha256(f"{model.digest}\0{EMBEDDER}".encode()).hexdigest()
    if not folder.is_dir():
        unfinished = Path(tempfile.mkdtemp(prefix="unfinished-", dir=folder.parent))
        shutil.copy2(model.path / "MLmodel", unfinished / "MLmodel")
        link_tree(model.path / EMBEDDER, unfinished / MODEL)
        modules = json.loads((unfinished / MODEL / "modules.json").read_text())
        if first := modules[0]["path"]:
            link_tree(unfinished / MODEL / first, unfinished / MODEL)
        put(unfinished, folder)
    return replace(model, path=folder)


def put(unfinished: Path, folder: Path) -> None:
    """Move a finished folder to its place, unless another run was faster."""
    try:
        unfinished.rename(folder)
    except OSError:
        shutil.rmtree(unfinished)


def base_folder(model: LoggedModel, base: str | None) -> Path:
    """Return the checkpoint directory that completes a model: the run file's, the one it was logged with, or the hub's."""
    if base is not None:
        folder = Path(base)
        return checked(model, folder if folder.is_dir() and not (folder / "MLmodel").is_file() else models.resolve(base).path / MODEL, base)
    local = model.flavor.get("local_base_model_path")
    if local:
        return checked(model, Path(local), str(local))
    return fetched(model, str(model.flavor.get("source_model_name")), model.flavor.get("source_model_revision"))


def checked(model: LoggedModel, folder: Path, named: str) -> Path:
    """Return the folder if it holds a checkpoint; raises ModelError where it does not."""
    if not (folder / "config.json").is_file():
        raise ModelError(
            f"model.uri: {model.uri}: its base model {named} is no checkpoint directory on this machine; give one as model.base"
        )
    return folder.resolve()


def fetched(model: LoggedModel, name: str, revision: str | None) -> Path:
    """Return a hub repository's files at a commit, from the local hub cache or the hub; raises ModelError without either."""
    remedy = "log it with save_pretrained=True, or run mlflow.transformers.persist_pretrained_model where the hub can be reached"
    if not revision:
        raise ModelError(f"model.uri: {model.uri}: the artifact holds no weights and names no commit to fetch them at; {remedy}")
    from huggingface_hub import snapshot_download

    try:
        try:
            return Path(snapshot_download(name, revision=revision, allow_patterns=list(FETCHED)))
        except Exception:  # without the hub, its cache on this machine may do
            return Path(snapshot_download(name, revision=revision, local_files_only=True))
    except Exception as error:
        raise ModelError(
            f"model.uri: {model.uri}: the artifact holds no weights but a reference to {name} at {revision}, "
            f"which could not be fetched ({type(error).__name__}: {first_line(error)}); {remedy}"
        ) from error


def fetch_components(model: LoggedModel, folder: Path) -> None:
    """Put the components that a reference-only model names, such as its tokenizer, where MLflow would have saved them."""
    for part in model.flavor.get("components") or []:
        name, revision = model.flavor.get(f"{part}_name"), model.flavor.get(f"{part}_revision")
        elsewhere = name and name != model.flavor.get("source_model_name")
        if elsewhere and not (folder / COMPONENTS / part).exists():
            link_tree(fetched(model, str(name), revision), folder / COMPONENTS / part)


def link_tree(source: Path, target: Path) -> None:
    """Make the folder hold the source's files, without a second copy of them where the file system can do that."""
    shutil.copytree(source, target, copy_function=link_or_copy, dirs_exist_ok=True)


def link_or_copy(source: str, target: str) -> None:
    """Make a file hold what another holds; a hub cache's links are followed."""
    try:
        os.link(os.path.realpath(source), target)
    except OSError:
        shutil.copy2(source, target)
