"""Architectures that were not searched, as baselines."""

import random
from collections.abc import Mapping

from .architecture import Architecture
from .budget import Budget
from .cost_model import CostModel


def uniform_architecture(budget: Budget) -> Architecture:
    """Return the largest architecture of uniform width within the budget.

    A uniform width multiplier: each unit keeps ``ratio * n`` elements,
    rounded down, but at least one. What the rounding leaves of the budget
    goes to the units that lost most by it.

    Where the cost falls in steps, units may lose all their elements if one
    per unit is too dear, and what fills up a step at no cost is added.

    Args:
        budget: Budget that the network has to meet.

    Raises:
        ValueError: If one element per unit costs more than the budget.
    """
    shares = dict.fromkeys(budget.cost_model.supernet, 1.0)
    one_each = budget.spent(dict.fromkeys(shares, 1))
    may_be_empty = budget.cost.cut.may_empty_parts
    empties = may_be_empty and one_each > budget.amount
    return _largest(shares, budget, least=0 if empties else 1)


def random_architecture(budget: Budget, seed: int) -> Architecture:
    """Return an architecture of random widths that uses up the budget.

    Each unit draws its share uniformly from [0, 1]. All shares are scaled by
    one ratio, as large as the budget allows, and no unit exceeds its full
    size. Units may lose all their elements. Where the cost falls in steps,
    what fills up a step at no cost is added.

    Source: HR-NAS, Table 2, random search.

    Args:
        budget: Budget that the network has to meet.
        seed: Seed of the draw; the same seed gives the same architecture.

    Raises:
        ValueError: If a network without any elements costs more than the
            budget.
    """
    rng = random.Random(seed)
    shares = {name: rng.random() for name in budget.cost_model.supernet}
    return _largest(shares, budget, least=0)


def _largest(
    shares: Mapping[str, float], budget: Budget, least: int
) -> Architecture:
    """Scale all shares by the largest ratio that the budget allows."""
    supernet = budget.cost_model.supernet

    def wanted(ratio: float) -> dict[str, float]:
        return {
            name: min(
                n,
                max(
                    least,
                    budget.cost_model.least[name],
                    ratio * shares[name] * n,
                ),
            )
            for name, n in supernet.items()
        }

    def scaled(ratio: float) -> Architecture:
        return {name: int(n) for name, n in wanted(ratio).items()}

    def fits(architecture: Architecture) -> bool:
        return budget.spent(architecture) <= budget.amount

    low, high = 0.0, 1 / max(min(shares.values()), 1e-6)
    if not fits(scaled(low)):
        raise ValueError(
            f'{"one element" if least else "none"} per unit costs '
            f'{budget.cost.format(budget.spent(scaled(low)))} '
            f'{budget.cost.noun}, more than the budget of {budget}'
        )
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if fits(scaled(middle)) else (low, middle)
    architecture = scaled(low)
    remainders = {
        name: n - architecture[name] for name, n in wanted(low).items()
    }
    for name in sorted(remainders, key=remainders.__getitem__, reverse=True):
        larger = {**architecture, name: architecture[name] + 1}
        if larger[name] <= supernet[name] and fits(larger):
            architecture = larger
    if budget.cost.cut.one_by_one:
        return architecture
    architecture = budget.cost_model.settled(architecture)
    return _filled(architecture, budget.cost_model)


def _filled(architecture: Architecture, cost_model: CostModel) -> Architecture:
    """Add elements as long as they cost nothing, one per unit and round."""
    filled = dict(architecture)
    units = [unit for unit, count in filled.items() if count]
    while units:
        free = []
        for unit in units:
            part = cost_model.part_of[unit]
            larger = {**filled, unit: filled[unit] + 1}
            if larger[unit] <= cost_model.supernet[unit] and cost_model.part(
                part, larger
            ) <= cost_model.part(part, filled):
                filled = larger
                free.append(unit)
        units = free
    return filled
