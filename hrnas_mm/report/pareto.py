"""Metric against cost, for several searches and their milestones."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from ..search.budget import LATENCY
from .amounts import amount_of, noun_of
from .curves import (
    annotate,
    is_drawable,
    main_metric,
    short_name,
)
from .record import Record, last_network
from .style import drawn

MARKERS = 'osD^vPX*'
# Of networks: cost, metric, name, and what was measured if it can be.
Points = list[tuple[float, float, str, float | None]]
RUNS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#E69F00', '#56B4E9')


def plot_pareto(
    records: Mapping[str, Record],
    metric: str | None = None,
    cost: str | None = None,
) -> Figure:
    """Plot a metric against the cost: a line per run, a point per network.

    Milliseconds are those that the search predicted; a hollow marker shows
    what was measured.

    Args:
        records: Records of searches, by the name of the run.
        metric: Name of the metric; None for the usual one.
        cost: Name of the cost; None for the target's cost in the first run.

    Raises:
        ValueError: If there is no such metric or cost, or no network that has
            it.
    """
    metric = main_metric(list(records.values()), metric)
    known = next(iter(records.values())).costs
    cost = next(iter(known)) if cost is None else cost
    for name, record in records.items():
        if cost not in record.costs:
            raise ValueError(
                f'--cost must be one of {", ".join(record.costs)} for '
                f'{name}, got {cost!r}'
            )
    found = {
        name: pareto_points(record, metric, cost)
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
        style: dict[str, Any] = dict(
            marker=MARKERS[i % len(MARKERS)], color=RUNS[i % len(RUNS)]
        )
        _plot_run(axes, drawn(name), points, style)
    log_axis(axes, lambda x: amount_of(cost, x))
    axes.set(xlabel=drawn(noun_of(cost)), ylabel=drawn(short_name(metric)))
    axes.legend(fontsize=8, frameon=False)
    return figure


def _plot_run(
    axes: Axes, label: str, points: Points, style: Mapping[str, Any]
) -> None:
    xs, ys = [x for x, *_ in points], [y for _, y, *_ in points]
    axes.plot(xs, ys, label=label, **style)
    for x, y, text, measured in points:
        annotate(axes, text, (x, y), (5, -9))
        if measured is not None:
            hollow = {**style, 'markevery': [1], 'markerfacecolor': 'white'}
            axes.plot([x, measured], [y, y], ls=':', **hollow)


def log_axis(axes: Axes, form: Callable[[float], str]) -> None:
    """Let costs be on a logarithmic axis, in a form of their own."""
    axes.set_xscale('log')
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(lambda x, _: form(x))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.margins(0.12)
    axes.grid(alpha=0.25)
    axes.spines[['top', 'right']].set_visible(False)


def pareto_points(record: Record, metric: str, cost: str) -> Points:
    """Return the networks of a run, cheapest first.

    Each is cost, metric, name, and what was measured if it can be.
    """
    last = last_network(record)
    # It may have been evaluated last a few iterations before the end.
    metrics = (
        evaluation.metrics
        for evaluation in record.evaluations[-1:]
        if evaluation.costs.items() <= last.costs.items()
    )
    name = amount_of(cost, last.costs[cost])
    last = replace(last, name=name, metrics=next(metrics, {}))
    return sorted(
        (
            network.costs[cost],
            network.metrics[metric],
            network.name,
            network.latency.measured
            if network.latency and cost == LATENCY
            else None,
        )
        for network in (*record.milestones, last)
        if is_drawable(network.metrics.get(metric)) and cost in network.costs
    )
