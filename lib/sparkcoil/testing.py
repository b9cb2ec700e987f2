"""A model for tests, ours and yours, that needs no weights and no GPU: it echoes texts' hashes and misbehaves on request.

It goes through the same doors as any other: logged in MLflow, judged, tried on every executor, scored in batches.
docs/testing.md says how it is told what to do.
"""

import json
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.numpy import save_file

from sparkcoil.engines.echo import hash_of
from sparkcoil.registry import Logged, log_model, write_model
from sparkcoil.tasks.echo import TASK

__all__ = ["hash_of", "log_echo_model", "times_computed", "write_checkpoint", "write_echo_model"]


def log_echo_model(*, name: str | None = None, alias: str | None = None, options: Mapping[str, Any] | None = None) -> Logged:
    """Log the model in MLflow, as log_model does any other; its `uri` goes into a run file."""
    with tempfile.TemporaryDirectory(prefix="sparkcoil-echo-") as scratch:
        return log_model(write_checkpoint(Path(scratch) / "echo"), task=TASK.name, name=name, alias=alias, options=options)


def write_echo_model(folder: str | Path, *, options: Mapping[str, Any] | None = None) -> str:
    """Write the model into a folder that is not there yet, and return its path, which goes into a run file as `model.uri`."""
    with tempfile.TemporaryDirectory(prefix="sparkcoil-echo-") as scratch:
        write_model(write_checkpoint(Path(scratch) / "echo"), folder, task=TASK.name, options=options)
    return str(folder)


def write_checkpoint(folder: Path) -> Path:
    """Write the model as a checkpoint directory, whose file of weights holds none."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "sparkcoil-echo", "architectures": list(TASK.heads)}))
    save_file({}, folder / "model.safetensors")
    return folder


def times_computed(log: str | Path) -> Counter[str]:
    """Return how often a model with the option `log` has been handed each text, by the text's hash."""
    lines = (line for file in sorted(Path(log).glob("*.calls")) for line in file.read_text().splitlines())
    return Counter(line.split()[0] for line in lines)
