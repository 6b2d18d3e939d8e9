"""Units that read one another, so that none is of use without the others."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from torch import nn

from .units import Part, join, named_searchables

Chains = Sequence[Sequence[str]]


def chains_of(model: nn.Module) -> Chains:
    """Return the names of the chained units of each module of a model."""
    found = (
        [join(name, n) for n, unit in module.search_units().items()
         if unit.chained]
        for name, module in named_searchables(model)
    )  # fmt: skip
    return [chain for chain in found if chain]


def chains_in(parts: Iterable[Part]) -> Chains:
    """Return the same for the parts of a supernet."""
    found = defaultdict[str, list[str]](list)
    for part in parts:
        for name, facts in part.units.items():
            if facts.chained:
                found[facts.searchable].append(name)
    return list(found.values())


def settled(counts: Mapping[str, int], chains: Chains) -> dict[str, int]:
    """Return counts without what is of no use.

    Args:
        counts: Number of elements by unit name.
        chains: Chained units. Without any of one of them, the others go.
    """
    found = dict(counts)
    for chain in chains:
        if not all(found.get(name, 0) for name in chain):
            found.update((name, 0) for name in chain if name in found)
    return found
