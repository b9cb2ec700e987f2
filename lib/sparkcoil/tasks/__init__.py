"""What a task is, and the registry of tasks: a module in this folder is a task, under the task's own name.

A task says what goes in and what comes out; an engine says how it is computed. Knows nothing of Spark, MLflow or torch.
"""

import base64
import importlib
import pkgutil
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, PrivateAttr, ValidationError

from sparkcoil import ledger, refused
from sparkcoil.errors import ModelError, RowError

Row = Mapping[str, Any]
"""One row's inputs, by input name; text arrives as bytes, since a Spark string need not be valid UTF-8."""

Facts = Mapping[str, Any]
"""What a task must know of the loaded model to write predictions, such as its labels."""

Prediction = dict[str, Any]

OWN_LABELS = "candidate_labels"
"""The input with which a row brings its own labels."""

C = TypeVar("C")


@dataclass(frozen=True)
class Warned:
    """A prediction with warnings that show in the model's output alone, such as a text that goes round in circles."""

    prediction: Prediction
    warnings: tuple[str, ...]


Written = Prediction | Warned | RowError
"""What a task makes of a row's result."""


OptionsT = TypeVar("OptionsT", bound="Options")


class Options(BaseModel):
    """Inference options of a task; each task extends it with fields under their Hugging Face names.

    In a group of `exclusive` options, one that is set puts the others out, such as `max_length` and `max_new_tokens`.
    """

    exclusive: ClassVar[tuple[tuple[str, ...], ...]] = ()

    model_config = ConfigDict(extra="forbid", frozen=True)

    # No option: a run declares it under `source.roots`, and what reads rows is told beside the options.
    _roots: tuple[str, ...] = PrivateAttr(default=())

    @property
    def roots(self) -> tuple[str, ...]:
        """The folders and URI prefixes under which files that rows name have to lie; none unless a run declares some."""
        return self._roots

    def fit(self, task: "Task") -> "Task":
        """Return the task as these options make it: with the inputs that they read, and the fields that they fill."""
        return task


def with_roots(options: OptionsT, roots: Sequence[str]) -> OptionsT:
    """Return options that let rows name files under the roots."""
    copied = options.model_copy()
    copied._roots = tuple(roots)
    return copied


@dataclass(frozen=True)
class Input:
    """One input of a task: its name and the Spark types that it may arrive in.

    A struct has one of `fields`. With `as_text` it may be of any type and arrives as text; it is a template's field, called by its name in
    braces.
    """

    name: str
    types: tuple[str, ...]
    required: bool = True
    as_text: bool = False
    fields: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """What a user calls the input."""
        return self.name.strip("{}")


@dataclass(frozen=True)
class Task:
    """A task as a value: its inputs, its prediction type, its options, and the way in and out of its engine.

    `read` turns one row's inputs into an item for the engine, with warnings, and raises RowError for one it cannot read.
    Inputs named like an option of the task hold that option's value for the row.
    `write` turns what the engine returned for a batch into one prediction, or RowError, for each of its rows.
    `prediction` is the DDL of the prediction's fields; `heads` are the endings of the model classes that `engine` runs,
    but for those that `engines` pairs with an engine of their own.
    `parts` are what a model needs beside its weights; of the inputs in `one_of`, at least one has a column or is set as an option.
    `pattern` matches further names of the task; its named groups are options that such a name implies.
    `json_fields` are those of the prediction that leave the worker as JSON text, since their type is the user's.
    """

    name: str
    inputs: tuple[Input, ...]
    prediction: str
    options: type[Options]
    engine: str
    heads: tuple[str, ...]
    read: Callable[[Row, Any], tuple[Any, tuple[str, ...]]]
    write: Callable[[Sequence[Any], Facts, Any], Sequence[Written]]
    aliases: tuple[str, ...] = ()
    pattern: str | None = None
    parts: tuple[str, ...] = ("tokenizer",)
    one_of: tuple[str, ...] = ()
    json_fields: tuple[str, ...] = ()
    engines: tuple[tuple[str, str], ...] = ()

    @cached_property
    def binary_fields(self) -> tuple[str, ...]:
        """The fields of the prediction that are or hold bytes, which leave the worker as base64: MLflow's UDFs refuse to return BINARY."""
        fields = ledger.split_fields(self.prediction)
        return tuple(name for name, kind in fields if ledger.BYTES.search(kind) and name not in self.json_fields)

    def takes(self, option: str, value: Any) -> bool:
        """Tell whether the task has an option that takes a value."""
        if option not in self.options.model_fields:
            return False
        try:
            self.options(**{option: value})
        except ValidationError:
            return False
        return True

    def is_set(self, option: str, value: Any) -> bool:
        """Tell whether a value sets an option: NULL does not, and no label is none of those that a task needs one of."""
        return value is not None and bool(value or option not in self.one_of)

    @property
    def has_own_labels(self) -> bool:
        """Whether labels are the model's, and may be said; rows bring those that are theirs, and they are content."""
        return all(each.name != OWN_LABELS for each in self.inputs)

    @property
    def wire(self) -> str:
        """The DDL of the prediction as it leaves the worker: text for what MLflow cannot convert, or would lose the nulls of."""
        fields = ledger.split_fields(self.prediction)
        return ", ".join(f"{name} {'STRING' if name in self.json_fields else ledger.BYTES.sub('STRING', kind)}" for name, kind in fields)

    def sent(self, prediction: Prediction) -> Prediction:
        """Return a prediction as it leaves the worker."""
        kinds = dict(ledger.split_fields(self.prediction)) if self.binary_fields else {}
        return {**prediction, **{name: encoded(prediction[name], kinds[name]) for name in self.binary_fields}}

    def engine_of(self, architecture: str) -> str:
        """Return the engine that runs models of a class."""
        return next((engine for head, engine in self.engines if architecture.endswith(head)), self.engine)


