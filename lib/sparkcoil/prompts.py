"""Prompt templates: a row's cells are put into them literally, whatever braces they hold. Knows nothing of torch."""

import re
import string
from dataclasses import replace
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator, Field

from sparkcoil.tasks import Input, Options, Row, Task, decode_text

# The field that stands for the task's own text, as in MLflow's templates.
PROMPT = "prompt"
FIELD = re.compile(r"\{([A-Za-z_]\w*)\}")


@lru_cache
def pieces(template: str) -> tuple[str, ...]:
    """Return a template's texts and the names of its fields by turns, a text first and last.

    MLflow's templates are `str.format` strings, in which a doubled brace is one brace. A template that is none, such as JSON
    with plain braces, is taken as it stands, and what is a name in braces is a field.
    """
    if not is_format(template):
        return tuple(FIELD.split(template))
    found = [""]
    for text, field, _, _ in string.Formatter().parse(template):
        found[-1] += text
        found += [] if field is None else [field, ""]
    return tuple(found)


def is_format(template: str) -> bool:
    """Tell whether a template is one for `str.format` whose fields are plain names."""
    try:
        parsed = list(string.Formatter().parse(template))
    except ValueError:
        return False
    return all(field is None or (field.isidentifier() and not spec and not conversion) for _, field, spec, conversion in parsed)


def fields(template: str | None) -> tuple[str, ...]:
    """Return the names of a template's fields, each once."""
    return () if template is None else tuple(dict.fromkeys(pieces(template)[1::2]))


def checked_template(template: str) -> str:
    """Return the template; raises ValueError where every row would give the same prompt."""
    if not fields(template):
        raise ValueError("a prompt template must hold {prompt}, or the name of a column in braces")
    return template


class TemplateOptions(Options):
    """What stands around a row's text."""

    prompt_template: Annotated[str, AfterValidator(checked_template)] | None = Field(
        default=None,
        description="text with `{prompt}` where the row's text goes, and `{name}` where a column or an input of that name does",
    )

    def fit(self, task: Task) -> Task:
        """Return the task with an input for each column of the template; its own text is needed only where the template has it."""
        named = fields(self.prompt_template)
        if not named:
            return task
        own = task.inputs if PROMPT in named else tuple(replace(each, required=False) for each in task.inputs)
        cells = tuple(Input(f"{{{name}}}", (), as_text=True) for name in named if name != PROMPT)
        return replace(task, inputs=(*own, *cells), one_of=task.one_of if PROMPT in named else ())


def rendered(template: str | None, row: Row, name: str) -> tuple[str, tuple[str, ...]]:
    """Return the row's text, its input `name`, put into the template with the row's other cells, and a warning where they are blank.

    Raises RowError for a cell that is NULL or is not text.
    """
    if template is None:
        text = decode_text(row.get(name), name)
        return text, blank(text)
    cells = {field: decode_text(*cell_of(row, field, name)) for field in fields(template)}
    parts = pieces(template)
    prompt = "".join(cells[part] if i % 2 else part for i, part in enumerate(parts))
    return prompt, blank(cells[PROMPT] if PROMPT in cells else "".join(cells.values()))


def cell_of(row: Row, field: str, name: str) -> tuple[bytes | None, str]:
    """Return the cell that a field stands for, and what it is called."""
    return (row.get(name), name) if field == PROMPT else (row.get(f"{{{field}}}"), field)


def blank(text: str) -> tuple[str, ...]:
    """Return the warning for a text that is blank."""
    return () if text.strip() else ("blank_input",)
