"""How values show themselves: named lines as text, and as a table in a notebook. Knows nothing of Spark."""

from collections.abc import Mapping
from html import escape

# No colours: they would be wrong on a dark page.
ROW = '<tr><th scope="row" style="text-align: left">{name}</th><td style="text-align: left">{said}</td></tr>'


def text(lines: Mapping[str, str]) -> str:
    """Return the lines, what they say one below the other."""
    return "\n".join(f"{name + ':':<14} {said}" for name, said in lines.items())


def html(lines: Mapping[str, str]) -> str:
    """Return the lines as a table of HTML, in which nothing that they say is taken for markup."""
    return f"<table><tbody>{''.join(ROW.format(name=escape(name), said=escape(said)) for name, said in lines.items())}</tbody></table>"


def listed(counts: Mapping[str, int], names: Mapping[str, str]) -> str:
    """Return the counts that are not zero in words, such as `3 new, 1 failed before`."""
    return ", ".join(f"{counts[name]:,} {said}" for name, said in names.items() if counts.get(name))
