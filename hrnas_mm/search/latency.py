"""Milliseconds as a cost, from a table that was measured on a device."""

from collections.abc import Iterator, Mapping

from .cost import REPORTED, Milliseconds
from .cost_model import CostModel
from .latency_table import Curve, LatencyTable
from .trace import Trace
from .units import Part, join

MOST_PRICE = 10


class Latency(Milliseconds):
    """Milliseconds of the deployed network, as a table predicts them.

    Args:
        table: Table of this supernet, from the user's device.
    """

    def __init__(self, table: LatencyTable) -> None:
        self.table = table
        self.step = table.conditions.round

    def part(self, part: Part, alive: Mapping[str, int]) -> float:
        """Return the milliseconds of a part in a network."""
        curves, factors = self._curves(part), self.table.calibration.factors
        return sum(
            factors[kind] * curves[call][unit](count)
            for kind, call, unit, count in self._deployed(part, alive)
        )

    def _curves(self, part: Part) -> list[Mapping[str, Curve]]:
        keys = self.table.kinds[part.name]
        return [self.table.curves[key] for key in keys]

    def _deployed(
        self, part: Part, alive: Mapping[str, int]
    ) -> Iterator[tuple[str, int, str, int]]:
        """Yield (class, call, unit's name in the part, deployed elements)."""
        conditions = self.table.conditions
        for prefix, searchable in part.searchables.items():
            inner = prefix[len(part.name) :].lstrip('.')
            counts = {
                name: alive.get(join(prefix, name), 0)
                for name in searchable.unit_names
            }
            for call, size in enumerate(part.sizes.get(prefix, ())):
                found = counts
                if hasattr(searchable, 'deployed_counts'):
                    found = searchable.deployed_counts(
                        counts, size, conditions.form, conditions.round
                    )
                for name, count in found.items():
                    if count:
                        kind = type(searchable).__name__
                        yield kind, call, join(inner, name), count

    def rest(self, trace: Trace, searched: float) -> float:
        """Return the milliseconds of what no part owns."""
        return self.table.calibration.offset

    def add_up(self, searched: float, rest: float) -> float:
        """Return the milliseconds of a network."""
        # A difference of equal sums may be just below zero.
        return max(searched, 0.0) ** self.table.calibration.exponent + rest

    def price(self, part: Part, alive: Mapping[str, int], unit: str) -> float:
        """Return what a part saves without the unit, by its elements.

        This contains the fixed time that goes with the last element, and
        rises as elements go: a path or a Transformer that is nearly empty is
        priced out. It is at most ``MOST_PRICE`` times that of the full part.
        """
        full = {name: facts.elements for name, facts in part.units.items()}
        most = MOST_PRICE * self._secant(part, full, unit)
        return min(self._secant(part, alive, unit), most)

    def _secant(
        self, part: Part, alive: Mapping[str, int], unit: str
    ) -> float:
        without = {**alive, unit: 0}
        saved = self.part(part, alive) - self.part(part, without)
        return max(saved, 0.0) / alive[unit]

    def check(self, cost_model: CostModel) -> None:
        """Raise ValueError unless the table is one of this supernet."""
        conditions = self.table.conditions
        if conditions.input_shape != tuple(cost_model.input_shape):
            raise ValueError(
                f'must be a table for input shape {cost_model.input_shape}, '
                f'got one for {conditions.input_shape}'
            )
        if dict(self.table.supernet) != cost_model.supernet:
            units = sorted(
                set(self.table.supernet.items())
                ^ set(cost_model.supernet.items())
            )
            raise ValueError(
                'must be a table of this supernet, got one of another: they '
                f'differ in {len({unit for unit, _ in units})} units, such as '
                f'{units[0][0]}'
            )
        here = cost_model.totals(cost_model.supernet, REPORTED)
        if dict(self.table.costs) != here:
            raise ValueError(
                f'must be a table of this model, which has {here}, got one '
                f'of a model with {dict(self.table.costs)}'
            )
        odd = sorted(self.table.layers.items() ^ cost_model.layers.items())
        if self.table.layers and odd:
            raise ValueError(
                'must be a table of this supernet, got one of another: they '
                f'differ in layers, such as {odd[0][0]}'
            )
        missing = [
            part.name
            for part in cost_model.parts.values()
            if not self._covers(part)
        ]
        if missing:
            raise ValueError(
                'must have times of all parts of the supernet, got none for '
                f'{len(missing)}, such as {missing[0]}'
            )

    def _covers(self, part: Part) -> bool:
        """Return whether the table has all times that the part may need."""
        whole = {unit: facts.elements for unit, facts in part.units.items()}
        try:
            for alive in (whole, *({unit: 1} for unit in part.units)):
                self.part(part, alive)
        except (IndexError, KeyError):
            return False
        return True
