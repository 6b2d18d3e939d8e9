"""Fit the sum of the parts to the times of whole networks."""

import math
import random
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..search import Budget, CostModel, random_architecture
from ..search.architecture import Architecture
from .cost import Latency
from .layers import is_stock, layers_in
from .table import Calibration, LatencyTable, Prediction

MAX_MEDIAN_ERROR, MAX_WORST_ERROR, MIN_TAU = 0.05, 0.12, 0.9

# A part takes what it takes alone unless the networks say otherwise: a class
# that is in few of them, or in none, must not become free, nor one that only
# shrinks together with another. What they say counts less if their times
# scatter: factors, and the exponent, are thought to be within FACTOR_SPREAD
# of 1.
FACTOR_SPREAD, LEAST_WEIGHT = 0.3, 0.01
MAX_FACTOR, MAX_EXPONENT = 10, 1.25
DEVIATIONS_OF_MEDIAN = 1.4826  # of a normal distribution


def unknown(cost_model: CostModel) -> Calibration:
    """Return the calibration of a table that has none yet."""
    factors = dict.fromkeys(classes_of(cost_model), 1.0)
    return Calibration(0.0, factors, 1.0, (), math.inf, math.inf, 0.0)


def random_networks(
    cost_model: CostModel, count: int, seed: int = 0
) -> dict[str, Architecture]:
    """Return random networks of all sizes, as many small as large ones.

    Every third one is without the units of one class, such as Transformers,
    as searches often end with few of them; the class that costs most stays.
    Of a stock network, a third of the units in a row then has one element
    each. If blocks of it may go, some are empty in another third.
    """
    low = cost_model.total(cost_model.cost.cut.smallest(cost_model))
    high = cost_model.total(cost_model.supernet)
    class_of, least = _class_of_own_units(cost_model), _least(cost_model)
    others = sorted(
        {*class_of.values()},
        key=lambda kind: (-_costs(kind, cost_model, class_of), kind),
    )[1:]
    stock = [unit for unit in cost_model.supernet if unit not in class_of]
    found = {}
    for i in range(count):
        amount = low * (high / low) ** ((i + 1) / (count + 1))
        name = f'random {seed + i} of {count}'
        network = random_architecture(Budget(amount, cost_model), seed + i)
        draw = random.Random(seed + i)
        if i % 3 == 2 and others:
            left_out = others[i // 3 % len(others)]
            name += f', no {left_out}'
            network |= {
                unit: least[unit]
                for unit, kind in class_of.items()
                if kind == left_out
            }
        if i % 3 == 2 and stock:
            name += ', a third narrow'
            first = draw.randrange(len(stock))
            row = (stock * 2)[first : first + math.ceil(len(stock) / 3)]
            network |= dict.fromkeys(row, 1)
        if i % 3 == 1 and cost_model.chains:
            name += ', some blocks empty'
            chains = draw.choices(
                cost_model.chains, k=math.ceil(len(cost_model.chains) / 3)
            )
            network |= {unit: 0 for chain in chains for unit in chain}
        if any(network.values()):
            found[name] = network
    return found


def _class_of_own_units(cost_model: CostModel) -> dict[str, str]:
    """Return the class that declares each unit that is of no stock module."""
    return {
        unit: type(part.searchables[facts.searchable]).__name__
        for part in cost_model.parts.values()
        for unit, facts in part.units.items()
        if not is_stock(part, unit)
    }


def _costs(
    kind: str, cost_model: CostModel, class_of: Mapping[str, str]
) -> float:
    """Return what the units of one class cost in the supernet."""
    units = {
        unit: n
        for unit, n in cost_model.supernet.items()
        if class_of.get(unit) == kind
    }
    return cost_model.total(units) - cost_model.total({})


def nearly_empty(cost_model: CostModel) -> dict[str, int]:
    """Return the network of one element, the cheapest one.

    Its time is that of what no part owns. Where some elements always stay,
    it is the network of these.
    """
    gone = _least(cost_model)
    if any(gone.values()):
        return gone
    cheapest = min(
        gone,
        key=lambda unit: cost_model.saving(
            {**gone, **cost_model.one_of(unit)}, unit
        ),
    )
    return {**gone, **cost_model.one_of(cheapest)}


def _least(cost_model: CostModel) -> dict[str, int]:
    """Return the numbers of elements that always stay, for any cost."""
    return {
        unit: facts.least
        for part in cost_model.parts.values()
        for unit, facts in part.units.items()
    }


def calibrated(
    table: LatencyTable,
    cost_model: CostModel,
    networks: Mapping[str, Architecture],
    measured: Sequence[float],
) -> LatencyTable:
    """Return the table with the calibration that fits the networks best.

    Relative errors are minimised, robustly: a few disturbed times change
    little.

    Args:
        table: Table whose calibration is :func:`unknown`.
        cost_model: Cost model of the supernet, for any cost.
        networks: Networks of the supernet, by name.
        measured: Milliseconds of each.
    """
    latency = Latency(table)
    kinds = sorted(table.calibration.factors)
    alone = [sums_alone(latency, cost_model, n) for n in networks.values()]
    sums = [[each[kind] for kind in kinds] for each in alone]
    (offset, exponent, *factors), predicted = _fitted(sums, measured)
    calibration = replace(
        quality(networks, predicted, measured),
        offset=offset,
        exponent=exponent,
        factors=dict(zip(kinds, factors)),
    )
    return replace(table, calibration=calibration)


def _fitted(
    sums: Sequence[Sequence[float]], measured: Sequence[float]
) -> tuple[list[float], list[float]]:
    """Fit the milliseconds of networks.

    First freely, which shows how they scatter; then with factors and the
    exponent pulled towards 1 by as much.

    Args:
        sums: For each network, what each class takes in it, alone.
        measured: Milliseconds of each.

    Returns:
        Offset, exponent and factor of each class, and what they predict.
    """
    import numpy as np  # only here
    from scipy.optimize import least_squares

    inputs, times = np.array(sums), np.array(measured)
    ones = np.ones(1 + inputs.shape[1])

    def predicted(params: Any) -> Any:
        offset, exponent, *factors = params
        return offset + (inputs @ factors) ** exponent

    def fitted(weight: float) -> Any:
        return least_squares(
            lambda params: np.append(
                predicted(params) / times - 1, weight * (params[1:] - 1)
            ),
            [times.min() / 2, *ones],
            bounds=(
                [0, 1 / MAX_EXPONENT, *ones[1:] / MAX_FACTOR],
                [np.inf, MAX_EXPONENT, *ones[1:] * MAX_FACTOR],
            ),
            loss='soft_l1',
            f_scale=0.05,
        ).x.round(6)

    free = fitted(LEAST_WEIGHT)
    errors = np.abs(predicted(free) / times - 1)
    scatter = DEVIATIONS_OF_MEDIAN * np.median(errors)
    # What was fitted has taken up a part of the scatter.
    scatter *= math.sqrt(len(times) / max(len(times) - len(free), 1))
    params = fitted(max(LEAST_WEIGHT, scatter / FACTOR_SPREAD))
    return params.tolist(), predicted(params).tolist()


def classes_of(cost_model: CostModel) -> list[str]:
    """Return the names that the factors of a table have."""
    found = set(_class_of_own_units(cost_model).values())
    for part in cost_model.parts.values():
        found |= {layer.kind for layer in layers_in(part)}
    return sorted(found)


def sums_alone(
    latency: Latency, cost_model: CostModel, network: Architecture
) -> dict[str, float]:
    """Return what the units of each class take in a network, each alone."""
    found = dict.fromkeys(latency.table.calibration.factors, 0.0)
    for part in cost_model.parts.values():
        counts = {unit: network.get(unit, 0) for unit in part.units}
        for kind, ms in latency.alone(part, counts):
            found[kind] += ms
    return found


def quality(
    networks: Iterable[str],
    predicted: Iterable[float],
    measured: Iterable[float],
) -> Calibration:
    """Return how well predictions fit; they are not changed."""
    from scipy.stats import kendalltau

    found = tuple(
        Prediction(name, float(f'{p:.6g}'), float(f'{m:.6g}'))
        for name, p, m in zip(networks, predicted, measured)
    )
    errors = [abs(each.error) for each in found]
    tau = kendalltau(
        [each.predicted for each in found], [each.measured for each in found]
    )
    return Calibration(
        offset=0.0,
        factors={},
        exponent=1.0,
        networks=found,
        median_error=round(statistics.median(errors), 4),
        worst_error=round(max(errors), 4),
        kendall_tau=0.0 if math.isnan(tau[0]) else round(float(tau[0]), 4),
    )


def adds_up(calibration: Calibration) -> bool:
    """Return whether the sum over the parts predicts whole networks well."""
    return (
        calibration.median_error <= MAX_MEDIAN_ERROR
        and calibration.worst_error <= MAX_WORST_ERROR
        and calibration.kendall_tau >= MIN_TAU
    )


def worst(calibration: Calibration) -> str:
    """Return the network that is predicted worst, in words."""
    found = max(calibration.networks, key=lambda each: abs(each.error))
    return (
        f'{found.network!r}, {found.predicted:.3g} ms predicted and '
        f'{found.measured:.3g} ms measured'
    )