def encoded(value: Any, kind: str) -> Any:
    """Return a value of a type with its bytes, however deep they are in it, as base64."""
    if value is None or not ledger.BYTES.search(kind):
        return value
    outer, inner = ledger.opened(kind)
    if outer == "ARRAY":
        return [encoded(each, inner) for each in value]
    if outer == "STRUCT":
        return {name: encoded(value[name], kind) for name, kind in ledger.fields_of(inner)}
    return base64.b64encode(value).decode()


def wired(task: Task, columns: Mapping[str, C]) -> dict[str, C | str]:
    """Return columns under the names of the task's inputs; a template's field without a column of its own is the column of its name."""
    names = {each.name for each in task.inputs}
    labels = [each.label for each in task.inputs if each.as_text]
    given: dict[str, C | str] = {name: column for name, column in columns.items() if name in names or name not in labels}
    return {**given, **{f"{{{label}}}": columns.get(label, label) for label in labels}}


def decode_text(cell: bytes | str | None, name: str) -> str:
    """Return the text of a cell; raises RowError for NULL and for bytes that are not UTF-8."""
    if cell is None:
        raise RowError("input", "null_input", f"{name} is NULL")
    try:
        return cell if isinstance(cell, str) else bytes(cell).decode("utf-8")
    except UnicodeDecodeError as error:
        raise RowError("input", "invalid_encoding", f"{name} is not valid UTF-8 at byte {error.start}") from None


def module_names() -> tuple[str, ...]:
    """Return the module names in this folder, one for each task, without importing any."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def names() -> tuple[str, ...]:
    """Return the names of all tasks, without importing any."""
    return tuple(name.replace("llm_v1_", "llm/v1/").replace("_", "-") for name in module_names())


def every_name() -> set[str]:
    """Return the names and aliases of all tasks."""
    return {*names(), *(alias for each in names() for alias in load(each).aliases)}


def load(name: str) -> Task:
    """Return the task of that name or alias; raises ModelError naming the nearest one that exists, and why where it is refused."""
    module = name.replace("/", "_").replace("-", "_")
    if module in module_names():
        task: Task = importlib.import_module(f"{__name__}.{module}").TASK
        return task
    for candidate in map(load, names()):
        if name in candidate.aliases or implied_options(candidate, name) is not None:
            return candidate
    raise ModelError(f"task {name!r} is not one that sparkcoil scores{refused.hint(name, names())}")


def fitted(name: str, options: Mapping[str, Any]) -> tuple[Task, Options]:
    """Return the task of that name as its options make it, and the options as a value."""
    task = load(name)
    chosen = task.options(**options)
    return chosen.fit(task), chosen


def implied_options(task: Task, name: str) -> Mapping[str, str] | None:
    """Return the options that one of a task's further names implies, None where it is no such name."""
    match = re.fullmatch(task.pattern, name) if task.pattern else None
    return match.groupdict() if match else None
