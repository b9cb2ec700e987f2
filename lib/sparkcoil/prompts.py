"""Prompt templates: a row's text is put into them literally, whatever braces it holds. Knows nothing of torch."""

import re
import string
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator


@lru_cache
def around_prompt(template: str) -> tuple[str, ...]:
    """Return the pieces of a template around its `{prompt}`; raises ValueError where there is none.

    MLflow's templates are `str.format` strings, in which a doubled brace is one brace. A template that is none, such as JSON
    with plain braces, is taken as it stands.
    """
    formatted = is_format(template)
    pieces = [""]
    for token in re.split(r"(\{\{|\}\}|\{prompt\})" if formatted else r"(\{prompt\})", template):
        if token == "{prompt}":
            pieces.append("")
        else:
            pieces[-1] += token[0] if formatted and token in ("{{", "}}") else token
    if len(pieces) == 1:
        raise ValueError("a prompt template must hold {prompt}")
    return tuple(pieces)


def is_format(template: str) -> bool:
    """Tell whether a template is one for `str.format`, with no other field than `{prompt}`."""
    try:
        return {field for _, field, _, _ in string.Formatter().parse(template)} <= {"prompt", None}
    except ValueError:
        return False


def checked_template(template: str) -> str:
    """Return the template; raises ValueError where it has no place for the prompt."""
    around_prompt(template)
    return template


PromptTemplate = Annotated[str, AfterValidator(checked_template)]


def fill_template(template: str | None, text: str) -> str:
    """Return the text put literally into a template; braces in the text stay as they are."""
    return text if template is None else text.join(around_prompt(template))
