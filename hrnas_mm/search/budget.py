"""Budgets: limits on the cost of a network, as users write them."""

from collections.abc import Mapping
from dataclasses import dataclass

from .cost import COSTS, MACS, Cost, number_in
from .cost_model import CostModel

LATENCY = 'latency'  # name of the cost in milliseconds

Amount = int | float | str
Target = Amount | Mapping[str, Amount]


@dataclass(frozen=True)
class Budget:
    """Limit on the cost of a network of a supernet.

    Args:
        amount: Limit, in the unit of the cost: multiply-adds, for example.
        cost_model: Cost model of the supernet, for the cost that is limited.
    """

    amount: float
    cost_model: CostModel

    @property
    def cost(self) -> Cost:
        """Return the cost that is limited."""
        return self.cost_model.cost

    def spent(self, architecture: Mapping[str, int]) -> float:
        """Return the cost of an architecture."""
        return self.cost_model.total(architecture)

    def __str__(self) -> str:
        return f'{self.cost.format(self.amount)} {self.cost.noun}'


def parse_budget(
    target: Target,
    cost_model: CostModel,
    name: str = 'target',
    latency: Cost | None = None,
) -> Budget:
    """Parse a budget as users write it.

    Args:
        target: Multiply-adds as a number (1.91e9), a string ('1.91G') or a
            ratio of the supernet (0.03); ``dict(params=...)`` with any of
            these for parameters, and likewise for every cost in ``COSTS``;
            milliseconds as '6ms' or ``dict(latency=...)``. With a table of
            milliseconds, a ratio is one of these.
        cost_model: Cost model of the supernet, for any cost.
        name: Name of the argument, for error messages.
        latency: Cost in milliseconds, if there is a table of them.

    Raises:
        ValueError: If the target has none of these forms, or no network of
            this supernet can meet it.
    """
    cost: Cost = MACS
    if not isinstance(target, Mapping) and (
        in_milliseconds(target) or latency is not None and _is_ratio(target)
    ):
        target = {LATENCY: target}
    if isinstance(target, Mapping):
        costs = COSTS if latency is None else {**COSTS, LATENCY: latency}
        if in_milliseconds(target) and latency is None:
            raise ValueError(
                f'{name} in milliseconds needs a table of them, got '
                f'{target[LATENCY]!r} without one'
            )
        if len(target) != 1 or not set(target) <= set(costs):
            known = ', '.join(f'dict({name}=...)' for name in costs)
            raise ValueError(
                f'{name} must be one of {known}, got {dict(target)}'
            )
        ((key, target),) = target.items()
        cost = costs[key]
    cost_model = cost_model.counting(cost)
    whole = cost_model.total(cost_model.supernet)
    least = cost.cut.least(cost_model)
    try:
        amount = cost.parse(target, whole)
    except ValueError as error:
        raise ValueError(f'{name} {error}') from None
    if cost.format(amount) == cost.format(least):  # as the message prints it
        amount = max(amount, least)
    if not least <= amount < whole:
        left = 'one element' + ' per part' * (not cost.cut.may_empty_parts)
        raise ValueError(
            f'{name} must be at least {cost.format(least)} ({left}) '
            f'and below {cost.format(whole)} (the supernet), got '
            f'{target!r}, which is {cost.format(amount)} {cost.noun} at input '
            f'shape {cost_model.input_shape}'
        )
    return Budget(amount, cost_model)


def in_milliseconds(target: Target) -> bool:
    """Return whether a budget is written in milliseconds."""
    if isinstance(target, Mapping):
        return set(target) == {LATENCY}
    return isinstance(target, str) and target.strip().lower().endswith('ms')


def _is_ratio(target: Amount) -> bool:
    amount = number_in(target)
    return amount is not None and amount < 1
