"""An MLmodel file read as plain data within bounds: no tags, no bombs of aliases, nothing nested so deeply that a parser would fall."""

from pathlib import Path
from typing import Any

import yaml

MAX_BYTES = 2_000_000
MAX_NODES, MAX_DEPTH = 100_000, 50
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
TAGS = {f"tag:yaml.org,2002:{name}" for name in ("map", "seq", "str", "int", "float", "bool", "null", "timestamp")}


def read(path: Path) -> dict[str, Any]:
    """Return the MLmodel file as plain data; raises ValueError with the reason before anything in it is built or repeated."""
    if not path.is_file() or path.stat().st_size > MAX_BYTES:
        raise ValueError(f"is missing, or larger than {MAX_BYTES // 1_000_000} MB")
    text = path.read_bytes().decode()
    depth = 0  # judged first, since libyaml's loader overflows the C stack on deep nesting
    for count, event in enumerate(yaml.parse(text, Loader=LOADER)):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH or count > MAX_NODES:
            raise ValueError("is too large, or nested too deeply")
    check_nodes(yaml.compose(text, Loader=LOADER))
    settings: dict[str, Any] = yaml.load(text, Loader=LOADER)
    flavors = settings.get("flavors") if isinstance(settings, dict) else None
    if not isinstance(flavors, dict) or not all(isinstance(flavor, dict) for flavor in flavors.values()):
        raise ValueError("lists no flavors")
    return settings


def check_nodes(root: yaml.Node | None) -> None:
    """Pass if a YAML document holds plain values only, and few enough with each alias written out."""
    nodes, count = [root], 0
    while nodes:
        node, count = nodes.pop(), count + 1
        if node is None or count > MAX_NODES:
            raise ValueError("is empty, or too large once its aliases are written out")
        if node.tag not in TAGS:
            raise ValueError(f"holds a value that is not plain (the YAML tag {ascii(node.tag)[:300]})")
        if not isinstance(node, yaml.ScalarNode):
            nodes += [each for value in node.value for each in (value if isinstance(value, tuple) else (value,))]
        elif len(node.value) > 100 and not node.tag.endswith(":str"):
            raise ValueError("holds a number too long to be read")
