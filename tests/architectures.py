"""Which architectures of a task the short form of the suite takes: the first ones; the others are in a long family."""

from collections.abc import Iterable
from typing import Any

import pytest

LONG = pytest.mark.long("architectures")


def first_of(names: Iterable[Any], *, short: int = 2) -> list[Any]:
    """Return the names as parameters of a test or a fixture; those after the first few make their tests long."""
    return [name if place < short else pytest.param(name, marks=LONG) for place, name in enumerate(names)]
