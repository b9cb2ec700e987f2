"""Whether a task takes the options and the inputs of a run, before the model is read and once it is. Knows nothing of Spark."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from sparkcoil import refused, tasks, verdicts
from sparkcoil.errors import ConfigError, ModelError
from sparkcoil.problems import KeyPath, Problem, by_field, from_pydantic, input_problems, openai_problems, said, value_at
from sparkcoil.settings import GatesConfig
from sparkcoil.tasks import Task


def check_call(where: str, task: Task, options: Mapping[str, Any], columns: Mapping[str, Any] | None) -> None:
    """Raise ConfigError unless the task takes these options and inputs; no message holds a value."""
    _refuse(where, [*_option_problems(task, options), *(() if columns is None else _column_problems(task, options, columns))])


def check_inputs(where: str, task: Task, columns: Mapping[str, Any], options: Collection[str]) -> None:
    """Raise ConfigError unless the task, as its options make it, takes these inputs; `options` are those that are set."""
    _refuse(where, list(_below(("source", "columns"), input_problems(task, columns, options))))


def _refuse(where: str, problems: Collection[Problem]) -> None:
    if problems:
        raise ConfigError(where, [said(each) for each in problems])


def task_problems(data: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what is wrong with a run as a mapping, as the task that it names sees it."""
    name = data.get("task")
    if not isinstance(name, str) or not name.strip():
        return
    try:
        task = tasks.load(name)
    except ModelError:
        yield Problem(("task",), "unknown task", quotes=True, hint=refused.hint(name, tasks.every_name()))
        return
    yield from openai_problems(task, data)
    with suppress(ValidationError):
        yield from verdicts.problems(GatesConfig.model_validate(data.get("gates") or {}), task)
    asked = next((each for each in value_at(data, ("model", "options")) if isinstance(each, Mapping)), {})
    for options in value_at(data, ("model", "options")):
        yield from _option_problems(task, options)
    for options in value_at(data, ("challenger", "options")):
        yield from (replace(each, path=("challenger", *each.path[1:])) for each in _option_problems(task, options or {}))
    for columns in value_at(data, ("source", "columns")) or ({},):
        if isinstance(columns, Mapping):
            yield from _column_problems(task, asked, columns)


def _column_problems(task: Task, options: Mapping[str, Any], columns: Mapping[str, Any]) -> Iterator[Problem]:
    # What a template takes that was logged with the model is known once the model is read.
    if "prompt_template" in task.options.model_fields and options.get("prompt_template") is None:
        return
    with suppress(ValidationError):
        task = task.options.model_validate(options).fit(task)
    # What a row needs one of may have been logged with the model as well.
    given = {name for name, value in options.items() if task.is_set(name, value)} | {*task.one_of} & {*task.options.model_fields}
    yield from _below(("source", "columns"), input_problems(task, columns, given))


def _option_problems(task: Task, options: Any) -> Iterator[Problem]:
    try:
        task.options.model_validate(options if isinstance(options, Mapping) else {})
    except ValidationError as error:
        yield from _below(("model", "options"), by_field(from_pydantic(error, task.options)))


def _below(path: KeyPath, problems: Iterable[Problem]) -> Iterator[Problem]:
    return (replace(each, path=(*path, *each.path)) for each in problems)
