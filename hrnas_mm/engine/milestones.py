"""Milestones: budgets at which a search saves networks on its way down."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from torch import Tensor

from ..search import (
    Budget,
    CostModel,
    Latency,
    parse_budget,
    select_within,
)
from ..search.budget import Target
from ..search.descent import allowed
from ..search.shrink import Keep, most_important


class Milestone(NamedTuple):
    """A budget on the way down, with its name as the user wrote it."""

    name: str
    budget: Budget


def parse_milestones(
    targets: Sequence[Target],
    cost_model: CostModel,
    final: Budget | None,
    latency: Latency | None = None,
) -> list[Milestone]:
    """Parse the milestones of a config.

    Args:
        targets: Budgets as users write them.
        cost_model: Cost model of the supernet.
        final: Target of the search, if it has one.
        latency: Cost in milliseconds, if there is a table of them.

    Raises:
        ValueError: If one is not a budget of this supernet, is given twice,
            or is below the target and will never be reached.
    """
    found = [
        Milestone(
            _name(target),
            parse_budget(target, cost_model, f'milestones[{i}]', latency),
        )
        for i, target in enumerate(targets)
    ]
    if len({milestone.budget for milestone in found}) < len(found):
        raise ValueError(f'milestones must be different, got {list(targets)}')
    for name, budget in found:
        if (
            final is not None
            and budget.cost_model is final.cost_model
            and budget.amount < final.amount
        ):
            raise ValueError(
                f'milestone {name} is {budget}, which is below the target, '
                f'{final}: the search will not get there'
            )
    return found


def _name(target: Target) -> str:
    if isinstance(target, Mapping):
        ((cost, amount),) = target.items()
        return f'{amount}_{cost}'
    return str(target)


def stop_at_milestone(
    milestones: Sequence[Milestone],
    now: Mapping[str, int],
    rank: Callable[[CostModel], tuple[Mapping[str, Tensor], float]],
    keep: Keep,
    final: Budget | None,
) -> tuple[Keep, Milestone | None]:
    """Return what to keep for the first milestone that would be crossed.

    A cut for another cost than the target's could leave less of this than the
    target allows. There, only some of what was going to be removed goes.

    Args:
        milestones: All milestones of the search.
        now: Number of elements of each unit, by unit name.
        rank: Returns the importance of every element for a cut of a cost, by
            unit name, and the threshold below which they are dead.
        keep: What the shrink was going to keep; returned with None if that
            crosses no milestone.
        final: Target of the search, if it has one.
    """
    then = {name: len(index) for name, index in keep.items()}
    crossed = [
        milestone
        for milestone in milestones
        if milestone.budget.spent(then)
        <= milestone.budget.amount
        < milestone.budget.spent(now)
    ]
    if not crossed:
        return keep, None

    def share(milestone: Milestone) -> float:
        budget = milestone.budget
        return budget.amount / budget.spent(now)

    first = max(crossed, key=share)
    counted = first.budget.cost_model
    if final is not None and final.cost_model is not counted:
        importance, _ = rank(final.cost_model)
        return _on_the_way(importance, then, first.budget), first
    limits = allowed(first.budget.amount)
    return select_within(*rank(counted), counted, limits), first


def _on_the_way(
    importance: Mapping[str, Tensor], then: Mapping[str, int], budget: Budget
) -> Keep:
    """Return what to keep on the way to a network that meets a budget.

    Elements go in order of rising importance, until it is met.
    """
    going = sorted(
        (loss, name)
        for name, value in importance.items()
        for loss in value.sort()[0][: len(value) - then[name]].tolist()
    )

    def left(number: int) -> dict[str, int]:
        gone = Counter(name for _, name in going[:number])
        return {name: len(v) - gone[name] for name, v in importance.items()}

    number = bisect_left(
        range(len(going)),
        True,
        key=lambda number: budget.spent(left(number)) <= budget.amount,
    )
    return most_important(importance, left(number))
