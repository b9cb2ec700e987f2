"""The model of a run with its task and its effective options: resolved once, agreed on, allowed."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sparkcoil import models, tasks
from sparkcoil.config import ModelConfig, check_call
from sparkcoil.errors import ModelError
from sparkcoil.models import LoggedModel
from sparkcoil.tasks import Options, Task


@dataclass(frozen=True)
class Selection:
    """What scores: a pinned model, its task, every option with its effective value, number format and device."""

    logged: LoggedModel
    task: Task
    options: Options
    dtype: str
    device: str

    @property
    def plain_options(self) -> dict[str, Any]:
        """The options as plain values, ready for JSON."""
        return self.options.model_dump(mode="json")

    @property
    def fingerprint(self) -> str:
        """A digest of how inputs are scored, apart from the model: task, options, number format."""
        text = json.dumps([self.task.name, self.plain_options, self.dtype], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def select(config: ModelConfig, *, name: str, task: str | None, columns: Mapping[str, str] | None) -> Selection:
    """Return the model that scores the columns, or any where they are not yet known.

    Raises ConfigError or ModelError before anything of the artifact has run.
    """
    logged = models.resolve(config.uri)
    chosen = tasks.load(models.task_name(logged, task))
    check_call(name, chosen, config.options, columns)
    models.check(logged, chosen)
    if config.dtype == "fastest":
        raise ModelError("model.dtype: fastest is not available yet; use auto, float32, bfloat16 or float16")
    return Selection(logged, chosen, chosen.options(**config.options), config.dtype, config.device)
