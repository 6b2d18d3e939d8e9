"""To which multiples a runtime's channels are best rounded up."""

import math
from collections.abc import Mapping

from ..modules.deployed import Form, rounded
from ..search.units import Part, Size
from .layers import is_stock
from .points import Point, rounds, units_of
from .table import Curve

# Steps that a runtime may have, and up to how many elements each is tried.
STEPS, MAX_STEPPED_ELEMENTS = (4, 8, 16), 32
# Of a stock network, so many random ones are tried.
STEPPED_NETWORKS = 3
# Slowdown, against the best step, that is ignored.
TOLERATED_SLOWDOWN = 1.03


def step_points(part: Part, form: Form) -> list[Point]:
    """Return what is timed to see how a step suits a runtime."""
    full, step = units_of(part), form.step
    unit = max(_rounded_units(part, form), key=full.__getitem__)
    most = min(rounded(full[unit], step), MAX_STEPPED_ELEMENTS)
    none = dict.fromkeys(full, 0)
    return [
        Point(unit, n, {**none, unit: min(n, full[unit])})
        for n in range(step, most + 1, step)
    ]


def mean_ms(curves: Mapping[int, Curve]) -> dict[int, float]:
    """Return the mean time of all numbers of elements, by step.

    Args:
        curves: Milliseconds by elements, timed in multiples of each step.
    """
    most = min(curve.elements[-1] for curve in curves.values())
    return {
        step: sum(curve(rounded(n, step)) for n in range(1, most + 1)) / most
        for step, curve in curves.items()
    }


def best_step(ms: Mapping[int, float]) -> int:
    """Return the largest step with which rounding up costs nothing.

    Args:
        ms: What is timed with channels rounded up to each step.
    """
    least = min(ms.values())
    return max(
        step for step, t in ms.items() if t <= TOLERATED_SLOWDOWN * least
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
        if _rounded_units(part, form)
        and part.module.in_channels == part.module.out_channels
    ]
    return max(found, key=lambda each: math.prod(each[1]), default=None)


def _rounded_units(part: Part, form: Form) -> list[str]:
    own = [part.inside(u) for u in part.units if not is_stock(part, u)]
    return [unit for unit in own if rounds(part, unit, form)]
