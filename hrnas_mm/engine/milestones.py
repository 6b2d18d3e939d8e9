"""Milestones: budgets at which a search saves networks on its way down."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..latency import Latency
from ..search import Budget, CostModel, Ranking
from ..search.budget import Target
from ..search.ranking import Counts
from .latency import parse_target


class NamedBudget(NamedTuple):
    """A budget on the way down, with its name as the user wrote it."""

    name: str
    budget: Budget


def parse_milestones(
    targets: Sequence[Target],
    cost_model: CostModel,
    final: Budget | None,
    latency: Latency | None = None,
) -> list[NamedBudget]:
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
        NamedBudget(
            _name(target),
            parse_target(target, cost_model, f'milestones[{i}]', latency),
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


def first_crossed(
    milestones: Sequence[NamedBudget],
    now: Mapping[str, int],
    then: Mapping[str, int],
) -> NamedBudget | None:
    """Return the first milestone that a shrink would cross; None without.

    Args:
        milestones: All milestones of the search.
        now: Number of elements of each unit, by unit name.
        then: Number of elements that the shrink would leave.
    """
    crossed = [
        milestone
        for milestone in milestones
        if milestone.budget.spent(then)
        <= milestone.budget.amount
        < milestone.budget.spent(now)
    ]

    def share(milestone: NamedBudget) -> float:
        budget = milestone.budget
        return budget.amount / budget.spent(now)

    return max(crossed, key=share, default=None)


def on_the_way(
    ranking: Ranking, then: Mapping[str, int], budget: Budget
) -> Counts:
    """Return the counts of a network that meets a budget on the way.

    A cut for another cost than the target's could leave less of this than the
    target allows. Here, only what was going to be removed goes, in the order
    of the ranking, until the budget is met.

    Args:
        ranking: Ranking of the elements.
        then: Number of elements that the shrink was going to leave.
        budget: Budget that is crossed between now and then.
    """
    counts = ranking.counts
    going = sorted(
        place
        for name, places in ranking.places.items()
        for place in places[: counts[name] - then[name]]
    )

    def left(number: int) -> Counts:
        gone = Counter(name for *_, name in going[:number])
        return {name: count - gone[name] for name, count in counts.items()}

    number = bisect_left(
        range(len(going)),
        True,
        key=lambda number: budget.spent(left(number)) <= budget.amount,
    )
    return left(number)
