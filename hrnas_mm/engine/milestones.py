"""A ladder of networks from one run: what to stop at on the way down."""

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

from ..search import Budget, CostModel, parse_budget, select_within
from ..search.budget import TOLERANCE, Target
from ..search.shrink import Keep


class Milestone(NamedTuple):
    """A budget on the way, by the name that the user gave it."""

    name: str
    budget: Budget


def parse_milestones(
    targets: list[Target], cost_model: CostModel, final: Budget | None
) -> list[Milestone]:
    """Read milestones as users write them.

    Args:
        targets: As users write them.
        cost_model: Of the supernet.
        final: The target of the search, if it has one.

    Raises:
        ValueError: If one is not a budget of this supernet, is there twice,
            or will never be reached.
    """
    found = [
        Milestone(
            _name(target), parse_budget(target, cost_model, f'milestones[{i}]')
        )
        for i, target in enumerate(targets)
    ]
    if len({milestone.budget for milestone in found}) < len(found):
        raise ValueError(f'milestones must be different, got {targets}')
    for name, budget in found:
        if (
            final is not None
            and budget.resource == final.resource
            and budget.amount < final.amount
        ):
            raise ValueError(
                f'milestone {name} is {budget}, which is below the target, '
                f'{final}: the search will not get there'
            )
    return found


def _name(target: Target) -> str:
    if isinstance(target, Mapping):
        ((resource, amount),) = target.items()
        return f'{amount}_{resource}'
    return str(target)


def stop_at_milestone(
    milestones: list[Milestone],
    cost_model: CostModel,
    importance: Mapping[str, Tensor],
    threshold: float,
    keep: Keep,
) -> tuple[Keep, Milestone | None]:
    """Return what to keep for the first milestone that would be crossed.

    Args:
        milestones: All of them.
        cost_model: Of the supernet.
        importance: Of every element.
        threshold: See :func:`select_within`.
        keep: What was going to be kept; returned if that crosses none.
    """
    now = {name: len(value) for name, value in importance.items()}
    then = {name: len(index) for name, index in keep.items()}
    crossed = [
        (budget.amount / cost_model.total(now, budget.resource), milestone)
        for milestone in milestones
        for budget in [milestone.budget]
        if cost_model.total(then, budget.resource)
        <= budget.amount
        < cost_model.total(now, budget.resource)
    ]
    if not crossed:
        return keep, None
    milestone = max(crossed)[1]
    amount = milestone.budget.amount
    limits = ((1 - TOLERANCE) * amount, float(amount))
    keep = select_within(
        importance, threshold, cost_model, milestone.budget.resource, limits
    )
    return keep, milestone
