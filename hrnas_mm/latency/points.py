"""The points of a latency table: kinds of parts, numbers of elements."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from ..modules.deployed import Deployable, Form, rounded
from ..search import CostModel
from ..search.units import Part, Size, join
from .table import Curve

# Numbers of elements that are timed: channels in steps of the runtime, tokens.
CHANNEL_STEPS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
TOKENS = (1, 8, 32, 64)
# The same where each takes long to make ready.
FEW_CHANNEL_STEPS, FEW_TOKENS = (1, 4, 16, 64), (1, 64)

# Steps that a runtime may have, and up to how many elements each is tried.
STEPS, MAX_STEPPED_ELEMENTS = (4, 8, 16), 32
# Slowdown, against the best step, that is ignored.
TOLERATED_SLOWDOWN = 1.03


class Point(NamedTuple):
    """A number of elements of one unit, to be timed.

    Attributes:
        unit: Name of the unit in the part.
        elements: Number of elements as deployed.
        counts: Numbers of elements of all units, which give these.
        with_first: Whether the timed module also contains the part's first
            point, whose time is subtracted.
    """

    unit: str
    elements: int
    counts: Mapping[str, int]
    with_first: bool = False


def kinds_of(
    cost_model: CostModel,
) -> tuple[dict[str, list[str]], dict[str, tuple[Part, Size]]]:
    """Return the kinds of every part, and an example of each kind.

    Terms of the same layers that read maps of the same size are of one kind.
    A part that is called several times has several.
    """
    names: dict[tuple[str, Size], str] = {}
    kinds: dict[str, list[str]] = {}
    examples: dict[str, tuple[Part, Size]] = {}
    for name, part in cost_model.parts.items():
        kinds[name] = []
        for size in next(iter(part.sizes.values()), ()):
            key = f'{part.module}', size
            if key not in names:
                names[key] = _kind(part, size, len(names) + 1)
                examples[names[key]] = part, size
            kinds[name].append(names[key])
    return kinds, examples


def _kind(part: Part, size: Size, number: int) -> str:
    channels = [
        getattr(part.module, f'{end}_channels', '?') for end in ('in', 'out')
    ]
    widths = '-'.join(map(str, channels))
    return f'{number}: {widths} at {size[0]}x{size[1]}'


def points_of(part: Part, form: Form, few: bool = False) -> Iterator[Point]:
    """Yield what is timed of a part: each unit with several counts.

    Tokens beside channels are timed beside a few of these: a Transformer
    between convolutions reads maps that these keep in a layout of their own,
    and its output is one more addition.
    """
    full, step = _units_of(part), form.step
    first: dict[str, int] = {}
    for unit in sorted(full, key=lambda unit: not _rounds(part, unit, form)):
        path = _computed_by(part, unit, form)
        most = sum(full[name] for name in path)
        tried: Sequence[int] = FEW_TOKENS if few else TOKENS
        if _rounds(part, unit, form):
            most = rounded(most, step)
            steps = FEW_CHANNEL_STEPS if few else CHANNEL_STEPS
            tried = [step * n for n in steps]
        with_first = bool(first) and not _rounds(part, unit, form)
        for elements in sorted({*(n for n in tried if n < most), most}):
            counts = _filled(path, full, elements)
            first = first or counts
            if with_first:
                counts |= {other: n for other, n in first.items() if n}
            yield Point(unit, elements, counts, with_first)


def step_points(part: Part, form: Form) -> list[Point]:
    """Return what is timed to see how a step suits a runtime."""
    full, step = _units_of(part), form.step
    rounded_ones = (u for u in full if _rounds(part, u, form))
    unit = max(rounded_ones, key=full.__getitem__)
    most = min(rounded(full[unit], step), MAX_STEPPED_ELEMENTS)
    return [
        Point(unit, n, _filled([unit], full, n))
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
        if any(_rounds(part, unit, form) for unit in _units_of(part))
        and part.module.in_channels == part.module.out_channels
    ]
    return max(found, key=lambda each: math.prod(each[1]), default=None)


def _units_of(part: Part) -> dict[str, int]:
    """Return the elements of the units, by their names in the part."""
    return {
        part.inside(name): facts.elements for name, facts in part.units.items()
    }


def _owner(part: Part, unit: str) -> tuple[Any, str, str]:
    """Return the module of a unit, its prefix in the part, and its name."""
    for prefix, searchable in part.searchables.items():
        inner = part.inside(prefix)
        name = unit[len(inner) :].lstrip('.')
        if unit.startswith(inner) and name in searchable.unit_names:
            return searchable, inner, name
    raise KeyError(unit)


def _deployed_counts(
    part: Part, units: Sequence[str], form: Form
) -> dict[str, int]:
    """Return what one element in each of a module's units is deployed as.

    The names are those of the units in their module.
    """
    names = [_owner(part, unit)[2] for unit in units]
    searchable, inner, _ = _owner(part, units[0])
    counts = {name: int(name in names) for name in searchable.unit_names}
    if not isinstance(searchable, Deployable):
        return dict.fromkeys(names, 1)
    size = part.sizes[join(part.name, inner)][0]
    return searchable.deployed_counts(counts, size, form)


def _rounds(part: Part, unit: str, form: Form) -> bool:
    """Return whether elements are rounded up to a multiple of the step."""
    (count,) = _deployed_counts(part, [unit], replace(form, step=2)).values()
    return count == 2


def _computed_by(part: Part, unit: str, form: Form) -> list[str]:
    """Return the units that a deployed one may compute, itself first."""
    searchable, inner, name = _owner(part, unit)
    others = [join(inner, other) for other in searchable.unit_names]
    return [unit] + [
        other
        for other in others
        if other != unit
        and list(_deployed_counts(part, [unit, other], form)) == [name]
    ]


def _filled(
    units: Sequence[str], full: Mapping[str, int], elements: int
) -> dict[str, int]:
    """Return counts of all units that add up to some elements of these."""
    counts = dict.fromkeys(full, 0)
    for unit in units:
        counts[unit] = min(elements, full[unit])
        elements -= counts[unit]
    return counts
