"""The points of a latency table: kinds of parts, numbers of elements."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from ..modules.deployed import Deployable, Form, rounded
from ..search import CostModel
from ..search.architecture import Architecture
from ..search.units import Part, Size, join
from .layers import apart, is_stock

# Numbers of elements that are timed: channels in steps of the runtime, tokens.
CHANNEL_STEPS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
TOKENS = (1, 8, 32, 64)
# The same where each takes long to make ready.
FEW_CHANNEL_STEPS, FEW_TOKENS = (1, 4, 16, 64), (1, 64)


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
    A part that is called several times has several, unless it consists of
    layers, each of which has one curve for all calls.
    """
    names: dict[str, str] = {}
    kinds: dict[str, list[str]] = {}
    examples: dict[str, tuple[Part, Size]] = {}
    parts = (each for p in cost_model.parts.values() for each in apart(p))
    for part in parts:
        kinds[part.name] = []
        sizes = next(iter(part.sizes.values()), ()) if part.units else ()
        layers = any(is_stock(part, unit) for unit in part.units)
        for size in sizes[:1] if layers else sizes:
            called = [*part.sizes.values()] if layers else size
            key = f'{part.module} {units_of(part)} {called}'
            if key not in names:
                names[key] = _kind(part, size, len(names) + 1)
                examples[names[key]] = part, size
            kinds[part.name].append(names[key])
    return kinds, examples


def _kind(part: Part, size: Size, number: int) -> str:
    ends = [
        getattr(part.module, f'{end}_channels', None) for end in ('in', 'out')
    ]
    what = (
        '-'.join(map(str, ends)) if all(ends) else type(part.module).__name__
    )
    return f'{number}: {what} at {size[0]}x{size[1]}'


def points_of(part: Part, form: Form, few: bool = False) -> Iterator[Point]:
    """Yield what is timed of a part: each unit with several counts.

    Tokens beside channels are timed beside a few of these: a Transformer
    between convolutions reads maps that these keep in a layout of their own,
    and its output is one more addition. Layers of stock modules are timed
    otherwise, see :func:`widths_of`.
    """
    full, step = units_of(part), form.step
    own = [u for u in part.units if not is_stock(part, u)]
    first: dict[str, int] = {}
    for unit in sorted(
        map(part.inside, own), key=lambda unit: not rounds(part, unit, form)
    ):
        path = _computed_by(part, unit, form)
        most = sum(full[name] for name in path)
        tried: Sequence[int] = FEW_TOKENS if few else TOKENS
        if rounds(part, unit, form):
            most = rounded(most, step)
            steps = FEW_CHANNEL_STEPS if few else CHANNEL_STEPS
            tried = [step * n for n in steps]
        with_first = bool(first) and not rounds(part, unit, form)
        for elements in sorted({*(n for n in tried if n < most), most}):
            counts = _filled(path, full, elements)
            first = first or counts
            if with_first:
                counts |= {other: n for other, n in first.items() if n}
            yield Point(unit, elements, counts, with_first)


def widths_of(
    cost_model: CostModel, form: Form, few: bool = False
) -> list[Architecture]:
    """Return networks at which the layers of stock modules are timed.

    All units of stock modules have the same share of their elements, and the
    others are whole. There are none if the model has no such module.
    """
    full, step = cost_model.supernet, form.step
    stock = {
        unit: n
        for unit, n in full.items()
        if is_stock(cost_model.parts[cost_model.part_of[unit]], unit)
    }
    if not stock:
        return []
    most = rounded(max(stock.values()), step)
    steps = FEW_CHANNEL_STEPS if few else CHANNEL_STEPS
    tried = [step * n for n in steps if step * n < most]
    narrow = (
        {
            unit: min(n, rounded(math.ceil(n * channels / most), step))
            for unit, n in stock.items()
        }
        for channels in tried
    )
    return [*({**full, **counts} for counts in narrow), dict(full)]


def units_of(part: Part) -> dict[str, int]:
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


def rounds(part: Part, unit: str, form: Form) -> bool:
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
