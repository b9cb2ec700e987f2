"""docs/tasks.md and the README's table of tasks, from the registry: what goes into each task, what comes out, what can be set."""

import importlib
import re
from collections.abc import Iterable, Iterator

from pydantic.fields import FieldInfo

from pages import options
from sparkcoil import ledger, tasks
from sparkcoil.generation import GenerationOptions
from sparkcoil.tasks import Input, Task

HEAD = """\
# Tasks

<!-- Made from lib/sparkcoil/tasks/ by ./scripts/make_docs; do not edit. -->

A run's task is the one that its model was logged for, unless the run file names one (`task:`). `source.columns` says which column or SQL
expression is which **input**, `model.options` sets the **options**, and `prediction` is a struct of the fields given here.
[How options are resolved](models.md#which-value-an-option-has) is on another page.

Inputs are given with the Spark types that a column may have. A NULL fails its row alone (`null_input`); a NULL in a column that sets an
option leaves the option as it is. `request`, `url` and `method` are a request to one of OpenAI's endpoints, as in its
[batch files](openai-batch.md).
"""

GENERATION = "Options of every task that generates text"


def page() -> str:
    """Return the page about tasks."""
    lines = [HEAD, *(f"- [{name}](#{anchor(name)}): {sentence(name)}" for name in tasks.names()), ""]
    for name in tasks.names():
        lines += [f"## {name}", "", *section(name), ""]
    return "\n".join([*lines, *generation()]).rstrip() + "\n"


def readme_table() -> str:
    """Return the README's table: a line for each task."""
    lines = ["| task | inputs | prediction |", "|---|---|---|"]
    for name in tasks.names():
        task = tasks.load(name)
        outputs = ", ".join(f"`{field}`" for field, _ in ledger.split_fields(task.prediction))
        lines.append(f"| [{name}](docs/tasks.md#{anchor(name)}) | {summary(task)} | {outputs} |")
    return "\n".join(lines)


def sentence(name: str) -> str:
    """Return what a task does: the first line of its module."""
    module = importlib.import_module(f"{tasks.__name__}.{name.replace('/', '_').replace('-', '_')}")
    return str(module.__doc__).splitlines()[0].removeprefix(f"{name}: ")


def anchor(title: str) -> str:
    """Return the name by which a page links to a heading."""
    return re.sub(r"[^\w -]", "", title).lower().replace(" ", "-")


def summary(task: Task) -> str:
    """Return a task's inputs on one line, without those that only set an option for a row."""
    needed = [f"`{each.name}`" for each in task.inputs if each.required]
    choice = " or ".join(f"`{name}`{' (or as an option)' * (name in task.options.model_fields)}" for name in task.one_of)
    further = [f"`{each.name}`?" for each in task.inputs if not (each.required or each.name in task.one_of or sets_option(task, each))]
    return ", ".join([*needed, *([choice] if choice else []), *further])


def sets_option(task: Task, each: Input) -> bool:
    """Tell whether an input does no more than set an option of its own name for each row."""
    return each.name in task.options.model_fields and each.name not in task.one_of


def section(name: str) -> Iterator[str]:
    """Yield the lines about one task."""
    task = tasks.load(name)
    said = sentence(name)
    yield f"{said[0].upper()}{said[1:]}"
    yield ""
    yield from inputs(task)
    yield ""
    fields = ",\n".join(f"{field} {kind}" for field, kind in ledger.split_fields(task.prediction))
    yield f"**Prediction**\n\n```sql\n{fields}\n```\n"
    yield from predicted(task)
    yield f"**Models**: checkpoints of a class ending in {either(f'`{head}`' for head in task.heads)}{parts(task)}."
    yield from other_names(task)
    yield ""
    yield from option_lines(task)


def predicted(task: Task) -> Iterator[str]:
    """Yield what a prediction holds in words, where the task says more of it than that there is one."""
    said = str(task.write.__doc__).splitlines()[0].removeprefix("Return ")
    if not said.startswith("one prediction for each row"):
        yield f"{said[0].upper()}{said[1:]}\n"


def inputs(task: Task) -> Iterator[str]:
    """Yield a task's inputs with their types, and on a line of their own those that set an option for each row."""
    yield "| input | Spark types | |"
    yield "|---|---|---|"
    for each in task.inputs:
        if not sets_option(task, each):
            yield f"| `{each.name}` | {', '.join(each.types)} | {need(task, each)} |"
    setting = [f"`{each.name}` ({', '.join(each.types)})" for each in task.inputs if sets_option(task, each)]
    if setting:
        yield f"\nOptions that a column may set for each row, under the option's name: {', '.join(setting)}."


def need(task: Task, each: Input) -> str:
    """Return whether an input must be given, in words."""
    if each.name not in task.one_of:
        return "required" if each.required else "optional"
    others = [f"`{name}`" for name in task.one_of if name != each.name]
    if each.name in task.options.model_fields:
        others.append(f"the option `{each.name}`")
    return f"this or {' or '.join(others)}"


def either(words: Iterable[str]) -> str:
    """Return words as an enumeration."""
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last


def parts(task: Task) -> str:
    """Return what a model of the task is logged with, in words."""
    return ", logged with their " * bool(task.parts) + " and ".join(part.replace("_", " ") for part in task.parts)


def other_names(task: Task) -> Iterator[str]:
    """Yield a line with the further names that a model may have been logged under."""
    names = list(task.aliases)
    if task.pattern:
        names.append(re.sub(r"\(\?P<(\w+)>[^)]*\)", lambda group: group[1].upper(), task.pattern))
    if names:
        yield f"\n**Also known as** {', '.join(f'`{name}`' for name in names)}."


def option_lines(task: Task) -> Iterator[str]:
    """Yield a table of a task's options; those that all generating tasks share are named, and described once."""
    own = {name: field for name, field in task.options.model_fields.items() if not is_shared(task, name, field)}
    shared = [f"`{name}`" for name in task.options.model_fields if name not in own]
    yield f"**Options**: {decapitalised(str(task.options.__doc__).splitlines()[0])}"
    if own:
        yield ""
        yield from options.table(own.items())
    if shared:
        yield f"\n[As in every task that generates text](#{anchor(GENERATION)}): {', '.join(shared)}."


def is_shared(task: Task, name: str, field: FieldInfo) -> bool:
    """Tell whether an option is one that every generating task has, under the same description."""
    return issubclass(task.options, GenerationOptions) and options.same(field, GenerationOptions.model_fields.get(name))


def generation() -> Iterator[str]:
    """Yield the lines about the options of all tasks that generate text."""
    yield f"## {GENERATION}"
    yield ""
    yield f"{str(GenerationOptions.__doc__).splitlines()[0]}"
    yield ""
    yield from options.table(GenerationOptions.model_fields.items())
    groups = "; ".join(", ".join(f"`{name}`" for name in group) for group in GenerationOptions.exclusive)
    yield f"\nOne name for one thing: of each of these groups, the one that is set last puts the others out. {groups}."


def decapitalised(text: str) -> str:
    """Return a sentence as it stands after a colon."""
    return text[:1].lower() + text[1:]
