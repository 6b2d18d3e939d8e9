"""The points of a latency table: kinds of parts, numbers of elements."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..modules.deployed import rounded
from ..search import CostModel
from ..search.units import Part, Size

# Numbers of elements: channels in steps of the runtime, and tokens.
LADDER = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
TOKENS = (1, 8, 32, 64)


class Point(NamedTuple):
    """A number of elements of one unit, to be timed.

    Attributes:
        unit: Name of the unit in the part.
        elements: Number of elements as deployed.
        counts: Numbers of elements of all units, which give these.
    """

    unit: str
    elements: int
    counts: Mapping[str, int]


def kinds_of(
    cost_model: CostModel,
) -> tuple[dict[str, list[str]], dict[str, tuple[Part, Size]]]:
    """Return the kinds of every part, and an example of each kind.

    Parts of the same layers that read maps of the same size are of one kind.
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


def points_of(part: Part, step: int) -> Iterator[Point]:
    """Yield what is timed of a part: each unit on a ladder of counts."""
    full = _units_of(part)
    for unit in full:
        path = _deployed_units(part, unit)
        most = sum(full[name] for name in path)
        ladder: Sequence[int] = TOKENS
        if _rounds(part, unit):
            most = rounded(most, step)
            ladder = [step * n for n in LADDER]
        for elements in sorted({*(n for n in ladder if n < most), most}):
            yield Point(unit, elements, _filled(path, full, elements))


def _units_of(part: Part) -> dict[str, int]:
    """Return the elements of the units, by their names in the part."""
    return {
        name.removeprefix(f'{part.name}.'): facts.elements
        for name, facts in part.units.items()
    }


def _owner(part: Part, unit: str) -> tuple[Any, str, str]:
    """Return the module of a unit, its prefix in the part, and its name."""
    for prefix, searchable in part.searchables.items():
        inner = prefix[len(part.name) :].lstrip('.')
        name = unit[len(inner) :].lstrip('.')
        if unit.startswith(inner) and name in searchable.unit_names:
            return searchable, inner, name
    raise KeyError(unit)


def _rounds(part: Part, unit: str) -> bool:
    return hasattr(_owner(part, unit)[0], 'deployed_units')


def _deployed_units(part: Part, unit: str) -> list[str]:
    """Return the units that a deployed one may compute, itself first."""
    searchable, inner, name = _owner(part, unit)
    if not hasattr(searchable, 'deployed_units'):
        return [unit]
    prefix = f'{inner}.' if inner else ''
    return [prefix + other for other in searchable.deployed_units(name)]


def _filled(
    units: Sequence[str], full: Mapping[str, int], elements: int
) -> dict[str, int]:
    """Return counts of all units that add up to some elements of these."""
    counts = dict.fromkeys(full, 0)
    for unit in units:
        counts[unit] = min(elements, full[unit])
        elements -= counts[unit]
    return counts
