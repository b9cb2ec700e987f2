"""The codes under which a row's recording or image fails, as the modules' docstrings list them."""

import re
from collections.abc import Iterable, Iterator, Mapping
from types import ModuleType

CODE = re.compile(r"^([a-z0-9_<>]+)  +(.*(?:\n {10,}.*)*)", re.MULTILINE)
# Stands in a module that knows several media for the name of each.
MEDIUM = "<medium>"


def table(medium: str, modules: Iterable[ModuleType], others: Mapping[str, str]) -> list[str]:
    """Return the lines of a table of codes, with what the modules say of each and with others that are listed nowhere."""
    said = {code: [when] for code, when in others.items()}
    for module in modules:
        for code, when in codes(module, medium):
            said.setdefault(code, []).append(when)
    return ["| `error.code` | |", "|---|---|", *(f"| `{code}` | {'; or '.join(each)} |" for code, each in sorted(said.items()))]


def codes(module: ModuleType, medium: str) -> Iterator[tuple[str, str]]:
    """Yield the codes that a module's docstring lists for a medium, each with what it says of them."""
    for code, said in CODE.findall(str(module.__doc__)):
        yield code.replace(MEDIUM, medium), " ".join(said.split())
