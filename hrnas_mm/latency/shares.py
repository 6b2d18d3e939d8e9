"""Blocks of stock networks, whose time goes by their multiply-adds."""

from collections.abc import Mapping

from ..modules.deployed import Form, rounded
from ..modules.stock import SearchableChannels
from ..search.units import Part, join

# The name of the share of a block's multiply-adds, and what is all of them.
SHARE, WHOLE = 'share', 10_000


def is_stock(part: Part, unit: str) -> bool:
    """Return whether a unit belongs to a stock block, by its name in it."""
    owner = part.units[join(part.name, unit)].searchable
    return isinstance(part.searchables[owner], SearchableChannels)


def share_of(
    part: Part, counts: Mapping[str, int], call: int, form: Form
) -> int:
    """Return which share of a block's multiply-adds is deployed.

    Several units of one block multiply each other's costs, so that no number
    of channels says what one takes. Multiply-adds do, exactly where all have
    lost the same share.

    Args:
        part: Part whose module is a stock block.
        counts: Number of elements by unit name in the model.
        call: Number of the call of the part.
        form: Form that it is deployed in.

    Returns:
        The share, in parts of ``WHOLE``; 0 if nothing is deployed.
    """
    full = {name: facts.elements for name, facts in part.units.items()}
    macs, most = (_macs(part, each, call, form) for each in (counts, full))
    return max(round(WHOLE * macs / most), 1) if macs else 0


def _macs(part: Part, counts: Mapping[str, int], call: int, form: Form) -> int:
    found = 0
    for name, searchable in part.searchables.items():
        if isinstance(searchable, SearchableChannels):
            own = part.counts_of(name, counts)
            deployed = {u: rounded(n, form.step) for u, n in own.items()}
            found += searchable.macs(deployed, part.sizes[name][call])
    return found
