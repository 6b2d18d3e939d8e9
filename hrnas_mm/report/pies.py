"""Fig. 4 of the paper: every searching block as a pie of its elements."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from matplotlib.animation import FuncAnimation, PillowWriter
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Patch, Wedge

from ..search.description import DescribedUnit
from .amounts import in_words
from .layout import LARGE, Layout, Place, lay_out
from .record import Milestone, Record, Shrink, architecture_in, by_kind
from .style import (
    EMPTY,
    LINE,
    REMOVED,
    colour_of,
    drawn,
    label_of,
)

SCALE = 0.62  # inches between two branches
MIN_ANGLE = 15.0  # of a sector, in degrees
MAX_FRAMES = 60
TITLE, LEGEND = 0.8, 0.6  # room above a network, and below the last one


class Network(NamedTuple):
    """An architecture, and the text above its drawing.

    Attributes:
        name: Name of the run or file.
        supernet: Units of the supernet, by name.
        units: {unit name: elements} after the search.
        costs: Amounts by the names of costs, as far as they are known.
    """

    name: str
    supernet: Mapping[str, DescribedUnit]
    units: Mapping[str, int]
    costs: Mapping[str, float]

    @property
    def title(self) -> str:
        """Return the name and, below it, the costs."""
        return '\n'.join(filter(None, [self.name, in_words(self.costs)]))

    @property
    def parts(self) -> dict[str, list[str]]:
        """Return the units of every part that has some.

        Where a part has several units of a kind, such as a whole backbone,
        these are the units of each module in it that has layers of them.
        """
        kinds = Counter((u.part, u.kind) for u in self.supernet.values())
        large = {part for (part, _), count in kinds.items() if count > 1}
        parts: dict[str, list[str]] = {}
        for name, unit in self.supernet.items():
            inner = name.rpartition('.')[0]
            part = inner if unit.part in large else unit.part
            parts.setdefault(part, []).append(name)
        return parts


def draw_architectures(networks: Sequence[Network]) -> Figure:
    """Draw networks one below the other.

    Source: HR-NAS, Fig. 4. Differs in: the blocks of the fusion modules are
    drawn too, smaller, between the branches that they join.
    """
    layouts = [lay_out(network.parts) for network in networks]
    # A page finds a block by its name, which has to be unique in it.
    named = len(networks) == 1
    sizes = [_size(layout) for layout in layouts]
    width = max(width for width, _ in sizes)
    heights = [height + TITLE for _, height in sizes]
    figure = Figure(
        figsize=(SCALE * width, SCALE * (sum(heights) + LEGEND)),
        layout='constrained',
    )
    rows = figure.subplots(len(networks), squeeze=False, height_ratios=heights)
    for (axes,), network, layout in zip(rows, networks, layouts):
        _draw(axes, network, layout, named)
    _add_legend(figure, networks)
    return figure


def animate_search(record: Record, name: str, out: str) -> None:
    """Write the shrinking of a network as an animated GIF.

    Args:
        record: Record of the search.
        name: Name of the run.
        out: GIF file to write.
    """
    last = len(record.history) - 1
    step = last // MAX_FRAMES + 1
    networks = [
        network_at(record, i, name) for i in [*range(0, last, step), last]
    ]
    figure = draw_architectures(networks[:1])
    (axes,) = figure.axes
    layout = lay_out(networks[0].parts)

    def draw(frame: int) -> list:
        axes.clear()
        _draw(axes, networks[min(frame, len(networks) - 1)], layout)
        return []

    # The last network stays for six more frames.
    animation = FuncAnimation(figure, draw, frames=len(networks) + 6)
    animation.save(out, PillowWriter(fps=3), dpi=80)


def network_at(record: Record, index: int, name: str) -> Network:
    """Return the network after one shrink of a search; -1 for the last."""
    return network_of(record, record.history[index], name)


def network_of(
    record: Record, found: Shrink | Milestone, name: str
) -> Network:
    """Return the network of a shrink or a milestone in a record."""
    return Network(
        f'{name}, iteration {found.iter}',
        record.supernet,
        architecture_in(record, found),
        found.costs,
    )


def block_text(network: Network, block: str) -> str:
    """Return one line about what is left of a block."""
    texts = []
    for name in network.parts[block]:
        unit = network.supernet[name]
        left = network.units.get(name, 0)
        texts.append(f'{label_of(unit.kind)} {left} of {unit.elements}')
    return f'{block or "block"}: {", ".join(texts)}'


def _size(layout: Layout) -> tuple[float, float]:
    places = layout.places.values()
    width = max(place.x for place in places) + 2 * LARGE + 0.4
    return max(width, 9.0), max(place.y for place in places) + 1.0


def _draw(
    axes: Axes, network: Network, layout: Layout, named: bool = False
) -> None:
    for (x0, y0), (x1, y1) in layout.lines:
        axes.plot([x0, x1], [y0, y1], color=LINE, lw=1, zorder=1)
    for block, place in layout.places.items():
        edge = _draw_pie(axes, network, block, place)
        if named:
            edge.set_gid(f'block:{block}')
    width, height = _size(layout)
    axes.set(
        xlim=(-LARGE - 0.1, width - LARGE - 0.3),
        ylim=(height - 0.55, -0.55),
        aspect='equal',
    )
    axes.set_title(drawn(network.title), fontsize=10, loc='left')
    axes.axis('off')


def _draw_pie(
    axes: Axes, network: Network, block: str, place: Place
) -> Circle:
    """Draw a sector per kind of unit, clockwise from the top; return the edge.

    A sector has at least MIN_ANGLE degrees, so that a single element among
    hundreds can be seen.
    """
    centre, radius = (place.x, place.y), place.radius
    units = {name: network.supernet[name] for name in network.parts[block]}
    total = sum(unit.elements for unit in units.values())
    alive = by_kind(units, network.units)
    back = REMOVED if any(alive.values()) else EMPTY
    axes.add_patch(Circle(centre, radius, facecolor=back, zorder=2))
    # The y axis points down: angles grow clockwise.
    start = -90.0
    for kind, count in alive.items():
        angle = 360 * count / total
        end = start + (max(angle, MIN_ANGLE) if count else 0.0)
        if count:
            colour = colour_of(kind)
            wedge = Wedge(centre, radius, start, end, facecolor=colour)
            axes.add_patch(wedge).set_zorder(3)
        start = end
    edge = Circle(
        centre, radius, facecolor='none', edgecolor='#404040', lw=0.8
    )
    axes.add_patch(edge).set_zorder(4)
    return edge


def _add_legend(figure: Figure, networks: Sequence[Network]) -> None:
    units = {u: unit for n in networks for u, unit in n.supernet.items()}
    kinds = by_kind(units, {})
    entries = [(colour_of(kind), drawn(label_of(kind))) for kind in kinds]
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
