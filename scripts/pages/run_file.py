"""docs/run-file.md: every key of a run file, with its type, its default and its sentence, from the configuration's own fields."""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, WrapValidator
from pydantic.fields import FieldInfo

from sparkcoil.config import RunConfig

HEAD = """\
# The run file

<!-- Made from lib/sparkcoil/sections.py by ./scripts/make_docs; do not edit. -->

A run file is YAML: one document without tags or aliases. Any text in it may hold `${env:NAME}`, which is filled in from the environment;
`--set key.path=value` sets any value for one run. Every mistake is reported at once, before Spark starts.
"""


def page() -> str:
    """Return the page about run files."""
    lines = [HEAD]
    for path, model in sections(RunConfig):
        lines += [f"## {path.rstrip('.') or 'At the top'}", "", str(model.__doc__), "", *table(model, path), ""]
    return "\n".join(lines).rstrip() + "\n"


def sections(model: type[BaseModel], path: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield a model and every model below it, each with its key path."""
    yield path, model
    for name, field in model.model_fields.items():
        if is_section(field):
            yield from sections(field.annotation, f"{path}{name}.")  # type: ignore[arg-type]


def is_section(field: FieldInfo) -> bool:
    """Tell whether a field is a mapping with keys of its own."""
    return isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)


def table(model: type[BaseModel], path: str) -> Iterator[str]:
    """Yield the lines of a section's table."""
    yield "| key | takes | default | |"
    yield "|---|---|---|---|"
    for name, field in model.model_fields.items():
        if not is_section(field):
            yield f"| `{path}{name}` | {kind(field)} | {default(field)} | {field.description} |"


def kind(field: FieldInfo) -> str:
    """Return what a field takes, in the words of its own message."""
    said = next(words([*field.metadata, field.annotation]), "true or false" if field.annotation is bool else "")
    choices = [str(each) for literal in literals(field.annotation) for each in get_args(literal)]
    unsaid = [f"`{each}`" for each in choices if each not in said]
    return f"{said}: {', '.join(unsaid)}" if unsaid else said


def words(parts: list[Any]) -> Iterator[str]:
    """Yield what validators among annotations and metadata expect, outermost first."""
    for part in parts:
        if isinstance(part, WrapValidator) and isinstance(part.func, partial):
            yield str(part.func.keywords["what"])
    for part in parts:
        yield from words([*getattr(part, "__metadata__", ()), *get_args(part)]) if get_args(part) else ()


def literals(annotation: Any) -> Iterator[Any]:
    """Yield every Literal in an annotation."""
    if get_origin(annotation) is Literal:
        yield annotation
        return
    for part in get_args(annotation):
        yield from literals(part)


def default(field: FieldInfo) -> str:
    """Return a field's default as YAML spells it."""
    if field.is_required():
        return "required"
    return "" if field.default is None else f"`{json.dumps(field.default)}`"
