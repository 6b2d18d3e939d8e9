"""Curves of a search over its iterations."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .amounts import amount_of, noun_of
from .record import Record, architecture_in, by_kind
from .style import BLUE, ORANGE, colour_of, drawn, label_of

# The metrics usually compared, of frameworks that report others first.
COMPARED = ('mIoU', 'Overall_3D_AP40_moderate')
MAX_DRAWABLE = 1e100  # larger values overflow an axis
LINES = ('-', '--', '-.', ':')  # styles of the costs' lines


def main_metric(records: Sequence[Record], metric: str | None = None) -> str:
    """Return the metric to plot: the given one, or by default the usual one.

    Raises:
        ValueError: If no metric has that name; the message lists them.
    """
    found: dict[str, None] = {}
    for record in records:
        for evaluation in record.evaluations:
            found.update(dict.fromkeys(evaluation.metrics))
    if metric is None:
        compared = (name for name in found if name.endswith(COMPARED))
        return next(compared, next(iter(found), ''))
    if metric not in found:
        raise ValueError(
            f'--metric must be one of {", ".join(found) or "none"}, got '
            f'{metric!r}'
        )
    return metric


def short_name(metric: str) -> str:
    """Return a metric's name without the groups that frameworks prepend."""
    return metric.rsplit('/', 1)[-1]


def plot_search(record: Record, metric: str | None = None) -> Figure:
    """Plot cost, metric, alive elements and rho over iterations.

    Args:
        record: Record of the search.
        metric: Name of the metric; None for the usual one.

    Raises:
        ValueError: If there is no such metric.
    """
    figure = Figure(figsize=(9, 5), layout='constrained')
    for axes, plot in zip(
        figure.subplots(2, 2).flat, search_panels(record, metric)
    ):
        plot(axes)
    return figure


def search_panels(
    record: Record, metric: str | None = None
) -> list[Callable[[Axes], None]]:
    """Return functions that each draw one plot of a search into given axes.

    Args:
        record: Record of the search.
        metric: Name of the metric; None for the usual one.

    Raises:
        ValueError: If there is no such metric.
    """
    metric = main_metric([record], metric)
    plots = (
        _plot_cost,
        partial(_plot_metric, metric=metric),
        _plot_alive,
        _plot_rho,
    )

    return [partial(_panel, plot, record) for plot in plots]


def run_panels(record: Record) -> list[Callable[[Axes], None]]:
    """Return functions that each draw a curve of a run.

    The curves are the loss, the penalty and the time of an iteration.

    Those that the record does not have are left out.
    """
    curves = record.curves
    labels = dict(
        loss='loss, without the penalty',
        penalty='penalty, a part of the loss',
        seconds='ms per iteration',
    )
    if 'penalty' not in curves:  # of schema 3
        labels['loss'] = 'loss, with the penalty'

    def plot(axes: Axes, record: Record, name: str) -> None:
        scale = 1000 if name == 'seconds' else 1
        values = [scale * value for value in curves[name]]
        axes.plot(curves['iter'], values, color=BLUE, lw=1.2)
        axes.set_ylabel(labels[name])
        if min(values) >= 0:  # a likelihood may be negative
            axes.set_ylim(bottom=0)

    return [
        partial(_panel, partial(plot, name=name), record)
        for name in labels
        if name in curves and all(map(is_drawable, curves[name]))
    ]


def _panel(plot: Callable[..., None], record: Record, axes: Axes) -> None:
    """Draw a plot over the iterations of a run."""
    plot(axes, record)
    axes.set_xlabel('iteration')
    axes.set_xlim(0, record.max_iters * 1.02)
    axes.grid(alpha=0.25)
    axes.spines[['top', 'right']].set_visible(False)


def _steps(
    record: Record, values: Sequence[float]
) -> tuple[list[int], list[float]]:
    """Return x and y of steps from shrink to shrink, as far as the run is."""
    steps = [network.iter for network in record.history]
    return [*steps, record.iter], [*values, values[-1]]


def _plot_cost(axes: Axes, record: Record) -> None:
    for (name, whole), style in zip(record.costs.items(), LINES):
        values = [network.costs[name] for network in record.history]
        shares = [100 * value / whole for value in values]
        axes.step(
            *_steps(record, shares),
            style,
            where='post',
            color=BLUE,
            label=f'{drawn(noun_of(name))}: '
            f'{amount_of(name, whole)} → {amount_of(name, values[-1])}',
        )
    if record.target:
        cost, amount = record.target.cost, record.target.amount
        axes.axhline(
            100 * amount / record.costs[cost],
            color=ORANGE,
            lw=1,
            ls=':',
            label=f'target: {amount_of(cost, amount)}',
        )
    axes.set_ylim(0, 105)
    axes.set_ylabel('% of the supernet')
    axes.legend(fontsize=8, frameon=False)


def _plot_metric(axes: Axes, record: Record, metric: str) -> None:
    points = [
        (evaluation.iter, evaluation.metrics[metric])
        for evaluation in record.evaluations
        if is_drawable(evaluation.metrics.get(metric))
    ]
    axes.set_ylabel(drawn(short_name(metric)) or 'no evaluation')
    if not points:
        return
    axes.plot(*zip(*points), 'o--', color=ORANGE)
    axes.margins(y=0.25)
    for step, value in points:
        annotate(axes, f'{value:.3g}', (step, value), (0, 7), ha='center')


def is_drawable(value: Any) -> bool:
    """Return whether a value is a number that fits on an axis."""
    return isinstance(value, (int, float)) and abs(value) < MAX_DRAWABLE


def annotate(
    axes: Axes,
    text: str,
    point: tuple[float, float],
    offset: tuple[float, float],
    **style: Any,
) -> None:
    """Write small text beside a point, at an offset in typographic points."""
    axes.annotate(
        drawn(text),
        point,
        xytext=offset,
        textcoords='offset points',
        fontsize=8,
        **style,
    )


def _plot_alive(axes: Axes, record: Record) -> None:
    supernet = record.supernet
    alive = [
        by_kind(supernet, architecture_in(record, network))
        for network in record.history
    ]
    elements = {name: unit.elements for name, unit in supernet.items()}
    for kind, whole in by_kind(supernet, elements).items():
        axes.step(
            *_steps(record, [100 * counts[kind] / whole for counts in alive]),
            where='post',
            color=colour_of(kind),
            label=f'{drawn(label_of(kind))}: {alive[-1][kind]}',
        )
    axes.set_ylim(0, 105)
    axes.set_ylabel('% alive')
    axes.legend(fontsize=8, frameon=False)


def _plot_rho(axes: Axes, record: Record) -> None:
    values = [network.rho for network in record.history]
    steps = [network.iter for network in record.history]
    end = max(min(record.end, record.iter), steps[-1])  # of the penalty
    axes.step(
        [*steps, end], [*values, values[-1]], where='post', color='#404040'
    )
    if min(values) > 0:
        axes.set_yscale('log')
    axes.set_ylabel('rho')
    axes.axvspan(record.begin, record.end, color=BLUE, alpha=0.06, lw=0)
    axes.annotate(
        'shrinking',
        ((record.begin + record.end) / 2, 0.02),
        xycoords=('data', 'axes fraction'),
        ha='center',
        fontsize=8,
        color=BLUE,
    )
