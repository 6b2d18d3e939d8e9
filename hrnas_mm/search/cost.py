"""Kinds of cost: each is an object that computes the cost of a part.

Source: MorphNet's resource functions and calculator (Gordon et al., CVPR
2018), adapted to searches that remove elements.
"""

import math
from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from .cut import Cut
from .cut_one_by_one import OneByOne
from .trace import Trace
from .units import Part

SUFFIXES = dict(K=1e3, M=1e6, G=1e9, T=1e12)


class Cost(Protocol):
    """Cost that a target or the penalty can count; add yours to ``COSTS``.

    A class with this base only has to define the attributes, ``part`` and
    ``whole``.

    Attributes:
        name: Name in configs: ``target=dict(<name>=...)``.
        noun: Noun that follows an amount in texts: 'multiply-adds'.
        cut: Rule by which elements are chosen for it.
    """

    name: str
    noun: str
    cut: Cut = OneByOne()

    def part(self, part: Part, counts: Mapping[str, int]) -> float:
        """Return the cost of a part.

        Args:
            part: Part of the supernet.
            counts: Number of elements of each of its units, by unit name in
                the model.
        """
        raise NotImplementedError

    def whole(self, trace: Trace) -> float:
        """Return the cost of the whole traced model, not only of its parts."""
        raise NotImplementedError

    def rest(self, trace: Trace, searched: float) -> float:
        """Return the cost of what no part owns.

        Args:
            trace: Trace of the model.
            searched: Cost of all its parts.
        """
        return self.whole(trace) - searched

    def add_up(self, searched: float, rest: float) -> float:
        """Return the cost of a model: of all its parts and of the rest."""
        return searched + rest

    def price(self, part: Part, counts: Mapping[str, int], unit: str) -> float:
        """Return the price of one element of a unit, for the penalty.

        By default this is the marginal cost, Eq. (6): what the part saves by
        losing one element.

        Args:
            part, counts: See :meth:`part`.
            unit: Name of one of the part's units that is alive.
        """
        fewer = {**counts, unit: counts[unit] - 1}
        return self.part(part, counts) - self.part(part, fewer)

    def saves_together(self, part: Part, searchable: str) -> bool:
        """Return whether a module's units may save something only together.

        Args:
            part: Part of the supernet.
            searchable: Name of the module, one of the part's searchables.
        """
        return True

    def beside(self, part: Part, unit: str) -> Collection[str]:
        """Return the units on whose counts it depends what a unit saves.

        Args:
            part: Part of the supernet.
            unit: Name of one of its units.
        """
        return part.units

    def parse(self, text: float | str, supernet: float) -> float:
        """Parse an amount as users write it.

        Args:
            text: Number (1.91e9), string with a suffix ('1.91G') or ratio of
                the supernet's cost, below 1.
            supernet: Cost of the supernet.

        Raises:
            ValueError: If the text has none of these forms. The message is a
                sentence without its subject, which the caller adds.
        """
        value = number_in(text)
        if value is None:
            raise ValueError(
                "must be a positive number, a string such as '1.91G' or a "
                f'ratio below 1, got {text!r}'
            )
        # An integer if the cost counts in integers.
        return type(supernet)(value * supernet if value < 1 else value)

    def format(self, amount: float) -> str:
        """Format an amount, without the noun."""
        return short(amount)


def number_in(text: float | str) -> float | None:
    """Parse a positive number with or without a suffix; else return None."""
    digits = str(text).strip().upper()
    unit = SUFFIXES.get(digits[-1:], 1.0)
    try:
        value = float(digits[:-1] if unit > 1 else digits) * unit
    except ValueError:
        return None
    return value if 0 < value < math.inf else None


def short(amount: float) -> str:
    """Format 1910000000 as '1.91 G'."""
    for suffix, unit in reversed(SUFFIXES.items()):
        if amount >= unit:
            return f'{amount / unit:.4g} {suffix}'
    return f'{amount:g}'


class Macs(Cost):
    """Multiply-adds for one image, which the paper calls FLOPs."""

    name, noun = 'macs', 'multiply-adds'

    def part(self, part: Part, counts: Mapping[str, int]) -> int:
        """Return the sum over the calls of all modules of the part."""
        return sum(
            searchable.macs(own, size)
            for searchable, own, size in part.calls(counts)
        )

    def whole(self, trace: Trace) -> int:
        """Return the multiply-adds that torch's counter found."""
        return trace.macs['']

    def format(self, amount: float) -> str:
        """Format an amount in billions."""
        return f'{amount / 1e9:.4g} G'


class Eq6(Cost):
    """Multiply-adds as printed in Eq. (6), for pricing elements only.

    A channel costs only its depthwise convolution, a token all of its
    multiply-adds.
    """

    name, noun = 'eq6', 'multiply-adds of Eq. (6)'

    def part(self, part: Part, counts: Mapping[str, int]) -> int:
        """Return the sum over the calls of all modules of the part."""
        return sum(
            getattr(searchable, 'eq6_macs', searchable.macs)(own, size)
            for searchable, own, size in part.calls(counts)
        )

    def whole(self, trace: Trace) -> int:
        """Return the multiply-adds that torch's counter found."""
        return trace.macs['']

    def parse(self, text: float | str, supernet: float) -> float:
        """Reject any target: Eq. (6) leaves out most of a network's cost.

        Raises:
            ValueError: Always.
        """
        raise ValueError(
            'must not be in eq6, which prices elements only: it leaves out '
            'most of what a network costs'
        )


class Params(Cost):
    """Parameters of the whole model, whether traced or not."""

    name, noun = 'params', 'parameters'

    def part(self, part: Part, counts: Mapping[str, int]) -> int:
        """Return the parameters that elements own or share.

        Shared ones count until the last element that shares them is removed.
        """
        formulas = _formulas(part)
        left = {
            name: facts
            for name, facts in part.units.items()
            if counts[name] and facts.searchable not in formulas
        }
        own = sum(
            counts[name] * facts.params + facts.shared_params
            for name, facts in left.items()
        )
        modules = {facts.searchable for facts in left.values()}
        return (
            own
            + sum(part.searchables[m].shared_params for m in modules)
            + sum(
                params(part.counts_of(name, counts))
                for name, params in formulas.items()
            )
        )

    def whole(self, trace: Trace) -> int:
        """Return the number of all parameters."""
        return trace.params

    def price(self, part: Part, counts: Mapping[str, int], unit: str) -> int:
        """Return the parameters that one element owns, without shared ones."""
        if part.units[unit].searchable in _formulas(part):
            return int(super().price(part, counts, unit))
        return part.units[unit].params

    def format(self, amount: float) -> str:
        """Format an amount in millions."""
        return f'{amount / 1e6:.4g} M'


def _formulas(part: Part) -> dict[str, Callable[[Mapping[str, int]], int]]:
    """Return the formulas of modules that count their parameters."""
    return {
        name: searchable.params
        for name, searchable in part.searchables.items()
        if hasattr(searchable, 'params')
    }


MACS, PARAMS = Macs(), Params()
# Costs that are reported of every network, whatever its target counts.
REPORTED: tuple[Cost, ...] = (MACS, PARAMS)
# Costs that a config can name; add a cost of your own under its name.
COSTS: dict[str, Cost] = {cost.name: cost for cost in (*REPORTED, Eq6())}
