"""Reading a run file: YAML in, a RunConfig out, or one ConfigError with every problem in the file.

The YAML is a plain subset: one document, no tags, no aliases, every key a text, yes/no/on/off and dates as texts.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from sparkcoil.config import RunConfig, problems_in
from sparkcoil.errors import ConfigError
from sparkcoil.problems import KeyPath, Problem, said, shortened

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 20
MAX_NODES = 10_000

REFERENCE = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}")
REFERENCE_START = "${env:"
# Other tools fill in ${NAME}; in these places it would be taken for a part of a name.
SHELL_REFERENCE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")
PLACES: tuple[KeyPath, ...] = (
    ("model", "uri"),
    ("model", "base"),
    *((section, kind) for section in ("source", "target") for kind in ("table", "path")),
    ("target", "jsonl"),
)

# What no UTF-8 can hold: YAML's escapes can write it, and then the first JSON or Spark call would fail.
SURROGATE = re.compile("[\ud800-\udfff]")

# Narrower than YAML 1.1, so that a column may be called `on`, and that no number of digits makes Python refuse.
# Never wider: what PyYAML writes without quotes as a text must stay one.
PLAIN_SCALARS: tuple[tuple[re.Pattern[str], Callable[[str], Any]], ...] = (
    (re.compile(r"~|null|Null|NULL|"), lambda text: None),
    (re.compile(r"true|True|TRUE|false|False|FALSE"), lambda text: text.lower() == "true"),
    (re.compile(r"[-+]?(0|[1-9][0-9]{0,99})"), int),
    (re.compile(r"[-+]?[0-9]+\.[0-9]*([eE][-+][0-9]+)?"), float),
)


class Loader(yaml.SafeLoader):
    """Composes nodes within bounds, and refuses tags and aliases; nothing here constructs a Python object."""

    depth = 0
    nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Return the next node; raises ComposerError at what a run file may not hold."""
        self.depth += 1
        self.nodes += 1
        refusal = self._refusal(is_key=isinstance(parent, yaml.MappingNode) and index is None)
        if refusal:
            raise yaml.composer.ComposerError(None, None, refusal, self.peek_event().start_mark)  # type: ignore[no-untyped-call]
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def _refusal(self, *, is_key: bool) -> str | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            return "aliases (*name) are not allowed"
        if getattr(event, "tag", None) is not None:
            return "tags (!name) are not allowed"
        if isinstance(event, yaml.ScalarEvent) and SURROGATE.search(event.value):
            return "half of a surrogate pair (\\ud800 to \\udfff) is not allowed; write the character itself"
        if is_key and not isinstance(event, yaml.ScalarEvent):
            return "a key that is a list or a mapping is not allowed"
        if self.depth > MAX_DEPTH:
            return f"more than {MAX_DEPTH} levels are not allowed"
        return f"more than {MAX_NODES} values are not allowed" if self.nodes > MAX_NODES else None


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Return the run that the file describes, each `key.path=value` set; raises ConfigError with every problem."""
    where = str(path)
    node = _root(_read(path), where)
    written, problems = with_overrides(value_of(node), overrides)
    unset = list(unset_variables(written))
    filled = with_variables(written)
    hidden = {each.path for each in unset}
    problems = [*repeated_keys(node), *problems, *unset, *(each for each in problems_in(filled) if each.path not in hidden)]
    if problems:
        raise ConfigError(where, list(dict.fromkeys(said(each, written) for each in problems)))
    return RunConfig.model_validate(filled)


def _read(path: str | Path) -> str:
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            problem = f"larger than {MAX_BYTES} bytes"
        else:
            return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problem = f"not UTF-8 text: byte {error.start} cannot be read"
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    except ValueError as error:
        problem = f"cannot be read: {error}"
    raise ConfigError(str(path), [problem])


def _root(text: str, where: str) -> yaml.MappingNode:
    node, problem = compose(text)
    if problem:
        raise ConfigError(where, [problem])
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(where, ["expected a mapping of keys to values, found " + ("an empty file" if node is None else "something else")])
    return node


def compose(text: str) -> tuple[yaml.Node | None, str]:
    """Return the only document in the text as nodes, and a sentence where it is not one that a run file may hold."""
    try:
        return Loader(text).get_single_node(), ""
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        return None, place + ", ".join(filter(None, [error.context, error.problem]))
    except yaml.reader.ReaderError as error:
        return None, f"character {error.position + 1} is not allowed in YAML"
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # \UFFFFFFFF is a ValueError in PyYAML
        return None, f"not YAML: {error}"


def value_of(node: yaml.Node | None, path: KeyPath = ()) -> Any:
    """Return what the nodes stand for; of a repeated key, the last."""
    if isinstance(node, yaml.MappingNode):
        return {key.value: value_of(value, (*path, key.value)) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [value_of(value, (*path, index)) for index, value in enumerate(node.value)]
    if not isinstance(node, yaml.ScalarNode):
        return None
    text: str = node.value
    value = next((read(text) for shape, read in PLAIN_SCALARS if node.style is None and shape.fullmatch(text)), text)
    # A Spark setting is text: 3.10 must not become 3.1.
    return text if (path[:1] == ("spark",) or path[:2] == ("source", "options")) and type(value) in (int, float) else value


def repeated_keys(node: yaml.Node | None, path: KeyPath = ()) -> Iterator[Problem]:
    """Yield every key that a mapping holds a second time."""
    if isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from repeated_keys(value, (*path, index))
    if isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.value in lines:
                yield Problem((*path, key.value), f"duplicate key on line {line}, first on line {lines[key.value]}")
            lines.setdefault(key.value, line)
            yield from repeated_keys(value, (*path, key.value))


def with_overrides(document: Any, overrides: Sequence[str]) -> tuple[Any, list[Problem]]:
    """Return the document with each `key.path=value` set in order, and what is wrong with those that are not."""
    problems: list[Problem] = []
    for override in overrides:
        key, equals, text = override.partition("=")
        path = _override_path(key)
        if not equals or not all(path) or SURROGATE.search(key) or len(path) > MAX_DEPTH:
            problems.append(Problem(("--set",), f"expected key.path=value, found {shortened(override)}"))
            continue
        node, problem = compose(text)
        block = isinstance(node, yaml.CollectionNode) and not node.flow_style
        if problem or block:
            sentence = problem or "a list needs [], a mapping {}, and a text with a colon quotes"
            problems.append(Problem(path, f"the value to set is not one YAML value: {sentence}"))
            continue
        problems.extend(repeated_keys(node, path))
        document = with_value(document, path, value_of(node, path))
    return document, problems


def _override_path(key: str) -> tuple[str, ...]:
    # The name of a Spark setting holds dots itself.
    return ("spark", key.removeprefix("spark.")) if key.startswith("spark.") else tuple(key.split("."))


def with_value(document: Any, path: Sequence[str], value: Any) -> Any:
    """Return the document with the value at the path, and a mapping wherever the path leads through anything else."""
    if not path:
        return value
    held = document if isinstance(document, Mapping) else {}
    return {**held, path[0]: with_value(held.get(path[0]), path[1:], value)}


def unset_variables(value: Any, path: KeyPath = ()) -> Iterator[Problem]:
    """Yield every `${env:NAME}` that nothing can be put in for, and every `${NAME}` that nothing would be."""
    for key, below in _children(value):
        yield from unset_variables(below, (*path, key))
    text = value if isinstance(value, str) else ""
    if path in PLACES and SHELL_REFERENCE.search(text):
        yield Problem(path, "only ${env:NAME} is filled in", quotes=True)
    if REFERENCE_START in REFERENCE.sub("", text):
        yield Problem(path, "expected ${env:NAME} with the name of an environment variable", quotes=True)
    for name in REFERENCE.findall(text):
        if name not in os.environ:
            yield Problem(path, f"environment variable {shortened(name)} is not set")


def with_variables(value: Any) -> Any:
    """Return the value with every `${env:NAME}` in its texts replaced, once; what is unset stays as written."""
    if isinstance(value, Mapping):
        return {key: with_variables(below) for key, below in value.items()}
    if isinstance(value, list):
        return [with_variables(below) for below in value]
    if isinstance(value, str):
        return REFERENCE.sub(lambda match: os.environ.get(match[1], match[0]), value)
    return value


def _children(value: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, list):
        yield from enumerate(value)
