"""The layers of stock networks, each of which has a curve of its own."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from ..modules.deployed import rounded
from ..modules.stock import SearchableChannels, StockLayer, layers_of
from ..search.units import Part, join
from .table import Curve

WHOLE = 10_000  # what all of a layer's multiply-adds are


class PartLayer:
    """A layer of a stock module, in a part.

    Args:
        name: Name in the part.
        facts: What depends on which units.
        units: The units' names in the model, by those in the stock module.
        full: Numbers of their elements.
    """

    def __init__(
        self,
        name: str,
        facts: StockLayer,
        units: Mapping[str, str],
        full: Mapping[str, int],
    ) -> None:
        self.name, self.facts = name, facts
        self.units, self.full = units, full

    @property
    def kind(self) -> str:
        """Return what runtimes have an operator for."""
        return self.facts.kind

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
        names = self.units.values()
        return self._share(step, *(counts.get(name, 0) for name in names))

    def timed(
        self, curve: Curve, step: int
    ) -> Callable[[Mapping[str, int]], float]:
        """Return a function from counts to milliseconds.

        It remembers them, as a cut asks for the same counts again and again.

        Args:
            curve: Milliseconds by the share that is deployed.
            step: See :meth:`share`.
        """
        names = tuple(self.units.values())

        @lru_cache(maxsize=2**14)
        def ms(*own: int) -> float:
            return curve(self._share(step, *own))

        return lambda counts: ms(*[counts.get(name, 0) for name in names])

    def _share(self, step: int, *own: int) -> int:
        macs, most = (
            self.facts.slots(
                {u: rounded(n, step) for u, n in zip(self.units, counts)}
            )
            for counts in (own, self.full.values())
        )
        return max(round(WHOLE * macs / most), 1) if macs else 0


def layers_in(part: Part) -> list[PartLayer]:
    """Return the layers of a part that depend on units of stock modules.

    There are none in a part that is never called, as in a head that only
    training uses.
    """
    found = []
    for prefix, module in part.searchables.items():
        if not isinstance(module, SearchableChannels) or not part.sizes:
            continue
        for layer in layers_of(module):
            units = {unit: join(prefix, unit) for unit in layer.units}
            if not all(name in part.units for name in units.values()):
                continue  # those of a block that is empty
            full = {u: part.units[n].elements for u, n in units.items()}
            name = join(part.inside(prefix), layer.name)
            found.append(PartLayer(name, layer, units, full))
    return found


def apart(part: Part) -> list[Part]:
    """Return what is timed apart: a part, or what a stock module contains.

    The layers of a stock module have curves of their own. So have the modules
    in it that declare units themselves, such as Transformers.
    """
    own = [
        name
        for name, module in part.searchables.items()
        if not isinstance(module, SearchableChannels)
    ]
    if len(own) in (0, len(part.searchables)):
        return [part]
    stock = [name for name in part.searchables if name not in own]
    return [
        _portion(part, part.name, part.module, stock),
        *(_portion(part, n, part.searchables[n], [n]) for n in own),
    ]


def _portion(
    part: Part, name: str, module: Any, searchables: Sequence[str]
) -> Part:
    """Return the portion of a part that some of its searchables are."""
    return Part(
        name,
        module,
        {key: part.searchables[key] for key in searchables},
        {
            unit: facts
            for unit, facts in part.units.items()
            if facts.searchable in searchables
        },
        {key: part.sizes[key] for key in searchables if key in part.sizes},
    )


def is_stock(part: Part, unit: str) -> bool:
    """Return whether a unit belongs to a stock module, by its name."""
    owner = part.units[unit].searchable
    return isinstance(part.searchables[owner], SearchableChannels)
