"""From the sum of the parts to whole networks: a line and its errors."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..search import Budget, CostModel, random_architecture
from ..search.architecture import Architecture
from ..search.budget import smallest
from ..search.latency import Calibration, Latency, LatencyTable

MEDIAN, WORST, TAU = 0.05, 0.12, 0.9
UNKNOWN = Calibration(0.0, 1.0, 0.0, math.inf, math.inf, 0.0)


def random_networks(
    cost_model: CostModel, count: int, seed: int = 0
) -> list[Architecture]:
    """Return random networks of all sizes, as many small as large ones."""
    low = cost_model.total(smallest(cost_model))
    high = cost_model.total(cost_model.supernet)
    found = []
    for i in range(count):
        amount = low * (high / low) ** ((i + 1) / (count + 1))
        budget = Budget(amount, cost_model)
        found.append(random_architecture(budget, seed + i))
    return found


def calibrated(
    table: LatencyTable,
    cost_model: CostModel,
    networks: Sequence[Architecture],
    measured: Sequence[float],
) -> LatencyTable:
    """Return the table with the calibration that fits the networks best.

    Relative errors are minimised, robustly: a few disturbed times change
    little.
    """
    import numpy as np  # only here
    from scipy.optimize import least_squares

    alone = cost_model.counting(Latency(table))
    parts = np.array(
        [[alone.part(name, n) for name in cost_model.parts] for n in networks]
    )
    times = np.array(measured)

    def predicted(line: Sequence[float]) -> np.ndarray:
        offset, factor, passes = line
        return offset + np.maximum(factor * parts - passes, 0).sum(1)

    line = least_squares(
        lambda line: predicted(line) / times - 1,
        [times.min(), 1.0, 0.01],
        bounds=([0, 1e-3, 0], np.inf),
        loss='soft_l1',
        f_scale=0.05,
    ).x
    offset, factor, passes = (round(float(value), 6) for value in line)
    found = quality(predicted((offset, factor, passes)), times)
    return replace(
        table,
        calibration=replace(
            found, offset=offset, factor=factor, passes=passes
        ),
    )


def quality(predicted: Any, measured: Any) -> Calibration:
    """Return how well predictions fit; they are not changed."""
    from scipy.stats import kendalltau

    errors = [abs(p / m - 1) for p, m in zip(predicted, measured)]
    return Calibration(
        offset=0.0,
        factor=1.0,
        passes=0.0,
        median_error=round(statistics.median(errors), 4),
        worst_error=round(max(errors), 4),
        kendall_tau=round(float(kendalltau(predicted, measured)[0]), 4),
    )


def adds_up(calibration: Calibration) -> bool:
    """Return whether the sum over the parts predicts whole networks well."""
    return (
        calibration.median_error <= MEDIAN
        and calibration.worst_error <= WORST
        and calibration.kendall_tau >= TAU
    )
