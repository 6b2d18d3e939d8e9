"""Walking through nested containers, as configs are."""

from collections.abc import Iterator
from typing import Any


def nested_dicts(node: Any) -> Iterator[dict[str, Any]]:
    """All dicts in a config, from the outside in."""
    if isinstance(node, dict):
        yield node
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        for item in node:
            yield from nested_dicts(item)
