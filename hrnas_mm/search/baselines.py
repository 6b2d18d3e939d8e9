"""Architectures that nobody searched, to compare with."""

import random
from collections.abc import Mapping

from .architecture import Architecture
from .budget import Budget


def uniform_architecture(budget: Budget) -> Architecture:
    """Return the same share of every unit, as much as the budget allows.

    A uniform width multiplier: each unit keeps ``ratio * n`` elements, at
    least one, rounded down; what the rounding leaves of the budget goes to
    the units that lost most by it.

    Args:
        budget: What the network may cost.

    Raises:
        ValueError: If one element per unit costs more than the budget.
    """
    shares = dict.fromkeys(budget.cost_model.supernet, 1.0)
    return _largest(shares, budget, least=1)


def random_architecture(budget: Budget, seed: int) -> Architecture:
    """Return a random share of every unit, as much as the budget allows.

    Each unit draws its share uniformly from [0, 1]; all are scaled by one
    ratio, and none exceeds its unit. Units may lose all their elements.

    Source: HR-NAS, Table 2, random search.

    Args:
        budget: What the network may cost.
        seed: The same seed draws the same architecture.

    Raises:
        ValueError: If no element at all costs more than the budget.
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
            name: min(n, max(least, ratio * shares[name] * n))
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
            f'{budget.spent(scaled(low)):g} {budget.cost.noun}, more than '
            f'the budget of {budget.amount:g}'
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
    return architecture
