"""Cuts: rules by which a network comes within limits of a cost."""

from collections.abc import Collection, Mapping
from typing import Protocol

from .ranking import Counts, Ranking
from .units import Part

Limits = tuple[float, float]


class Priced(Protocol):
    """Costs that a cut asks a :class:`~hrnas_mm.search.CostModel` for.

    Attributes:
        parts: Parts of the supernet, by name.
        part_of: Name of the part that each unit belongs to.
        supernet: Number of elements of every unit of the supernet.
        least: Number of elements of every unit that always stay.
    """

    parts: dict[str, Part]
    part_of: dict[str, str]
    supernet: dict[str, int]
    least: dict[str, int]

    def part(self, name: str, architecture: Mapping[str, int]) -> float:
        """Return the cost of a part."""

    def total(self, architecture: Mapping[str, int]) -> float:
        """Return the cost of the model."""

    def settled(self, architecture: Mapping[str, int]) -> dict[str, int]:
        """Return the architecture without elements that are of no use."""

    def one_of(self, unit: str) -> dict[str, int]:
        """Return one element of a unit, and of those it is chained with."""

    def saves_together(self, name: str, searchable: str) -> bool:
        """Return whether a module's units may save something only together."""

    def beside(self, unit: str) -> Collection[str]:
        """Return the units on whose counts it depends what a unit saves."""

    def add_up(self, searched: float) -> float:
        """Return the cost of the model whose parts cost so much together."""

    def saving(
        self, architecture: Mapping[str, int], unit: str, count: int = 1
    ) -> float:
        """Return the cost saved by removing some elements of a unit."""


class Cut(Protocol):
    """Rule by which elements are chosen so that a cost comes within limits.

    A class with this base only has to define ``__call__``.

    Attributes:
        importance: Name of the importance criterion that suits it best.
        one_by_one: Whether elements go one by one, so that importance has to
            be compared per price.
        step: The cost changes at multiples of this count only.
        may_empty_parts: Whether parts may lose all their elements though the
            limits could be met otherwise.
    """

    importance: str = 'alpha'
    one_by_one: bool = True
    step: int = 1
    may_empty_parts: bool = False

    def __call__(
        self, ranking: Ranking, priced: Priced, limits: Limits
    ) -> Counts:
        """Return the number of elements of every unit that stay.

        Args:
            ranking: Ranking of the elements of the present network.
            priced: Cost model of the supernet, for the cost that is cut.
            limits: Lower and upper limit of the cost. The upper one prevails.
        """
        raise NotImplementedError

    def smallest(self, priced: Priced) -> Counts:
        """Return the cheapest network that a cut can leave."""
        gone = dict(priced.least)
        if self.may_empty_parts:
            if any(gone.values()):
                return gone
            last = min(
                priced.part_of,
                key=lambda unit: priced.part(
                    priced.part_of[unit], priced.one_of(unit)
                ),
            )
            return {**gone, **priced.one_of(last)}
        cheapest: dict[str, str] = {}
        never_empty = {priced.part_of[u] for u, n in gone.items() if n}
        for unit, part in priced.part_of.items():
            if part in never_empty:
                continue
            if part not in cheapest or priced.saving(
                {unit: 1}, unit
            ) < priced.saving({cheapest[part]: 1}, cheapest[part]):
                cheapest[part] = unit
        return {**gone, **dict.fromkeys(cheapest.values(), 1)}

    def least(self, priced: Priced) -> float:
        """Return the cost that every search can come down to.

        If parts may become empty, whichever element is left last may be one of
        the dearest.
        """
        if self.may_empty_parts:
            return max(
                priced.total({**priced.least, **priced.one_of(unit)})
                for unit in priced.part_of
            )
        return priced.total(self.smallest(priced))
