"""Places of the searching blocks in a drawing, as in Figs. 3 and 4."""

import re
from collections.abc import Iterable
from typing import NamedTuple

# Distances are in units of the distance between two branches.
FUSION, STEP, ROW_LENGTH = 1.5, 0.75, 12
LARGE, SMALL = 0.3, 0.14  # radius of a block in a branch, and between two

_STAGE = re.compile(
    r'(?:.*\.)?stages\.(?P<stage>\d+)\.(?:'
    r'fusion\.fuse\.(?P<target>\d+)\.(?P<source>\d+)'
    r'|(?P<grow>fusion\.grow)'
    r'|branches\.(?P<branch>\d+)\.(?P<index>\d+))$'
)
_NECK = re.compile(r'(?:.*\.)?(?P<kind>widen|down)\.(?P<index>\d+)$')


class Place(NamedTuple):
    """Centre (x, y) of a block, y pointing down, and its radius."""

    x: float
    y: float
    radius: float


Point = tuple[float, float]


class Layout(NamedTuple):
    """A drawing without its pies.

    Attributes:
        places: Places of the blocks, by name.
        lines: Lines that connect the blocks.
    """

    places: dict[str, Place]
    lines: list[tuple[Point, Point]]


def lay_out(blocks: Iterable[str]) -> Layout:
    """Place blocks by their names.

    Those of a supernet and its neck are placed as in the paper; those of any
    other network form one chain, in rows.
    """
    blocks = list(blocks)
    found = {name: match for name in blocks if (match := _STAGE.match(name))}
    if not found:
        return _chain(blocks)
    layout = Layout({}, [])
    end = 0.0
    for stage in sorted({int(match['stage']) for match in found.values()}):
        of_stage = {
            name: match
            for name, match in found.items()
            if int(match['stage']) == stage
        }
        end = _place_stage(layout, of_stage, end)
    rows = range(1 + max(_row(match) for match in found.values()))
    rest = [name for name in blocks if name not in found]
    _place_rest(layout, rest, rows, end)
    return layout


def _row(match: re.Match) -> int:
    return int(match['branch'] or match['target'] or 0)


def _place_stage(
    layout: Layout, blocks: dict[str, re.Match], start: float
) -> float:
    """Place a fusion module and the parallel module after it."""
    begin = start + FUSION
    longest = max((int(m['index'] or 0) for m in blocks.values()), default=0)
    end = begin + STEP * longest
    rows = {_row(m) for m in blocks.values() if not m['grow']}
    rows |= {max(rows) + 1} if _grows(blocks) else set()
    for name, match in blocks.items():
        if match['branch']:
            x = begin + STEP * int(match['index'])
            layout.places[name] = Place(x, int(match['branch']), LARGE)
        elif match['grow']:
            lowest = max(rows)
            line = ((start + FUSION / 2, lowest - 1.0), (begin, float(lowest)))
            _place_on(layout, name, line, 0.55)
        else:
            source, target = int(match['source']), int(match['target'])
            line = ((start, float(source)), (begin, float(target)))
            _place_on(layout, name, line, 0.4 if source == target else 0.66)
    layout.lines.extend(((begin, float(y)), (end, float(y))) for y in rows)
    return end


def _grows(blocks: dict[str, re.Match]) -> bool:
    """Return whether there is a new branch without blocks of its own."""
    rows = {int(m['branch']) for m in blocks.values() if m['branch']}
    fused = {int(m['target']) for m in blocks.values() if m['target']}
    return any(m['grow'] for m in blocks.values()) and rows <= fused


def _place_on(
    layout: Layout, name: str, line: tuple[Point, Point], share: float
) -> None:
    """Place a block between two branches, on the line that joins them."""
    (x0, y0), (x1, y1) = line
    layout.lines.append(line)
    layout.places[name] = Place(
        x0 + share * (x1 - x0), y0 + share * (y1 - y0), SMALL
    )


def _place_rest(
    layout: Layout, names: list[str], rows: range, end: float
) -> None:
    """Place the blocks after the stages: a neck, or the joined branches."""
    widened, joined = end + 1, end + 2
    x, ends = end, [(end, float(y)) for y in rows]
    for name in names:
        match = _NECK.match(name)
        if match is None:
            x += FUSION
            layout.places[name] = Place(x, 0, LARGE)
            layout.lines.extend((start, (x, 0.0)) for start in ends)
            ends = [(x, 0.0)]
        elif match['kind'] == 'widen':
            row = float(match['index'])
            layout.places[name] = Place(widened, row, LARGE)
            layout.lines.append(((end, row), (joined, row)))
        else:
            row = float(match['index'])
            line = ((joined, row), (joined, row + 1))
            _place_on(layout, name, line, 0.5)


def _chain(blocks: list[str]) -> Layout:
    places = {
        name: Place(STEP * (i % ROW_LENGTH), float(i // ROW_LENGTH), LARGE)
        for i, name in enumerate(blocks)
    }
    centres = [(place.x, place.y) for place in places.values()]
    lines = [
        pair for pair in zip(centres, centres[1:]) if pair[0][1] == pair[1][1]
    ]
    return Layout(places, lines)
