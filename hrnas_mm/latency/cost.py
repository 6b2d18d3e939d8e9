"""Milliseconds as a cost, from a table that was measured on a device."""

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import NamedTuple

from ..modules.deployed import Deployable, form_of
from ..modules.stock import SearchableChannels
from ..search.budget import LATENCY
from ..search.cost import REPORTED, Cost
from ..search.cost_model import CostModel
from ..search.cut_removals import BestRemovals
from ..search.trace import Trace
from ..search.units import Part, join
from .layers import apart, is_stock, layers_in
from .table import Curve, LatencyTable

MAX_PRICE_RATIO = 10  # of an element's price to that in the full part


class Milliseconds(Cost):
    """Milliseconds, as far as they need no table: how they are written."""

    name, noun = LATENCY, 'ms'

    def part(self, part: Part, counts: Mapping[str, int]) -> float:
        """Raise, as milliseconds of a part need a table."""
        raise NotImplementedError

    def whole(self, trace: Trace) -> float:
        """Raise, as a table has the rest of a network, not the whole."""
        raise NotImplementedError

    def parse(self, text: float | str, supernet: float) -> float:
        """Parse '6ms', a number of milliseconds, or a ratio below 1.

        Raises:
            ValueError: If the text has none of these forms.
        """
        digits = str(text).strip().lower()
        has_unit = digits.endswith('ms')
        try:
            value = float(digits.removesuffix('ms'))
        except ValueError:
            value = math.nan
        if not 0 < value < math.inf:
            raise ValueError(
                "must be a positive time such as '6ms', or a ratio of the "
                f'supernet below 1, got {text!r}'
            )
        return value * supernet if value < 1 and not has_unit else value

    def format(self, amount: float) -> str:
        """Format an amount to three digits."""
        return f'{amount:.3g}'


class _Portion(NamedTuple):
    """Hold what is timed apart of a part.

    Attributes:
        part: The portion.
        curves: Its curves, by call and by unit or layer.
        layers: (Name of a factor, milliseconds by counts) of the layers of
            stock modules.
    """

    part: Part
    curves: list[Mapping[str, Curve]]
    layers: list[tuple[str, Callable[[Mapping[str, int]], float]]]


class Latency(Milliseconds):
    """Milliseconds of the deployed network, as a table predicts them.

    Args:
        table: Table of this supernet, from the user's device.
    """

    def __init__(self, table: LatencyTable) -> None:
        self.table = table
        conditions = table.conditions
        self.cut = BestRemovals(conditions.round)
        self.form = form_of(conditions.runtime, 'auto', conditions.round, {})
        self._apart: dict[str, list[_Portion]] = {}
        self._beside: dict[str, dict[str, set[str]]] = {}

    def part(self, part: Part, counts: Mapping[str, int]) -> float:
        """Return the milliseconds of a part in a network."""
        factors = self.table.calibration.factors
        return sum(factors[k] * ms for k, ms in self.alone(part, counts))

    def alone(
        self, part: Part, counts: Mapping[str, int]
    ) -> Iterator[tuple[str, float]]:
        """Yield (name of a factor, milliseconds alone) of what a part has."""
        for each in self._portions(part):
            for kind, ms_of in each.layers:
                yield kind, ms_of(counts)
            for kind, call, unit, count in self._deployed(each.part, counts):
                yield kind, each.curves[call][unit](count)

    def _portions(self, part: Part) -> list[_Portion]:
        if part.name not in self._apart:
            self._apart[part.name] = [
                self._portion(each) for each in apart(part)
            ]
        return self._apart[part.name]

    def _portion(self, part: Part) -> _Portion:
        curves = [
            self.table.curves[key] for key in self.table.kinds[part.name]
        ]
        layers = [
            (layer.kind, layer.timed(curves[0][layer.name], self.form.step))
            for layer in layers_in(part)
        ]
        return _Portion(part, curves, layers)

    def saves_together(self, part: Part, searchable: str) -> bool:
        """Return whether elements are deployed with those of other units.

        In a stock module, each layer has channels of its own: fewer of one
        unit save something without fewer of another. Curves may be level for
        some counts, but no cut has been seen to need several units then.
        """
        return not isinstance(part.searchables[searchable], SearchableChannels)

    def beside(self, part: Part, unit: str) -> Collection[str]:
        """Return the units that share a layer with one of a stock module."""
        if not is_stock(part, unit):
            return part.units
        if part.name not in self._beside:
            found: dict[str, set[str]] = {name: {name} for name in part.units}
            for layer in layers_in(part):
                for name in layer.units.values():
                    found[name].update(layer.units.values())
            self._beside[part.name] = found
        return self._beside[part.name][unit]

    def _deployed(
        self, part: Part, counts: Mapping[str, int]
    ) -> Iterator[tuple[str, int, str, int]]:
        """Yield (class, call, unit's name in the part, deployed elements).

        Units of stock modules are in layers.
        """
        for prefix, searchable in part.searchables.items():
            if isinstance(searchable, SearchableChannels):
                continue
            inner = part.inside(prefix)
            own = {
                name: counts.get(join(prefix, name), 0)
                for name in searchable.unit_names
            }
            for call, size in enumerate(part.sizes.get(prefix, ())):
                deployed = own
                if isinstance(searchable, Deployable):
                    deployed = searchable.deployed_counts(own, size, self.form)
                for name, count in deployed.items():
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

    def price(self, part: Part, counts: Mapping[str, int], unit: str) -> float:
        """Return what a part saves without the unit, by its elements.

        This contains the fixed time that goes with the last element, and
        rises as elements go: a path or a Transformer that is nearly empty is
        priced out. It is at most ``MAX_PRICE_RATIO`` times that of the full
        part.
        """
        full = {name: facts.elements for name, facts in part.units.items()}
        most = MAX_PRICE_RATIO * self._secant(part, full, unit)
        return min(self._secant(part, counts, unit), most)

    def _secant(
        self, part: Part, counts: Mapping[str, int], unit: str
    ) -> float:
        without = {**counts, unit: 0}
        saved = self.part(part, counts) - self.part(part, without)
        return max(saved, 0.0) / counts[unit]

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

        try:
            whole = cost_model.counting(self).total(cost_model.supernet)
        except OverflowError:
            whole = math.inf
        if not 0 < whole < math.inf:
            raise ValueError(
                'must give the supernet a positive and finite time, got '
                f'{whole} ms'
            )

    def _covers(self, part: Part) -> bool:
        """Return whether the table has all times that the part may need."""
        whole = {unit: facts.elements for unit, facts in part.units.items()}
        try:
            for counts in (whole, *({unit: 1} for unit in part.units)):
                self.part(part, counts)
        except (IndexError, KeyError):
            return False
        return True
