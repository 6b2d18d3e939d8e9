"""Curves of a search, and its trade-off beside others'."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from ..search.budget import short
from ..search.cost import RESOURCES
from .style import BLUE, ORANGE, by_kind, colour_of, label_of

Record = Mapping[str, Any]
# What people compare, where a framework reports something else first.
COMPARED = ('mIoU', 'Overall_3D_AP40_moderate')
MARKERS = 'osD^vPX*'
RUNS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#E69F00', '#56B4E9')


def main_metric(records: Sequence[Record], metric: str | None = None) -> str:
    """The metric to plot: the one that is asked for, or the usual one.

    Raises:
        ValueError: If there is none of that name; says which there are.
    """
    found: dict[str, None] = {}
    for record in records:
        for evaluation in record['evaluations']:
            found.update(
                (name, None)
                for name, value in evaluation['metrics'].items()
                if isinstance(value, (int, float))
            )
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
    """A metric without the groups that frameworks put before it."""
    return metric.rsplit('/', 1)[-1]


def plot_search(record: Record, metric: str | None = None) -> Figure:
    """Plot cost, metric, alive elements and rho over iterations.

    Args:
        record: Of the search.
        metric: See :func:`main_metric`.

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
    """What draws each curve of a search into axes of its own.

    Args:
        record: Of the search.
        metric: See :func:`main_metric`.

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

    def panel(plot: Callable[..., None], axes: Axes) -> None:
        plot(axes, record)
        axes.set_xlabel('iteration')
        axes.set_xlim(0, record['max_iters'] * 1.02)
        axes.grid(alpha=0.25)
        axes.spines[['top', 'right']].set_visible(False)

    return [partial(panel, plot) for plot in plots]


def _steps(
    record: Record, values: Sequence[float]
) -> tuple[list[int], list[float]]:
    """What holds from one shrink to the next, until the end of the run."""
    steps = [entry['iter'] for entry in record['history']]
    return [*steps, record['max_iters']], [*values, values[-1]]


def _plot_cost(axes: Axes, record: Record) -> None:
    for key, name, style in (
        ('macs', 'multiply-adds', '-'),
        ('params', 'parameters', '--'),
    ):
        values = [entry[key] for entry in record['history']]
        shares = [100 * value / record[key] for value in values]
        label = f'{name}: {short(record[key])} → {short(values[-1])}'
        axes.step(
            *_steps(record, shares), style, where='post', color=BLUE,
            label=label,
        )  # fmt: skip
    if record['target']:
        amount, key = (record['target'][k] for k in ('amount', 'resource'))
        axes.axhline(
            100 * amount / record[key],
            color=ORANGE,
            lw=1,
            ls=':',
            label=f'target: {short(amount)}',
        )
    axes.set_ylim(0, 105)
    axes.set_ylabel('% of the supernet')
    axes.legend(fontsize=8, frameon=False)


def _plot_metric(axes: Axes, record: Record, metric: str) -> None:
    points = [
        (evaluation['iter'], evaluation['metrics'][metric])
        for evaluation in record['evaluations']
        if metric in evaluation['metrics']
    ]
    axes.set_ylabel(short_name(metric) or 'no evaluation')
    if not points:
        return
    axes.plot(*zip(*points), 'o--', color=ORANGE)
    axes.margins(y=0.25)
    for step, value in points:
        _annotate(axes, f'{value:.3g}', (step, value), (0, 7), ha='center')


def _annotate(
    axes: Axes,
    text: str,
    point: tuple[float, float],
    offset: tuple[float, float],
    **style: Any,
) -> None:
    axes.annotate(
        text,
        point,
        xytext=offset,
        textcoords='offset points',
        fontsize=8,
        **style,
    )


def _plot_alive(axes: Axes, record: Record) -> None:
    whole = by_kind(record['supernet'])
    for kind, count in whole.items():
        shares = [
            100 * entry.get(kind, 0) / count for entry in record['history']
        ]
        axes.step(
            *_steps(record, shares),
            where='post',
            color=colour_of(kind),
            label=f'{label_of(kind)}: {record["history"][-1].get(kind, 0)}',
        )
    axes.set_ylim(0, 105)
    axes.set_ylabel('% alive')
    axes.legend(fontsize=8, frameon=False)


def _plot_rho(axes: Axes, record: Record) -> None:
    values = [entry['rho'] for entry in record['history']]
    steps = [entry['iter'] for entry in record['history']]
    end = max(record['end'], steps[-1])  # of the penalty
    axes.step(
        [*steps, end], [*values, values[-1]], where='post', color='#404040'
    )
    if min(values) > 0:
        axes.set_yscale('log')
    axes.set_ylabel('rho')
    axes.axvspan(record['begin'], record['end'], color=BLUE, alpha=0.06, lw=0)
    axes.annotate(
        'shrinking',
        ((record['begin'] + record['end']) / 2, 0.02),
        xycoords=('data', 'axes fraction'),
        ha='center',
        fontsize=8,
        color=BLUE,
    )


def plot_pareto(
    records: Mapping[str, Record],
    metric: str | None = None,
    resource: str = 'macs',
) -> Figure:
    """Plot a metric against the cost: a line per run, a point per network.

    Args:
        records: Of searches, by the name of the run.
        metric: See :func:`main_metric`.
        resource: 'macs' or 'params'.

    Raises:
        ValueError: If there is no such metric, or no network that has it.
    """
    metric = main_metric(list(records.values()), metric)
    found = {
        name: pareto_points(record, metric, resource)
        for name, record in records.items()
    }
    if not any(found.values()):
        raise ValueError(
            f'none of {", ".join(records)} has evaluated the network that it '
            'ended with'
        )
    figure = Figure(figsize=(6.5, 4.5), layout='constrained')
    axes = figure.subplots()
    for i, (name, points) in enumerate(found.items()):
        axes.plot(
            [x for x, _, _ in points],
            [y for _, y, _ in points],
            marker=MARKERS[i % len(MARKERS)],
            color=RUNS[i % len(RUNS)],
            label=name,
        )
        for x, y, label in points:
            _annotate(axes, label, (x, y), (5, -9))
    axes.set_xscale('log')
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(lambda x, _: short(x))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set(xlabel=RESOURCES[resource], ylabel=short_name(metric))
    axes.margins(0.12)
    axes.grid(alpha=0.25)
    axes.spines[['top', 'right']].set_visible(False)
    axes.legend(fontsize=8, frameon=False)
    return figure


def pareto_points(
    record: Record, metric: str, resource: str
) -> list[tuple[float, float, str]]:
    """Cost, metric and name of a run's networks, the cheapest first."""
    networks = list(record['rungs'])
    last = record['history'][-1]
    for evaluation in record['evaluations'][-1:]:
        if evaluation['macs'] == last['macs']:
            name = short(last[resource])
            networks.append({**last, **evaluation, 'name': name})
    return sorted(
        (network[resource], network['metrics'][metric], network['name'])
        for network in networks
        if metric in network['metrics']
    )
