"""Few combinations instead of all."""

from collections.abc import Sequence
from itertools import combinations, product
from typing import Any


def pairwise(*settings: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Combinations in which any two values of any two settings meet."""
    indices = product(*(range(len(values)) for values in settings))
    cells = [tuple(enumerate(cell)) for cell in indices]
    pairs = {cell: set(combinations(cell, 2)) for cell in cells}
    missing = set().union(*pairs.values())
    chosen = []
    while missing:
        best = max(cells, key=lambda cell: len(pairs[cell] & missing))
        missing -= pairs[best]
        chosen.append(tuple(settings[i][j] for i, j in best))
    return chosen
