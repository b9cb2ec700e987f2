"""A task's options as the lines of a table: what each takes, its default and its sentence."""

import json
from collections.abc import Iterable, Iterator
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

NAMES = {str: "text", bool: "true or false", int: "a whole number", float: "a number"}
BOUNDS = {"ge": "from", "gt": "above", "le": "to", "lt": "below"}


def table(fields: Iterable[tuple[str, FieldInfo]]) -> Iterator[str]:
    """Yield the lines of a table of options."""
    yield "| option | takes | default | |"
    yield "|---|---|---|---|"
    for name, field in fields:
        yield f"| `{name}` | {takes(field)} | {default(field)} | {escaped(field.description or '')} |"


def takes(field: FieldInfo) -> str:
    """Return what an option takes, in words."""
    return " ".join([" or ".join(kinds(field.annotation)), *bounds(field.metadata)])


def kinds(annotation: Any) -> list[str]:
    """Return every kind of value that an annotation allows, in words; None is the absence of the option."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return kinds(inner[0])
    if origin in (Union, UnionType):
        return [kind for each in inner if each is not type(None) for kind in kinds(each)]
    if origin is Literal:
        return [", ".join(f"`{each}`" for each in inner)]
    if origin in (tuple, list):
        return ["a list of texts"]
    if origin is dict:
        return ["a mapping"]
    return [NAMES[annotation]]


def bounds(metadata: Iterable[Any]) -> Iterator[str]:
    """Yield the limits of a number, in words."""
    for each in metadata:
        for name, word in BOUNDS.items():
            if (limit := getattr(each, name, None)) is not None:
                yield f"{word} {limit:g}"


def default(field: FieldInfo) -> str:
    """Return an option's default as YAML spells it; nothing where its sentence says what holds."""
    if field.is_required():
        return "required"
    return "" if field.default is None else f"`{json.dumps(field.default)}`"


def same(one: FieldInfo, other: FieldInfo | None) -> bool:
    """Tell whether two options are described alike."""
    return other is not None and (takes(one), one.default, one.description) == (takes(other), other.default, other.description)


def escaped(text: str) -> str:
    """Return a text as a table's cell holds it."""
    return text.replace("|", "\\|")
