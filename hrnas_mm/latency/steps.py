"""To which multiples a runtime's channels are best rounded up."""

import math
from collections.abc import Mapping, Sequence

from ..modules.deployed import Form, rounded
from ..modules.stock import SearchableChannels
from ..search.units import Part, Size
from .points import Point, rounds, units_of
from .shares import is_stock
from .table import Curve

# Steps that a runtime may have, and up to how many elements each is tried.
STEPS, MAX_STEPPED_ELEMENTS = (4, 8, 16), 32
# Slowdown, against the best step, that is ignored.
TOLERATED_SLOWDOWN = 1.03


def step_points(part: Part, form: Form) -> list[Point]:
    """Return what is timed to see how a step suits a runtime."""
    full, step = units_of(part), form.step
    rounded_ones = [u for u in full if rounds(part, u, form)]
    unit = max(rounded_ones, key=full.__getitem__)
    most = min(rounded(full[unit], step), MAX_STEPPED_ELEMENTS)
    # The units of a stock block come one after the other.
    together = rounded_ones if is_stock(part, unit) else [unit]
    return [
        Point(unit, n, _each(together, full, n))
        for n in range(step, most + 1, step)
    ]


def best_step(curves: Mapping[int, Curve]) -> int:
    """Return the largest step with which rounding up costs nothing.

    Args:
        curves: Milliseconds by elements, timed in multiples of each step.
    """
    most = min(curve.elements[-1] for curve in curves.values())
    means = {
        step: sum(curve(rounded(n, step)) for n in range(1, most + 1)) / most
        for step, curve in curves.items()
    }
    least = min(means.values())
    return max(
        step for step, ms in means.items() if ms <= TOLERATED_SLOWDOWN * least
    )


def stepped_part(
    examples: Mapping[str, tuple[Part, Size]], form: Form
) -> tuple[Part, Size] | None:
    """Return the part that shows best how a step suits a runtime.

    It is the largest of those whose channels are rounded up and that can be
    repeated one after the other; None if there is none.
    """
    found = [
        (part, size)
        for part, size in examples.values()
        if any(rounds(part, unit, form) for unit in units_of(part))
        and _repeats(part)
    ]
    return max(found, key=lambda each: math.prod(each[1]), default=None)


def _repeats(part: Part) -> bool:
    """Return whether a part can read what it puts out."""
    module = part.module
    if isinstance(module, SearchableChannels):
        return module.may_go
    return module.in_channels == module.out_channels


def _each(
    units: Sequence[str], full: Mapping[str, int], elements: int
) -> dict[str, int]:
    """Return counts that are as many elements of each of some units."""
    counts = dict.fromkeys(full, 0)
    return counts | {unit: min(elements, full[unit]) for unit in units}
