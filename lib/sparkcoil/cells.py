"""How a file arrives in a cell, in every form alike: what tasks that hear and tasks that see have in common.

Knows nothing of Spark, MLflow or torch.

A cell is the file itself (binary), a path or base64 text (string), or Hugging Face's `struct<bytes, path>`.
What is no such cell is RowError("input", code, message), with the medium's name in the code, beside the codes of roots.py:

<medium>_too_large    a cell above 256 MiB
undecodable_<medium>  text that begins as base64 and is none
null_input            the cell is NULL, or a struct with nothing in it
<medium>_type         a struct of other fields
"""

import base64
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

from sparkcoil import roots
from sparkcoil.containers import fail
from sparkcoil.errors import RowError

MAX_CELL_BYTES = 2**28  # 23 minutes of 48 kHz stereo in 16 bits; a longer recording comes as a path

_DATA_URI = re.compile(rb"data:[^,]{0,100};base64,", re.IGNORECASE)
_BASE64 = re.compile(rb"[A-Za-z0-9+/]+={0,2}")
_PLAIN_DIGITS = bytes.maketrans(b"-_", b"+/")
_HEAD = 120


@dataclass(frozen=True)
class Medium:
    """A kind of files: its name, which is the input's too, and whether bytes begin as one of its files does."""

    name: str
    begins: Callable[[bytes], Any]


@dataclass(frozen=True)
class LocalFile:
    """A file that a row names, and the roots under which it has to lie."""

    name: bytes | str
    roots: Sequence[str]


@contextmanager
def opened(source: bytes | LocalFile) -> Iterator[BinaryIO]:
    """Open what a cell holds or names for the block, as a file that can be handed to another process."""
    from sparkcoil import sandbox

    with sandbox.in_memory(source) if isinstance(source, bytes) else roots.opened(source.name, source.roots) as file:
        yield file


def source_of(cell: Any, declared: Sequence[str], medium: Medium) -> bytes | LocalFile:
    """Return the file that a cell holds, or the one that it names."""
    if cell is None:
        raise RowError("input", "null_input", f"{medium.name} is NULL")
    if isinstance(cell, bytes | bytearray | memoryview):
        return from_base64(bytes(cell), medium) or encoded(bytes(cell), medium)
    if isinstance(cell, Mapping):
        return of_struct(cell, declared, medium)
    if not isinstance(cell, str):
        fail(f"{medium.name}_type", "expected bytes, text, or a struct with `bytes` and `path`")
    return named(cell, declared, medium)


def of_struct(cell: Mapping[str, Any], declared: Sequence[str], medium: Medium) -> bytes | LocalFile:
    """Return what a struct holds: encoded bytes, else a path; `size` is that of a cell too large to be sent."""
    if not {"bytes", "path"} & set(cell):
        fail(f"{medium.name}_type", "expected a struct with `bytes` and `path`")
    check_cell(int(cell.get("size") or 0), medium)
    if cell.get("bytes") is not None:
        return source_of(cell["bytes"], declared, medium)
    if cell.get("path") is None:
        raise RowError("input", "null_input", f"{medium.name} is a struct with nothing in it")
    if not isinstance(cell["path"], bytes | str):
        fail(f"{medium.name}_type", "expected the path in a struct to be text")
    return named(cell["path"], declared, medium)


def named(text: bytes | str, declared: Sequence[str], medium: Medium) -> bytes | LocalFile:
    """Return what a text stands for: the file that it is in base64, else the file that it names."""
    content = text if isinstance(text, bytes) else text.encode(errors="surrogatepass")
    if not content:
        fail(f"empty_{medium.name}", "the text is empty")
    return from_base64(content, medium) or LocalFile(content, declared)


def check_cell(size: int, medium: Medium) -> None:
    """Pass if a cell of so many bytes may be decoded; raises RowError."""
    if size > MAX_CELL_BYTES:
        fail(
            f"{medium.name}_too_large",
            f"the cell holds {size:,} bytes; at most {MAX_CELL_BYTES:,} are decoded, and of a file by its path any number",
        )


def encoded(content: bytes, medium: Medium) -> bytes:
    """Return the bytes of a file, if they are not too many."""
    check_cell(len(content), medium)
    return content


def from_base64(text: bytes, medium: Medium) -> bytes | None:
    """Return the file that a text holds in base64, None for a text that does not begin as one would."""
    uri = _DATA_URI.match(text)
    digits = text[uri.end() :] if uri else text
    head = b"".join(digits[:_HEAD].translate(_PLAIN_DIGITS).split())
    beginning = base64.b64decode(head[: len(head) // 4 * 4]) if _BASE64.fullmatch(head) else b""
    if not uri and not medium.begins(beginning):
        return None
    whole = b"".join(digits.translate(_PLAIN_DIGITS).split())
    count = len(whole.rstrip(b"="))
    if not _BASE64.fullmatch(whole) or count % 4 == 1:
        fail(f"undecodable_{medium.name}", "the text is not valid base64")
    return encoded(base64.b64decode(whole[:count] + b"=" * (-count % 4)), medium)
