"""The layers of stock networks, each of which has a curve of its own."""

from collections.abc import Mapping
from typing import NamedTuple

from ..modules.deployed import rounded
from ..modules.stock import SearchableChannels, StockLayer, layers_of
from ..search.units import Part, join

WHOLE = 10_000  # what all of a layer's multiply-adds are


class PartLayer(NamedTuple):
    """A layer of a stock module, in a part.

    Attributes:
        name: Name in the part.
        layer: What depends on which units.
        units: The units' names in the model, by those in the stock module.
        full: Numbers of their elements.
    """

    name: str
    layer: StockLayer
    units: Mapping[str, str]
    full: Mapping[str, int]

    def share(self, counts: Mapping[str, int], step: int) -> int:
        """Return which share of its multiply-adds is deployed.

        Units multiply each other's costs, so that no number of channels says
        what a layer takes. Multiply-adds do, exactly where its inputs and its
        outputs have lost the same share.

        Args:
            counts: Number of elements by unit name in the model.
            step: Number to whose multiples they are rounded up.

        Returns:
            The share, in parts of ``WHOLE``; 0 if nothing is deployed.
        """
        left = {
            unit: rounded(counts.get(name, 0), step)
            for unit, name in self.units.items()
        }
        full = {unit: rounded(n, step) for unit, n in self.full.items()}
        macs, most = self.layer.slots(left), self.layer.slots(full)
        return max(round(WHOLE * macs / most), 1) if macs else 0


def layers_in(part: Part) -> list[PartLayer]:
    """Return the layers of a part that depend on units of stock modules."""
    found = []
    for prefix, module in part.searchables.items():
        if not isinstance(module, SearchableChannels):
            continue
        for layer in layers_of(module):
            units = {unit: join(prefix, unit) for unit in layer.units}
            if not all(name in part.units for name in units.values()):
                continue  # those of a block that is empty
            full = {u: part.units[n].elements for u, n in units.items()}
            name = join(part.inside(prefix), layer.name)
            found.append(PartLayer(name, layer, units, full))
    return found


def is_stock(part: Part, unit: str) -> bool:
    """Return whether a unit belongs to a stock module, by its name."""
    owner = part.units[unit].searchable
    return isinstance(part.searchables[owner], SearchableChannels)
