"""Keeping what would look like the log of a run from the screen."""

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator

from mmengine.logging import MMLogger


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Drop log records, warnings and what is printed."""
    before = logging.root.manager.disable
    _disable(logging.CRITICAL)
    try:
        with (
            open(os.devnull, 'w') as nowhere,
            contextlib.redirect_stdout(nowhere),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter('ignore')
            yield
    finally:
        _disable(before)


def _disable(level: int) -> None:
    """Disable loggers, mmengine's too: they remember what was enabled."""
    logging.disable(level)
    for logger in MMLogger._instance_dict.values():
        logger._cache.clear()
