"""Metric against time, for several networks with several seeds."""

import statistics
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from .curves import annotate
from .pareto import MARKERS, RUNS, log_axis
from .style import drawn


def plot_comparison(
    points: Mapping[str, Sequence[tuple[float, float]]],
    xlabel: str,
    ylabel: str,
) -> Figure:
    """Plot a metric against a cost: the mean and the spread of each network.

    Args:
        points: (cost, metric) of the runs of each network, by its name.
        xlabel, ylabel: What is plotted.
    """
    figure = Figure(figsize=(7, 4.5), layout='constrained')
    axes = figure.subplots()
    for i, (name, runs) in enumerate(points.items()):
        xs, ys = zip(*runs)
        center = statistics.mean(xs), statistics.mean(ys)
        several = len(runs) > 1
        axes.errorbar(
            *center,
            xerr=statistics.stdev(xs) if several else None,
            yerr=statistics.stdev(ys) if several else None,
            marker=MARKERS[i % len(MARKERS)],
            color=RUNS[i % len(RUNS)],
            label=drawn(name),
            capsize=3,
            ls='',
        )
        annotate(axes, f'{center[1]:.1f}', center, (6, 5))
    log_axis(axes, lambda x: f'{x:g}')
    axes.set(xlabel=drawn(xlabel), ylabel=drawn(ylabel))
    figure.legend(fontsize=8, frameon=False, loc='outside lower center')
    return figure
