"""What a model's authors say of it: its model card and its licence, carried along, and what of them is worth looking up.

Knows nothing of MLflow.
"""

import re
import shutil
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

FRONT = re.compile(r"\ufeff?---\r?\n(.*?)\r?\n---", re.DOTALL)
LICENCES = ("LICENSE", "LICENSE.txt", "LICENSE.md")
COMMIT = re.compile(r"[0-9a-f]{40}")


def notes(folder: Path, weights: Path) -> dict[str, Any]:
    """Return what is worth knowing of a model afterwards: its versions and commit, and what its card says of licence and base."""
    known = {"transformers_version": version("transformers"), "torch_version": version("torch").split("+")[0]}
    said = front_matter(folder) or front_matter(weights)
    for name in ("license", "base_model"):
        if said.get(name):
            known[name] = ", ".join(map(str, said[name])) if isinstance(said[name], list) else str(said[name])
    if folder != weights:
        known.setdefault("base_model", weights.resolve().name)
    commit = folder.resolve().name
    # The hub's cache names the folder of a download after its commit.
    return {**known, "commit": commit} if folder.resolve().parent.name == "snapshots" and COMMIT.fullmatch(commit) else known


def front_matter(folder: Path) -> Mapping[str, Any]:
    """Return the settings at the head of a model card, none where there is no card or it cannot be read."""
    card = folder / "README.md"
    found = FRONT.match(card.read_text(errors="replace")) if card.is_file() else None
    try:
        settings = yaml.safe_load(found[1]) if found else None
    except yaml.YAMLError:
        settings = None
    return settings if isinstance(settings, Mapping) else {}


def carry(sources: Iterable[Path], folder: Path) -> None:
    """Copy the model card and the licence of the last source that has one."""
    for source in sources:
        for name, kept in (("README.md", "model_card.md"), *((each, "LICENSE.txt") for each in LICENCES)):
            if (source / name).is_file():
                shutil.copyfile(source / name, folder / kept)
