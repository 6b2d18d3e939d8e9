"""Walking through nested containers, such as configs and checkpoints."""

from collections.abc import Iterator
from typing import Any

import numpy as np


def named_dicts(node: Any, key: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield all dicts in a config with their keys, from the outside in.

    Args:
        node: Config, or any value inside one.
        key: Key of ``node``, with which the keys of the dicts begin.
    """
    if isinstance(node, dict):
        yield key, node
        for name, item in node.items():
            yield from named_dicts(item, f'{key}.{name}')
    if isinstance(node, (list, tuple)):
        for i, item in enumerate(node):
            yield from named_dicts(item, f'{key}[{i}]')


def nested_dicts(node: Any) -> Iterator[dict[str, Any]]:
    """Yield all dicts in a config, from the outside in."""
    for _, found in named_dicts(node, ''):
        yield found


def plain(value: Any) -> Any:
    """Convert numpy values, also inside containers, to plain Python ones."""
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(plain, value))
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    return value
