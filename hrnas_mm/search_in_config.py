"""The search in a config: its hook, and the shape at which it counts."""

from collections.abc import Iterator, Sequence
from typing import Any

from mmengine.config import Config, ConfigDict

SEARCH, RESUME = 'ProgressiveShrinkHook', 'ExactResumeHook'


def search_hooks(cfg: Config) -> Iterator[ConfigDict]:
    """Yield the search hooks of a config, as they are written in it."""
    default = (cfg.get('default_hooks') or {}).values()
    for hook in [*(cfg.get('custom_hooks') or []), *default]:
        if is_of_type(hook, SEARCH):
            yield hook


def search_shape(cfg: Config) -> Sequence[int] | None:
    """Return the ``input_shape`` of a config's search, or None.

    A config of a searched network has it at its top level.
    """
    shapes = [hook.get('input_shape') for hook in search_hooks(cfg)]
    return next(filter(None, [*shapes, cfg.get('input_shape')]), None)


def is_of_type(part: Any, *names: str) -> bool:
    """Return whether a part of a config has one of several types.

    Args:
        part: Config of the part, or the part itself, such as a hook.
        names: Names of the types, without their registries.
    """
    kind = part.get('type') if isinstance(part, dict) else part
    return getattr(kind, '__name__', str(kind)).endswith(names)
