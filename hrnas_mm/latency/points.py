"""The points of a latency table: kinds of parts, numbers of elements."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from ..modules.deployed import Deployable, Form, rounded
from ..search import CostModel
from ..search.units import Part, Size, join
from .shares import SHARE, is_stock, share_of

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
    A part that is called several times has several.
    """
    names: dict[tuple[str, Size], str] = {}
    kinds: dict[str, list[str]] = {}
    examples: dict[str, tuple[Part, Size]] = {}
    for name, part in cost_model.parts.items():
        kinds[name] = []
        sizes = next(iter(part.sizes.values()), ()) if part.units else ()
        for size in sizes:
            key = f'{part.module} {units_of(part)}', size
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

    The units of a stock block are timed together. Tokens beside channels are
    timed beside a few of these: a Transformer between convolutions reads maps
    that these keep in a layout of their own, and its output is one more
    addition.
    """
    full, step = units_of(part), form.step
    first: dict[str, int] = {}
    for point in _shares_of(part, form, few):
        first = first or dict(point.counts)
        yield point
    left = [unit for unit in full if not is_stock(part, unit)]
    for unit in sorted(left, key=lambda unit: not rounds(part, unit, form)):
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


def _shares_of(part: Part, form: Form, few: bool) -> Iterator[Point]:
    """Yield what is timed of a stock block: the same share of all units."""
    units, before = units_of(part), 0
    full = {unit: n for unit, n in units.items() if is_stock(part, unit)}
    if not full:
        return
    most = rounded(max(full.values()), form.step)
    tried = [
        form.step * n for n in (FEW_CHANNEL_STEPS if few else CHANNEL_STEPS)
    ]
    for channels in [*(n for n in tried if n < most), most]:
        counts = {
            unit: min(n, rounded(math.ceil(n * channels / most), form.step))
            for unit, n in full.items()
        }
        named = {join(part.name, unit): n for unit, n in counts.items()}
        share = share_of(part, named, 0, form)
        if share > before:
            yield Point(SHARE, share, dict.fromkeys(units, 0) | counts)
        before = share


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
    if is_stock(part, unit):
        return True
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
