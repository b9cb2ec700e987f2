"""How values show themselves: named lines as text, and as a table in a notebook. Knows nothing of Spark."""

from collections.abc import Mapping
from html import escape
from typing import Any

# No colours: they would be wrong on a dark page.
ROW = '<tr><th scope="row" style="text-align: left">{name}</th><td style="text-align: left">{said}</td></tr>'


class Shown:
    """A value that says itself in named lines: `str` is text, a notebook shows a table."""

    def lines(self) -> Mapping[str, str]:
        """Return what it says, by what that is about."""
        raise NotImplementedError

    def __str__(self) -> str:
        """Return it as some lines of text."""
        return text(self.lines())

    def _repr_html_(self) -> str:
        return html(self.lines())

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(str(self))


def text(lines: Mapping[str, str]) -> str:
    """Return the lines, what they say one below the other."""
    return "\n".join(f"{name + ':':<14} {said}" for name, said in lines.items())


def html(lines: Mapping[str, str]) -> str:
    """Return the lines as a table of HTML, in which nothing that they say is taken for markup."""
    return f"<table><tbody>{''.join(ROW.format(name=escape(name), said=escape(said)) for name, said in lines.items())}</tbody></table>"


def listed(counts: Mapping[str, int], names: Mapping[str, str]) -> str:
    """Return the counts that are not zero in words, such as `3 new, 1 failed before`."""
    return ", ".join(f"{counts[name]:,} {said}" for name, said in names.items() if counts.get(name))


def at_version(table: Mapping[str, Any]) -> str:
    """Return a table's name and its version, or its name alone where it has no versions."""
    return str(table["name"]) + ("" if table["version"] is None else f" at version {table['version']}")
