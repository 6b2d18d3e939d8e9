"""A line now and then while many files are looked at."""

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

T = TypeVar('T')
SECONDS = 3.0


def counted(results: Iterable[T], items: Sized, noun: str) -> Iterator[T]:
    """Yield results, and say how many of the items there are already.

    Args:
        results: A result per item.
        items: What is looked at.
        noun: What the items are.
    """
    then = time.monotonic()
    for number, result in enumerate(results):
        if time.monotonic() - then > SECONDS:
            then = time.monotonic()
            line = f'looked at {number} of {len(items)} {noun}'
            print(line, file=sys.stderr)
        yield result
