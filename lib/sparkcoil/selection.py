"""The model of a run with its task and its effective options: resolved once, allowed, made whole, agreed on."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sparkcoil import assembly, fitness, gate, models, options, tasks
from sparkcoil.agreement import check_call, check_inputs
from sparkcoil.artifact import LoggedModel
from sparkcoil.engines import Placement
from sparkcoil.errors import ConfigError, ModelError
from sparkcoil.options import Effective
from sparkcoil.sections import ModelConfig
from sparkcoil.tasks import Task


@dataclass(frozen=True)
class Selection:
    """What scores: a pinned model, its task, every option with its effective value, and how the model is loaded.

    `lifted` says, a sentence each, what of the artifact may run code because the run file trusts it.
    """

    logged: LoggedModel
    task: Task
    effective: Effective
    placement: Placement
    lifted: tuple[str, ...] = ()
    shared: bool = False

    @property
    def plain_options(self) -> dict[str, Any]:
        """The options as plain values, ready for JSON."""
        return self.effective.plain

    @property
    def fingerprint(self) -> str:
        """A digest of how inputs are scored, apart from the model: task, options, number format, how the model is loaded."""
        loaded = [self.placement.dtype, self.placement.attn_implementation, dict(self.placement.load_kwargs)]
        text = json.dumps([self.task.name, self.plain_options, *loaded], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def select(config: ModelConfig, *, name: str, task: str | None, columns: Mapping[str, str] | None) -> Selection:
    """Return the model that scores the columns, or any where they are not yet known.

    Raises ConfigError or ModelError before anything of the artifact has run.
    """
    try:
        return selected(config, name=name, task=task, columns=columns)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        kind = type(error).__name__
        raise ModelError(f"model.uri: {config.uri}: the artifact's files are not as MLflow and transformers write them ({kind})") from error


def selected(config: ModelConfig, *, name: str, task: str | None, columns: Mapping[str, str] | None) -> Selection:
    """Return the model of a run, resolved, judged by the gate, made whole, and with its options."""
    found = models.resolve(config.uri)
    lifted = gate.check(found.path, found.uri, config.trust)
    chosen = tasks.load(task_name(found, task))
    check_call(name, chosen, config.options, columns)
    logged = assembly.assembled(found, config.base)
    if logged.path != found.path:
        lifted += gate.check(logged.path, found.uri, config.trust)
    fitness.check(logged, chosen)
    effective = options.resolve(logged, chosen, config.options)
    chosen = effective.options.fit(chosen)
    if columns is not None:
        check_inputs(name, chosen, columns, effective.origins)
    placement = Placement(config.device, config.dtype, config.attn_implementation, config.load_kwargs, config.trust)
    return Selection(logged, chosen, effective, placement, tuple(dict.fromkeys(lifted)), config.shared)


def task_name(model: LoggedModel, asked: str | None) -> str:
    """Return the task of the run: the logged one or the asked one; raises where neither is there, or they disagree."""
    if model.task is None and asked is None:
        raise ConfigError(model.uri, ["task: the logged model names none; give one in the run file"])
    logged = [str(each) for each in (model.task, model.flavor.get("task")) if each is not None]
    if asked is not None and logged and tasks.load(asked) not in map(tasks.load, logged):
        raise ModelError(f"task: the run file says {asked}, and {model.uri} was logged for {model.task}")
    return asked or logged[0]
