"""Builds the cells in which one file may arrive: in every form, and wrong in every way that has nothing to do with what the file is.

Knows nothing of sparkcoil.
"""

import base64
from pathlib import Path
from typing import Any

SECRET = "Quirlewitz"


def in_every_form(content: bytes, file: Path) -> dict[str, Any]:
    """Return a file as a cell of each form; what a path names is written."""
    file.write_bytes(content)
    text = base64.b64encode(content)
    return {
        "bytes": content,
        "bytes in a struct": {"bytes": content, "path": b"a.bin", "size": len(content)},
        "path": {"path": str(file).encode()},
        "path as text": str(file),
        "path as a struct": {"path": str(file).encode(), "size": 9},
        "path in a struct": {"bytes": None, "path": str(file)},
        "file URI": {"path": f"file://{file}"},
        "file URI as Spark writes it": {"path": f"file:{file}"},
        "base64": {"path": text},
        "base64 as text": text.decode(),
        "base64 in lines": {"path": b"\n".join(text[i : i + 76] for i in range(0, len(text), 76))},
        "base64 for URLs": {"path": base64.urlsafe_b64encode(content).rstrip(b"=")},
        "base64 as bytes": text,
        "data URI": {"path": b"data:application/octet-stream;base64," + text},
        "data URI in capitals": {"path": b"DATA:APPLICATION/OCTET-STREAM;BASE64," + text},
    }


def refused(content: bytes, root: Path) -> dict[str, tuple[Any, str]]:
    """Return cells that hold no file, or name none that may be opened under a root, each with its code, `*` for the medium's name."""
    outside, link = root.parent / f"{SECRET}.bin", root / "link.bin"
    outside.write_bytes(content)
    link.symlink_to(outside)
    text = base64.b64encode(content)
    return {
        "null": (None, "null_input"),
        "a struct with nothing in it": ({"bytes": None, "path": None}, "null_input"),
        "a number": (5, "*_type"),
        "a number for a path": ({"path": 5}, "*_type"),
        "a struct of other fields": ({"content": content, "name": SECRET}, "*_type"),
        "bytes that were not sent": ({"bytes": None, "size": 2**30}, "*_too_large"),
        "a path of bytes that were not sent": ({"path": None, "size": 2**30}, "*_too_large"),
        "a data URI of other characters": ({"path": b"data:;base64,UklGR!!!" + SECRET.encode()}, "undecodable_*"),
        "base64 that becomes other characters": ({"path": text[:-40] + b"!" * 40}, "undecodable_*"),
        "base64 cut off within a byte": ({"path": text[:161]}, "undecodable_*"),
        "a path that is no UTF-8": ({"path": b"\xff\xfe/calls"}, "invalid_encoding"),
        "no text": ({"path": b""}, "empty_*"),
        "a relative path": (f"photos/{SECRET}.bin", "path_invalid"),
        "a path with ..": (f"{root}/../{outside.name}", "path_invalid"),
        "a path outside": (str(outside), "path_outside_roots"),
        "a link that leads out": (str(link), "path_outside_roots"),
        "a file URI outside": ({"path": f"file://{outside}"}, "path_outside_roots"),
        "a file URI of another host": ({"path": f"file://host{outside}"}, "path_invalid"),
        "a URL": (f"https://127.0.0.1:9/{SECRET}.png", "url_refused"),
        "an object that no root has": (f"s3a://bucket/{SECRET}.png", "url_refused"),
        "a file that is not there": (f"{root}/{SECRET}.bin", "file_missing"),
        "a folder": (str(root), "not_a_file"),
    }
