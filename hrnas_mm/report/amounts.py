"""Amounts of costs as text, by the name of the cost, as in files."""

from collections.abc import Mapping

from ..latency import Milliseconds
from ..search import COSTS, Cost
from ..search.cost import short

_MS = Milliseconds()


def amount_of(name: str, amount: float) -> str:
    """Format an amount; each cost has the same unit wherever it is shown."""
    cost = _known(name)
    return cost.format(amount) if cost else short(amount)


def noun_of(name: str) -> str:
    """Return the noun of a cost, or its name if the cost is unknown."""
    cost = _known(name)
    return cost.noun if cost else name


def in_words(costs: Mapping[str, float]) -> str:
    """Return several costs as one line of text."""
    return ', '.join(
        f'{amount_of(name, amount)} {noun_of(name)}'
        for name, amount in costs.items()
    )


def _known(name: str) -> Cost | None:
    return {_MS.name: _MS, **COSTS}.get(name)
