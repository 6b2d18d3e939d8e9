"""Architectures that nobody searched, to compare with."""

from .budget import Budget
from .cost import CostModel


def uniform_architecture(
    cost_model: CostModel, budget: Budget
) -> dict[str, int]:
    """The same share of every unit, as much as the budget allows.

    A uniform width multiplier: each unit keeps ``ratio * n`` elements, at
    least one, rounded down; what the rounding leaves of the budget goes to
    the units that lost most by it.

    Args:
        cost_model: Of the supernet.
        budget: What the network may cost.

    Raises:
        ValueError: If one element per unit costs more than the budget.
    """

    def scaled(ratio: float) -> dict[str, int]:
        return {
            name: max(1, int(ratio * n))
            for name, n in cost_model.supernet.items()
        }

    def fits(architecture: dict[str, int]) -> bool:
        total = cost_model.total(architecture, budget.resource)
        return total <= budget.amount

    low, high = 0.0, 1.0
    if not fits(scaled(low)):
        least = cost_model.total(scaled(low), budget.resource)
        raise ValueError(
            f'one element per unit costs {least} {budget.resource}, more '
            f'than the budget of {budget.amount}'
        )
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if fits(scaled(middle)) else (low, middle)
    architecture = scaled(low)
    remainders = {
        name: low * n - architecture[name]
        for name, n in cost_model.supernet.items()
    }
    for name in sorted(remainders, key=remainders.__getitem__, reverse=True):
        larger = {**architecture, name: architecture[name] + 1}
        if larger[name] <= cost_model.supernet[name] and fits(larger):
            architecture = larger
    return architecture
