"""The example data as the quickstart makes it, and models of the examples' shapes that are not trained: what they predict is not the point.

Tests for which it is the point are in tests/test_tutorials.py.
"""

import hashlib
import importlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).parents[1]
# Random weights of the usual size give all texts nearly the same scores, of which no label is likelier than another.
LARGER = 6.0
KEYPAD_STEPS = 40


@contextmanager
def scripts() -> Iterator[Any]:
    """Let the block import what lies in scripts/."""
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        yield importlib.import_module
    finally:
        sys.path.remove(str(ROOT / "scripts"))


@cache
def kept() -> Path:
    """Return a folder with docstrings/, keypad/ and models/, as .cache/ has after the quickstart; made where its makers have changed."""
    data = ROOT / ".cache"
    subprocess.run([ROOT / "scripts" / "make_examples", "data"], check=True, cwd=ROOT)
    makers = [
        Path(__file__),
        *(ROOT / "scripts" / f"{name}.py" for name in ("train_docstrings", "train_keypad", "make_keypad", "make_docstrings")),
    ]
    folder = data / "tests" / f"examples-{hashlib.sha256(b''.join(each.read_bytes() for each in makers)).hexdigest()[:12]}"
    if not folder.is_dir():
        unfinished = folder.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        build(unfinished, data)
        unfinished.rename(folder)
    return folder


def build(folder: Path, data: Path) -> None:
    """Fill a folder with links to the data and with models."""
    (folder / "models").mkdir(parents=True)
    for name in ("docstrings", "keypad"):
        (folder / name).symlink_to(data / name)
    build_classifier(folder / "models" / "docstring_topic", data / "docstrings" / "docstrings.parquet")
    build_recognizer(folder / "models" / "keypad")


def build_classifier(folder: Path, docstrings: Path) -> None:
    """Save a BERT over fourteen packages that has seen none of their texts."""
    import pandas as pd

    with scripts() as load:
        train = load("train_docstrings")
    texts = pd.read_parquet(docstrings)["body"].tolist()
    tokenizer = train.train_tokenizer([text for text in texts if text.strip()])
    torch.manual_seed(7)
    model = train.build_model(tokenizer, [f"package_{i}" for i in range(train.CLASSES)])
    with torch.no_grad():
        for weights in model.parameters():
            weights.mul_(LARGER if weights.dim() > 1 else 1.0)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def build_recognizer(folder: Path) -> None:
    """Save a wav2vec2 whose ear is tuned to the keypad, after so few steps of training that it takes seconds."""
    with scripts() as load:
        train = load("train_keypad")
    folder.mkdir()
    torch.manual_seed(train.TRAINING_SEED)
    model = train.make_model()
    train.train(model, KEYPAD_STEPS)
    for part in (model, train.make_tokenizer(folder), train.make_extractor()):
        part.save_pretrained(folder)
