"""The one resolver of inference options: what was logged with a model and what a run asks for, joined in a fixed order.

Lowest first: the task's defaults, what the task's name implies, the checkpoint's generation config, the logged model_config,
the signature's param defaults, the run file. A column of the row under an option's name comes above them all.
MLflow lets signature defaults beat an explicit model_config, and ignores model_config on a cluster.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from sparkcoil import native, tasks
from sparkcoil.artifact import COMPONENTS, MODEL, LoggedModel
from sparkcoil.errors import ConfigError, ModelError, first_line
from sparkcoil.problems import Problem, from_pydantic, said
from sparkcoil.tasks import Options, Task

RUN_FILE = "run file"
# Greedy unless asked: a checkpoint's habit of sampling is not the user's asking. Asked, `generate` finds the rest of it there.
NEVER_FROM_CHECKPOINT = {"do_sample", "temperature", "top_k", "top_p"}


@dataclass(frozen=True)
class Effective:
    """Every option's value, where each that is not a default came from, and logged settings that are no options, by their home."""

    options: Options
    origins: Mapping[str, str]
    ignored: Mapping[str, str]

    @property
    def plain(self) -> dict[str, Any]:
        """The options as plain values, ready for JSON."""
        return self.options.model_dump(mode="json")


def resolve(model: LoggedModel, task: Task, asked: Mapping[str, Any]) -> Effective:
    """Return the effective options of a task on a model; raises ModelError for a logged value that no option takes and that is in force."""
    known = task.options.model_fields
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    ignored: dict[str, str] = {}
    for origin, given in (*logged(model, task), (RUN_FILE, asked)):
        chosen = {name: value for name, value in given.items() if name in known and task.is_set(name, value)}
        ignored.update({name: origin for name in given if name not in known})
        for name in rivals(task, chosen):
            values.pop(name, None)
            origins.pop(name, None)
        values.update(chosen)
        origins.update(dict.fromkeys(chosen, origin))
    try:
        return Effective(task.options(**values), origins, ignored)
    except ValidationError as error:
        raise refusal(model, [*from_pydantic(error, task.options)], origins) from None


def refusal(model: LoggedModel, problems: Sequence[Problem], origins: Mapping[str, str]) -> ConfigError | ModelError:
    """Return what is raised for options that are wrong: of the run file where any of them is its, else of the model as it was logged."""
    homes = {origins.get(str(each.path[0])) if each.path else RUN_FILE for each in problems}
    if RUN_FILE in homes or None in homes:
        return ConfigError(model.uri, [f"model.options.{said(each)}" if each.path else f"model.options: {said(each)}" for each in problems])
    told = "; ".join(said(each) for each in problems)
    remedy = "log it with another, or set the option in the run file"
    return ModelError(f"model.uri: {model.uri}: its {' and '.join(sorted(map(str, homes)))} cannot be used: {told}; {remedy}")


def logged(model: LoggedModel, task: Task) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield what was logged with a model, lowest first, each with the name of its home."""
    name = str(model.flavor.get("task") or task.name)
    yield "task name", tasks.implied_options(task, name) or {}
    yield "tokenizer", tokenizer_settings(model, task)
    if "do_sample" in task.options.model_fields:
        yield "generation config", generation_config(model, task, name)
    yield "model config", native.translate(task, model_config(model))
    yield "signature", native.translate(task, signature_defaults(model))


def tokenizer_settings(model: LoggedModel, task: Task) -> dict[str, Any]:
    """Return which end of a long text a tokenizer cuts, where it was saved to cut the beginning."""
    folders = (f"{COMPONENTS}/tokenizer", MODEL)
    file = next((name for each in folders if (model.path / (name := f"{each}/tokenizer_config.json")).is_file()), None)
    left = file is not None and model.read_json(file).get("truncation_side") == "left"
    return {"truncation": "truncate_left"} if left and task.takes("truncation", "truncate_left") else {}


def generation_config(model: LoggedModel, task: Task, name: str) -> dict[str, Any]:
    """Return the checkpoint's settings for generation that are options of the task, those for the task by name above the others."""
    special = model.config.get("task_specific_params") or {}
    joined = {**model.read_json(f"{MODEL}/generation_config.json"), **(special.get(name) or special.get(task.name) or {})}
    joined = native.translate(task, joined)
    return {key: value for key, value in joined.items() if key in task.options.model_fields and key not in NEVER_FROM_CHECKPOINT}


def model_config(model: LoggedModel) -> dict[str, Any]:
    """Return the inference configuration that the model was logged with, and its prompt template."""
    template = model.notes.get("prompt_template")
    old = model.read_json(f"{COMPONENTS}/inference_config.txt")
    return {**old, **(model.pyfunc.get("config") or {}), **({"prompt_template": template} if template else {})}


def signature_defaults(model: LoggedModel) -> dict[str, Any]:
    """Return the defaults of the params in the model's signature."""
    written = (model.metadata.get("signature") or {}).get("params")
    try:
        return {each["name"]: each.get("default") for each in json.loads(written or "[]")}
    except (ValueError, TypeError, KeyError) as error:
        raise ModelError(f"model.uri: {model.uri}: the params of its signature cannot be read ({first_line(error)})") from None


def rivals(task: Task, chosen: Mapping[str, Any]) -> set[str]:
    """Return the options that one of the chosen ones takes the place of, such as max_length where max_new_tokens is given."""
    groups = [group for group in task.options.exclusive if set(group) & set(chosen)]
    return {name for group in groups for name in group} - set(chosen)
