"""What is wrong with a run file, as values: a key path, a sentence, and whether to quote what the file says there.

A problem never holds the value found. It is quoted from the file as written, so that what `${env:NAME}` stood for stays unsaid.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError
from typing_extensions import Self  # typing has it from Python 3.11 on

from sparkcoil.errors import did_you_mean
from sparkcoil.tasks import Task

KeyPath = tuple[str | int, ...]

QUOTED_CHARACTERS = 60
PLAIN_KEY = re.compile(r"[A-Za-z0-9_.-]{1,60}")


@dataclass(frozen=True)
class Problem:
    """One mistake: where it is, what is wrong, whether the value there tells more, and the nearest right name."""

    path: KeyPath
    sentence: str
    quotes: bool = False
    hint: str = ""


def shortened(value: Any) -> str:
    """Return the value as Python writes it, control characters escaped, within 60 characters."""
    text = repr(value)
    return text if len(text) <= QUOTED_CHARACTERS else f"{text[: QUOTED_CHARACTERS - 3]}..."


def said(problem: Problem, written: Any = None) -> str:
    """Return the problem as a line; `written` is the document to quote from, before variables were filled in."""
    keys = [str(key) if PLAIN_KEY.fullmatch(str(key)) else shortened(key) for key in problem.path]
    found = [shortened(value) for value in value_at(written, problem.path)] if problem.quotes else []
    quote = f", found {found[0]}" if found else ""
    return ": ".join(filter(None, [".".join(keys), f"{problem.sentence}{quote}{problem.hint}"]))


def value_at(document: Any, path: KeyPath) -> tuple[Any, ...]:
    """Return the value at the path as a tuple of one, or nothing where the path leads nowhere."""
    for key in path:
        in_list = isinstance(document, list | tuple) and isinstance(key, int) and key < len(document)
        if not in_list and not (isinstance(document, Mapping) and key in document):
            return ()
        document = document[key]
    return (document,)


def expected(what: str, known: Iterable[str] = ()) -> WrapValidator:
    """Return a validator that says `expected <what>` in place of whatever pydantic would say."""
    return WrapValidator(partial(_validated, what=what, known=tuple(known)))


def _validated(value: Any, validate: ValidatorFunctionWrapHandler, *, what: str, known: Iterable[str]) -> Any:
    # pydantic takes true for 1, which nobody means who writes it in a run file.
    if not isinstance(value, bool):
        try:
            return validate(value)
        except ValidationError as error:
            deeper = [each for each in error.errors(include_url=False) if each["loc"]]
            if deeper:  # it says so itself, and what is said here only follows from it, such as too few right items
                raise as_validation_error("", [_restated(each, BaseModel) for each in deeper]) from None
    hint = did_you_mean(value, known) if isinstance(value, str) else did_you_mean("", known)
    raise _carrier(Problem((), f"expected {what}", quotes=True, hint=hint))


def as_validation_error(title: str, problems: Sequence[Problem]) -> ValidationError:
    """Return the problems as the error that pydantic passes on to whatever holds this value, key path extended."""
    lines = [InitErrorDetails(type=_carrier(each), loc=each.path, input=None) for each in problems]
    return ValidationError.from_exception_data(title, lines, hide_input=True)


def from_pydantic(error: ValidationError, model: type[BaseModel]) -> Iterator[Problem]:
    """Yield what pydantic found wrong with a value of the model, in our words."""
    for each in error.errors(include_url=False):
        yield _restated(each, model)


def by_field(problems: Iterable[Problem]) -> Iterable[Problem]:
    """Return the problems with one for each field, since a union reports each of its members below the field's name."""
    found: dict[KeyPath, Problem] = {}
    for each in problems:
        path = each.path[:1] if each.quotes else each.path
        sentence = f"{found[path].sentence}, or {each.sentence}" if path in found else each.sentence
        found[path] = replace(each, path=path, sentence=sentence)
    return found.values()


def input_problems(task: Task, columns: Mapping[str, Any], options: Collection[str]) -> Iterator[Problem]:
    """Yield what is wrong with the inputs that have columns, where `options` are set; key paths are the inputs' names."""
    if task.one_of and not set(task.one_of) & {*columns, *options}:
        yield Problem((), f"{task.name} needs one of {', '.join(task.one_of)}")
    known = {each.label for each in task.inputs}
    for name in columns:
        if name not in known:
            yield Problem((name,), "unknown input", hint=did_you_mean(str(name), known))
    for each in task.inputs:
        if each.required and not each.as_text and each.name not in columns:
            yield Problem((each.name,), f"missing, and {task.name} needs it")


def openai_problems(task: Task, run: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield where a run as a mapping wants OpenAI's batch files of a task that answers no requests."""
    if any(each.name == "request" for each in task.inputs):
        return
    sentence = f"is for llm/v1/chat, llm/v1/completions and llm/v1/embeddings; the task is {task.name}"
    if value_at(run, ("source", "format")) == ("openai",):
        yield Problem(("source", "format"), f"openai {sentence}")
    if value_at(run, ("target", "jsonl")) not in ((), (None,)):
        yield Problem(("target", "jsonl"), sentence)


def _carrier(problem: Problem) -> PydanticCustomError:
    context = {"sentence": problem.sentence, "quotes": problem.quotes, "hint": problem.hint}
    return PydanticCustomError("problem", "{sentence}{hint}", context)


def _restated(each: ErrorDetails, model: type[BaseModel]) -> Problem:
    path, kind, context = each["loc"], each["type"], each.get("ctx", {})
    if kind == "problem":
        return Problem(path, context["sentence"], context["quotes"], context["hint"])
    if kind == "missing":
        return Problem(path, "missing")
    if kind == "extra_forbidden":
        return Problem(path, "unknown key", hint=did_you_mean(str(path[-1]), model.model_fields if len(path) == 1 else ()))
    if kind == "model_type":
        return Problem(path, "expected a mapping", quotes=True)
    return Problem(path, _in_plain_words(each["msg"], each["input"]), quotes=True)


def _in_plain_words(message: str, value: Any) -> str:
    if message.startswith("Input should be "):
        wanted = message.removeprefix("Input should be ").split(", unable to parse")[0]
        return f"expected a value {wanted}" if wanted.startswith(("greater", "less")) else f"expected {wanted}"
    # The message may be a task's own, and the value a secret: one that quotes it is not passed on.
    if any(text in message or repr(text)[1:-1] in message for text in _texts(value)):
        return "not a value that this option takes"
    return message.removeprefix("Value error, ").removeprefix("Assertion failed, ")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str) and value:
        yield value
    elif isinstance(value, Mapping):
        yield from (text for each in value.values() for text in _texts(each))
    elif isinstance(value, list | tuple):
        yield from (text for each in value for text in _texts(each))


class Section(BaseModel):
    """A part of a run file: frozen, without unknown keys, all that is wrong reported together."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True)

    @staticmethod
    def conflicts(_data: Mapping[str, Any]) -> Iterable[Problem]:
        """Yield what is wrong between the values of a section that nobody has validated yet."""
        return ()

    # Not mode="after": pydantic skips that once a single field is wrong, and the user would learn of the rest one run later.
    @model_validator(mode="wrap")
    @classmethod
    def _report_all(cls, data: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        problems = list(cls.conflicts(data)) if isinstance(data, Mapping) else []
        try:
            section = validate(data)
        except ValidationError as error:
            problems = [*from_pydantic(error, cls), *problems]
        if problems:
            raise as_validation_error(cls.__name__, problems)
        return section
