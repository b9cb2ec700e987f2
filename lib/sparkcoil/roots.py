"""Which files a row may name: those under the roots that the run declares, and how one of them is opened.

A path that cannot be opened is RowError("input", code, message):

invalid_encoding    text that is not UTF-8
path_invalid        a relative path, one with `..` or NUL in it, a URI of another host, or no path at all
path_outside_roots  a path that does not lie under a declared root, or leads out of it by a link
url_refused         http(s), or any other scheme that no declared root has: it is never opened
file_missing        no such file, or, in an object store, none that Spark has found under the root
not_a_file          a folder, a pipe, a socket, a device
file_unreadable     a file that this process may not read
"""

import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote

from sparkcoil.containers import fail
from sparkcoil.tasks import decode_text

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
# Opening what is no regular file can wait for ever, or set something off.
FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY


def declared(root: str) -> str:
    """Return a root as executors take it: an absolute path, or a URI prefix that ends in a slash."""
    if scheme(root) not in (None, "file"):
        return root.rstrip("/") + "/"
    return str(Path.cwd() / (root if scheme(root) is None else "/" + root[5:].lstrip("/")))


def scheme(text: str) -> str | None:
    """Return the scheme of a URI in small letters, None for a plain path."""
    found = SCHEME.match(text)
    return found[1].lower() if found else None


def is_local(root: str) -> bool:
    """Whether the files under a declared root are opened by the worker itself, and not read by Spark."""
    return scheme(root) is None


def opened(name: bytes | str, roots: Sequence[str]) -> BinaryIO:
    """Return the open file that a row names; raises RowError for one that does not lie under a root, or is no regular file."""
    beneath = [found for path in local_paths(decode_text(name, "the path"), roots) for found in placed(path, roots)]
    if not beneath:
        found = "the path does not lie under any of source.roots, or leads out of it"
        fail("path_outside_roots", found if roots else "no path is opened where source.roots names no folder")
    there = [(root, path) for root, path in beneath if os.path.lexists(path)]
    if not there:
        fail("file_missing", "there is no such file")
    root, path = there[0]
    return open_beneath(root, path.relative_to(root).parts)


def placed(path: str, roots: Sequence[str]) -> Iterator[tuple[Path, Path]]:
    """Yield each root that a path truly lies under, with the true path: both without links."""
    try:
        real = Path(path).resolve()
    except (OSError, RuntimeError):  # links that lead in a circle
        return
    for root in filter(is_local, roots):
        within = Path(root).resolve()
        if real.is_relative_to(within):
            yield within, real


def local_paths(text: str, roots: Sequence[str]) -> Iterator[str]:
    """Yield the local paths that a text may stand for: Spark writes paths in `file:` URIs as they are, others escape them."""
    kind = scheme(text)
    if kind not in (None, "file"):
        if any(text.startswith(root) for root in roots):
            fail("file_missing", "Spark has found no such file under the root")
        fail("url_refused", "executors open no URL, and Spark reads only what lies under a URI prefix of source.roots")
    path = text if kind is None else text[5:]
    if kind and path.startswith("//"):
        host, slash, rest = path[2:].partition("/")
        if host not in ("", "localhost"):
            fail("path_invalid", "the file: URI names a host")
        path = slash + rest
    for each in dict.fromkeys((path, unquote(path)) if kind else (path,)):
        if not each.startswith("/") or "\0" in each or ".." in each.split("/"):
            fail("path_invalid", "expected an absolute path without `..`, a URI under source.roots, or a file of a known format in base64")
        yield each


def open_beneath(root: Path, parts: Sequence[str]) -> BinaryIO:
    """Open a regular file below a folder, following no link, so that nothing can be put in its place meanwhile."""
    folder = os.open(root if parts else root.parent, FLAGS | os.O_DIRECTORY)
    try:
        *above, name = parts or (root.name,)
        for each in above:
            deeper = os.open(each, FLAGS | os.O_DIRECTORY, dir_fd=folder)
            os.close(folder)
            folder = deeper
        refuse_special(os.stat(name, dir_fd=folder, follow_symlinks=False))
        file = os.fdopen(os.open(name, FLAGS, dir_fd=folder), "rb", buffering=0)
        refuse_special(os.fstat(file.fileno()))
        return file
    except FileNotFoundError:
        fail("file_missing", "there is no such file")
    except PermissionError:
        fail("file_unreadable", "this process may not read the file")
    except OSError:
        fail("path_outside_roots", "the path has changed while it was opened")
    finally:
        os.close(folder)


def refuse_special(found: os.stat_result) -> None:
    """Pass if what was found is a regular file; raises RowError."""
    if not stat.S_ISREG(found.st_mode):
        fail("not_a_file", "the path is not that of a regular file")
