"""From the sum of the parts to whole networks: a line and its errors."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..search import Budget, CostModel, random_architecture
from ..search.architecture import Architecture
from ..search.budget import smallest
from ..search.latency import Latency
from ..search.latency_table import Calibration, LatencyTable

MEDIAN, WORST, TAU = 0.05, 0.12, 0.9


def unknown(cost_model: CostModel) -> Calibration:
    """Return the calibration of a table that has none yet."""
    factors = dict.fromkeys(classes_of(cost_model), 1.0)
    return Calibration(0.0, factors, math.inf, math.inf, 0.0)


def random_networks(
    cost_model: CostModel, count: int, seed: int = 0
) -> list[Architecture]:
    """Return random networks of all sizes, as many small as large ones.

    Every third one is without the units of one class, such as Transformers,
    as searches often end with few of them.
    """
    low = cost_model.total(smallest(cost_model))
    high = cost_model.total(cost_model.supernet)
    class_of, classes = _class_of_units(cost_model), classes_of(cost_model)
    found = []
    for i in range(count):
        amount = low * (high / low) ** ((i + 1) / (count + 1))
        budget = Budget(amount, cost_model)
        network = random_architecture(budget, seed + i)
        left_out = classes[i // 3 % len(classes)]
        if i % 3 == 2 and len(classes) > 1:
            network = {
                unit: 0 if class_of[unit] == left_out else n
                for unit, n in network.items()
            }
        if any(network.values()):
            found.append(network)
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

    Args:
        table: Table whose calibration is :func:`unknown`.
        cost_model: Cost model of the supernet, for any cost.
        networks: Networks of the supernet.
        measured: Milliseconds of each.
    """
    import numpy as np  # only here
    from scipy.optimize import least_squares

    kinds = classes_of(cost_model)
    alone = cost_model.counting(Latency(table))
    sums = np.array(
        [
            [_only(kind, alone, network) for kind in kinds]
            for network in networks
        ]
    )
    times = np.array(measured)
    line = least_squares(
        lambda line: (line[0] + sums @ line[1:]) / times - 1,
        [times.min() / 2, *np.ones(len(kinds))],
        bounds=(0, np.inf),
        loss='soft_l1',
        f_scale=0.05,
    ).x
    offset, *factors = (round(float(value), 6) for value in line)
    found = quality(offset + sums @ factors, times)
    factors_of = dict(zip(kinds, factors))
    return replace(
        table, calibration=replace(found, offset=offset, factors=factors_of)
    )


def classes_of(cost_model: CostModel) -> list[str]:
    """Return the names of the classes that declare units."""
    return sorted(set(_class_of_units(cost_model).values()))


def _class_of_units(cost_model: CostModel) -> dict[str, str]:
    return {
        unit: type(part.searchables[facts.searchable]).__name__
        for part in cost_model.parts.values()
        for unit, facts in part.units.items()
    }


def _only(kind: str, alone: CostModel, network: Architecture) -> float:
    """Return what the units of one class take, each alone."""
    class_of = _class_of_units(alone)
    units = {u: n for u, n in network.items() if class_of[u] == kind}
    return alone.total(units) - alone.total({})


def quality(predicted: Any, measured: Any) -> Calibration:
    """Return how well predictions fit; they are not changed."""
    from scipy.stats import kendalltau

    errors = [abs(p / m - 1) for p, m in zip(predicted, measured)]
    return Calibration(
        offset=0.0,
        factors={},
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
