"""Budgets: what a network may cost, as users write it."""

from collections.abc import Mapping
from dataclasses import dataclass

from .cost import COSTS, MACS, Cost
from .cost_model import CostModel

Amount = int | float | str
Target = Amount | Mapping[str, Amount]


@dataclass(frozen=True)
class Budget:
    """What a network of a supernet may cost.

    Args:
        amount: In what the cost counts.
        cost_model: Of the supernet, for the cost that the budget is in.
    """

    amount: float
    cost_model: CostModel

    @property
    def cost(self) -> Cost:
        """What is counted."""
        return self.cost_model.cost

    def spent(self, architecture: Mapping[str, int]) -> float:
        """Return what an architecture costs."""
        return self.cost_model.total(architecture)

    def __str__(self) -> str:
        return f'{self.cost.format(self.amount)} {self.cost.noun}'


def parse_budget(
    target: Target, cost_model: CostModel, name: str = 'target'
) -> Budget:
    """Read a budget as users write it.

    Args:
        target: Multiply-adds as a number (1.91e9), a string ('1.91G') or a
            ratio of the supernet (0.03); ``dict(params=...)`` with any of
            them for parameters, and so for every cost in ``COSTS``.
        cost_model: Of the supernet, for whatever cost.
        name: Of the argument, for errors.

    Raises:
        ValueError: If it is none of these, or no network of this supernet
            can meet it.
    """
    cost: Cost = MACS
    if isinstance(target, Mapping):
        if len(target) != 1 or not set(target) <= set(COSTS):
            known = ', '.join(f'dict({name}=...)' for name in COSTS)
            raise ValueError(
                f'{name} must be one of {known}, got {dict(target)}'
            )
        ((key, target),) = target.items()
        cost = COSTS[key]
    cost_model = cost_model.counting(cost)
    whole = cost_model.total(cost_model.supernet)
    least = cost_model.total(smallest(cost_model))
    try:
        amount = cost.parse(target, whole)
    except ValueError as error:
        raise ValueError(f'{name} {error}') from None
    if not least <= amount < whole:
        raise ValueError(
            f'{name} must be at least {cost.format(least)} (one element per '
            f'block) and below {cost.format(whole)} (the supernet), got '
            f'{target!r}, which is {cost.format(amount)} {cost.noun} at input '
            f'shape {cost_model.input_shape}'
        )
    return Budget(amount, cost_model)


def smallest(cost_model: CostModel) -> dict[str, int]:
    """Return the cheapest architecture with one element in every part."""
    cheapest: dict[str, str] = {}
    for unit, part in cost_model.part_of.items():
        if part not in cheapest or cost_model.saving(
            {unit: 1}, unit
        ) < cost_model.saving({cheapest[part]: 1}, cheapest[part]):
            cheapest[part] = unit
    gone = dict.fromkeys(cost_model.supernet, 0)
    return {**gone, **dict.fromkeys(cheapest.values(), 1)}
