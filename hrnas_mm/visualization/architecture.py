"""Figure 4: every searching block in its place, as a pie of its elements."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.animation import FuncAnimation, PillowWriter
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Patch, Wedge

from ..search.budget import block_of, short
from ..search.record import architecture_at
from .layout import LARGE, Layout, Place, lay_out
from .style import (
    EMPTY,
    LINE,
    REMOVED,
    by_kind,
    colour_of,
    kind_of,
    label_of,
)

SCALE = 0.62  # inches between two branches
MOST_FRAMES = 60
TITLE, LEGEND = 0.8, 0.6  # room above a network, and below the last one


class Network(NamedTuple):
    """An architecture, and what is written above it.

    Attributes:
        name: Of the run or file.
        supernet: {unit name: elements} before the search.
        units: The same after it.
        macs: Multiply-adds, or None where they are not known.
        params: Parameters, or None.
    """

    name: str
    supernet: Mapping[str, int]
    units: Mapping[str, int]
    macs: int | None = None
    params: int | None = None

    @property
    def title(self) -> str:
        """The name, and below it the cost."""
        costs = [
            f'{short(value)} {what}'
            for value, what in (
                (self.macs, 'multiply-adds'),
                (self.params, 'parameters'),
            )
            if value is not None
        ]
        return '\n'.join(filter(None, [self.name, ', '.join(costs)]))


def draw_architectures(networks: Sequence[Network]) -> Figure:
    """Draw networks one below the other.

    Source: HR-NAS, Fig. 4. Differs in: the blocks of the fusion modules are
    drawn too, smaller, between the branches that they join.
    """
    layouts = [lay_out(blocks_of(network.supernet)) for network in networks]
    sizes = [_size(layout) for layout in layouts]
    width = max(width for width, _ in sizes)
    heights = [height + TITLE for _, height in sizes]
    figure = Figure(
        figsize=(SCALE * width, SCALE * (sum(heights) + LEGEND)),
        layout='constrained',
    )
    rows = figure.subplots(len(networks), squeeze=False, height_ratios=heights)
    for (axes,), network, layout in zip(rows, networks, layouts):
        _draw(axes, network, layout)
    _add_legend(figure, networks)
    return figure


def animate_search(record: Mapping[str, Any], name: str, out: str) -> None:
    """Write the descent of a search as an animated GIF.

    Args:
        record: Of the search.
        name: Of the run.
        out: The file to write.
    """
    last = len(record['history']) - 1
    step = last // MOST_FRAMES + 1
    networks = [
        network_at(record, i, name) for i in [*range(0, last, step), last]
    ]
    figure = draw_architectures(networks[:1])
    (axes,) = figure.axes
    layout = lay_out(blocks_of(record['supernet']))

    def draw(frame: int) -> list:
        axes.clear()
        _draw(axes, networks[min(frame, len(networks) - 1)], layout)
        return []

    # The end stays for a while.
    animation = FuncAnimation(figure, draw, frames=len(networks) + 6)
    animation.save(out, PillowWriter(fps=3), dpi=80)


def network_at(record: Mapping[str, Any], index: int, name: str) -> Network:
    """The network after one shrink of a search; -1 for the last."""
    entry = record['history'][index]
    return Network(
        f'{name}, iteration {entry["iter"]}',
        record['supernet'],
        architecture_at(record, index),
        entry['macs'],
        entry['params'],
    )


def blocks_of(units: Mapping[str, int]) -> list[str]:
    """The searching blocks that have some units."""
    return list(dict.fromkeys(map(block_of, units)))


def block_text(network: Network, block: str) -> str:
    """What is left of a block, in a line."""
    units = [unit for unit in network.supernet if block_of(unit) == block]
    parts = [
        f'{label_of(kind_of(unit))} {network.units.get(unit, 0)} of '
        f'{network.supernet[unit]}'
        for unit in units
    ]
    return f'{block or "block"}: {", ".join(parts)}'


def _size(layout: Layout) -> tuple[float, float]:
    places = layout.places.values()
    width = max(place.x for place in places) + 2 * LARGE + 0.4
    return max(width, 9.0), max(place.y for place in places) + 1.0


def _draw(axes: Axes, network: Network, layout: Layout) -> None:
    for (x0, y0), (x1, y1) in layout.lines:
        axes.plot([x0, x1], [y0, y1], color=LINE, lw=1, zorder=1)
    for block, place in layout.places.items():
        _draw_pie(axes, network, block, place)
    width, height = _size(layout)
    axes.set(
        xlim=(-LARGE - 0.1, width - LARGE - 0.3),
        ylim=(height - 0.55, -0.55),
        aspect='equal',
    )
    axes.set_title(network.title, fontsize=10, loc='left')
    axes.axis('off')


def _draw_pie(axes: Axes, network: Network, block: str, place: Place) -> None:
    """A sector per kind of unit, clockwise from the top; then what is gone."""
    centre, radius = (place.x, place.y), place.radius
    units = [unit for unit in network.supernet if block_of(unit) == block]
    total = sum(network.supernet[unit] for unit in units)
    alive = {unit: network.units.get(unit, 0) for unit in units}
    back = REMOVED if any(alive.values()) else EMPTY
    axes.add_patch(Circle(centre, radius, facecolor=back, zorder=2))
    # The y axis points down: angles grow clockwise.
    start = -90.0
    order = list(by_kind(alive))
    for unit in sorted(units, key=lambda unit: order.index(kind_of(unit))):
        end = start + 360 * alive[unit] / total
        if alive[unit]:
            colour = colour_of(kind_of(unit))
            wedge = Wedge(centre, radius, start, end, facecolor=colour)
            axes.add_patch(wedge).set_zorder(3)
        start = end
    edge = Circle(
        centre, radius, facecolor='none', edgecolor='#404040', lw=0.8
    )
    edge.set_gid(f'block:{block}')
    axes.add_patch(edge).set_zorder(4)


def _add_legend(figure: Figure, networks: Sequence[Network]) -> None:
    kinds = by_kind({unit: 0 for n in networks for unit in n.supernet})
    entries = [(colour_of(kind), label_of(kind)) for kind in kinds]
    entries += [(REMOVED, 'removed'), (EMPTY, 'empty block')]
    figure.legend(
        handles=[
            Patch(facecolor=colour, edgecolor='#404040', label=label, lw=0.5)
            for colour, label in entries
        ],
        loc='outside lower left',
        ncols=len(entries),
        frameon=False,
        fontsize=8,
        handlelength=1.2,
        columnspacing=1.2,
    )
