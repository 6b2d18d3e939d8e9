"""Metric against time, for several networks with several seeds."""

import math
import statistics
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from hrnas_mm.report.curves import annotate
from hrnas_mm.report.pareto import MARKERS, RUNS, log_axis
from hrnas_mm.report.style import drawn


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
        (x, xerr), (y, yerr) = map(mean_and_deviation, (xs, ys))
        axes.errorbar(
            x,
            y,
            xerr=xerr,
            yerr=yerr,
            marker=MARKERS[i % len(MARKERS)],
            color=RUNS[i % len(RUNS)],
            label=drawn(name),
            capsize=3,
            ls='',
        )
        if math.isfinite(y):
            annotate(axes, f'{y:.3g}', (x, y), (6, 5))
    log_axis(axes, lambda x: f'{x:g}')
    axes.set(xlabel=drawn(xlabel), ylabel=drawn(ylabel))
    figure.legend(fontsize=8, frameon=False, loc='outside lower center')
    return figure


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float | None]:
    """Return the mean, and the standard deviation if there are several.

    Both are NaN if one of the values is not finite.
    """
    if not all(map(math.isfinite, values)):
        return math.nan, math.nan if len(values) > 1 else None
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return statistics.mean(values), deviation
