"""Kinds of cost: each is an object that says what a part of a network costs.

Source: MorphNet's resource functions and calculator (Gordon et al., CVPR
2018), for searches that remove elements.
"""

import math
from collections.abc import Mapping
from typing import Protocol

from .trace import Trace
from .units import Part

SUFFIXES = dict(K=1e3, M=1e6, G=1e9, T=1e12)


class Cost(Protocol):
    """What a target and the penalty may count; add yours to ``COSTS``.

    A class that names it as its base needs only the attributes, ``part`` and
    ``whole``.

    Attributes:
        name: As a config writes it: ``target=dict(<name>=...)``.
        noun: As texts write it, after an amount: 'multiply-adds'.
    """

    name: str
    noun: str

    def part(self, part: Part, alive: Mapping[str, int]) -> float:
        """Return what a part costs.

        Args:
            part: Of the supernet.
            alive: The number of elements of its units, by their names in the
                model.
        """
        raise NotImplementedError

    def whole(self, trace: Trace) -> float:
        """Return what the traced model costs; no part owns the rest of it."""
        raise NotImplementedError

    def price(self, part: Part, alive: Mapping[str, int], unit: str) -> float:
        """Return the price of one element of a unit, for the penalty.

        Here the marginal cost, Eq. (6): what the part saves by losing one.

        Args:
            part, alive: See :meth:`part`.
            unit: The name of one of the part's units, which is alive.
        """
        fewer = {**alive, unit: alive[unit] - 1}
        return self.part(part, alive) - self.part(part, fewer)

    def parse(self, text: float | str, supernet: float) -> float:
        """Read an amount as users write it.

        Args:
            text: A number (1.91e9), a string with a suffix ('1.91G') or a
                ratio of the supernet, below 1.
            supernet: What the supernet costs.

        Raises:
            ValueError: If it is none of these; a sentence without a subject.
        """
        value = _number(text)
        if value is None:
            raise ValueError(
                "must be a positive number, a string such as '1.91G' or a "
                f'ratio below 1, got {text!r}'
            )
        # In whole numbers, where that is what the cost counts in.
        return type(supernet)(value * supernet if value < 1 else value)

    def format(self, amount: float) -> str:
        """Write an amount, without the noun."""
        return short(amount)


def _number(text: float | str) -> float | None:
    """The positive number that a text is, a suffix included."""
    digits = str(text).strip().upper()
    unit = SUFFIXES.get(digits[-1:], 1.0)
    try:
        value = float(digits.rstrip('KMGT') if unit > 1 else digits) * unit
    except ValueError:
        return None
    return value if 0 < value < math.inf else None


def amount_of(name: str, amount: float) -> str:
    """Write an amount of a cost, of a file say, by the cost's name.

    So there is one unit for one cost, wherever it is told.
    """
    return COSTS[name].format(amount) if name in COSTS else short(amount)


def short(amount: float) -> str:
    """Write 1910000000 as '1.91 G'."""
    for suffix, unit in reversed(SUFFIXES.items()):
        if amount >= unit:
            return f'{amount / unit:.4g} {suffix}'
    return f'{amount:g}'


class Macs(Cost):
    """Multiply-adds of one image: the FLOPs of the paper."""

    name, noun = 'macs', 'multiply-adds'

    def part(self, part: Part, alive: Mapping[str, int]) -> int:
        """Return the sum over the part's modules and their calls."""
        return sum(
            searchable.macs(counts, size)
            for searchable, counts, size in part.calls(alive)
        )

    def whole(self, trace: Trace) -> int:
        """Return what torch's counter found."""
        return trace.macs['']

    def format(self, amount: float) -> str:
        """Write an amount in billions."""
        return f'{amount / 1e9:.4g} G'


class Eq6(Cost):
    """Multiply-adds as Eq. (6) is printed, to price elements with.

    A channel costs its depthwise convolution alone, a token all that it
    spends.
    """

    name, noun = 'eq6', 'multiply-adds of Eq. (6)'

    def part(self, part: Part, alive: Mapping[str, int]) -> int:
        """Return the sum over the part's modules and their calls."""
        return sum(
            getattr(searchable, 'eq6_macs', searchable.macs)(counts, size)
            for searchable, counts, size in part.calls(alive)
        )

    def whole(self, trace: Trace) -> int:
        """Return what torch's counter found."""
        return trace.macs['']

    def parse(self, text: float | str, supernet: float) -> float:
        """Refuse: it leaves out most of what a network spends.

        Raises:
            ValueError: Always.
        """
        raise ValueError(
            'must not be in eq6, which prices elements only: it leaves out '
            'most of what a network costs'
        )


class Params(Cost):
    """Parameters of the whole model, whether they are traced or not."""

    name, noun = 'params', 'parameters'

    def part(self, part: Part, alive: Mapping[str, int]) -> int:
        """Return what elements own, and what goes with the last of them."""
        left = {
            name: facts for name, facts in part.units.items() if alive[name]
        }
        own = sum(
            alive[name] * facts.params + facts.shared_params
            for name, facts in left.items()
        )
        modules = {facts.searchable for facts in left.values()}
        return own + sum(part.searchables[m].shared_params for m in modules)

    def whole(self, trace: Trace) -> int:
        """Return the number of all parameters."""
        return trace.params

    def price(self, part: Part, alive: Mapping[str, int], unit: str) -> int:
        """Return what an element owns; what goes with the last is not its."""
        return part.units[unit].params

    def format(self, amount: float) -> str:
        """Write an amount in millions."""
        return f'{amount / 1e6:.4g} M'


MACS, PARAMS = Macs(), Params()
# What is said of every network, whatever its target counts.
REPORTED: tuple[Cost, ...] = (MACS, PARAMS)
# What a config can name; add a cost of your own under its name.
COSTS: dict[str, Cost] = {cost.name: cost for cost in (*REPORTED, Eq6())}


def noun_of(name: str) -> str:
    """Return the noun of a cost, or its name where the cost is not known."""
    return COSTS[name].noun if name in COSTS else name
