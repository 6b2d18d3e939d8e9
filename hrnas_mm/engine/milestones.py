"""Milestones: budgets at which a search saves networks on its way down."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from ..latency import Latency
from ..search import Budget, CostModel, Ranking
from ..search.budget import Target
from ..search.descent import allowed
from ..search.ranking import Counts, Place
from .latency import parse_target


class NamedBudget(NamedTuple):
    """A budget on the way down, with its name, that of its folder."""

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
    """Return the target as text that can be the name of a folder."""
    text = str(target)
    if isinstance(target, Mapping):
        ((cost, amount),) = target.items()
        text = f'{amount}_{cost}'
    return re.sub(r'[^\w.+-]', '', text)


def crossed(
    milestones: Sequence[NamedBudget],
    now: Mapping[str, int],
    then: Mapping[str, int],
) -> list[NamedBudget]:
    """Return the milestones that a shrink would cross, the nearest first.

    Args:
        milestones: All milestones of the search.
        now: Number of elements of each unit, by unit name.
        then: Number of elements that the shrink would leave.
    """
    between = [
        milestone
        for milestone in milestones
        if milestone.budget.spent(then)
        <= milestone.budget.amount
        < milestone.budget.spent(now)
    ]

    def share(milestone: NamedBudget) -> float:
        budget = milestone.budget
        return budget.amount / budget.spent(now)

    return sorted(between, key=share, reverse=True)


def on_the_way(
    ranking: Ranking,
    then: Mapping[str, int],
    milestones: Sequence[NamedBudget],
    target: CostModel,
) -> Counts:
    """Return the counts of the first network on the way at a milestone.

    A cut for another cost than the target's could leave less of this than the
    target allows. Here, what was going to be removed goes, in the order of
    the ranking, until a milestone is met. What would lead too far below one
    waits. If nothing else is left, other elements go in its place, as long as
    the network costs no less than then; if that is not enough, it goes.

    Args:
        ranking: Ranking of the elements.
        then: Number of elements that the shrink was going to leave.
        milestones: Milestones that are crossed between now and then.
        target: Cost model for the cost of the target.
    """
    going, others = list[Place](), list[Place]()
    for name, places in ranking.places.items():
        number = len(places) - then[name]
        going += places[:number]
        others += places[number:-1]
    least, least_share = target.total(then), allowed(1.0)[0]

    def is_near(counts: Counts) -> bool:
        return _least_share(milestones, counts) >= least_share

    def is_enough(counts: Counts) -> bool:
        return is_near(counts) and target.total(counts) >= least

    counts, waiting = _walk(ranking.counts, going, milestones, is_near)
    if _least_share(milestones, counts) > 1:
        units = {name for *_, name in waiting}
        free = [place for place in others if place[-1] not in units]
        instead, _ = _walk(counts, free, milestones, is_enough)
        if _least_share(milestones, instead) <= 1:
            return instead
        counts, _ = _walk(counts, waiting, milestones)
    return counts


def _least_share(milestones: Sequence[NamedBudget], counts: Counts) -> float:
    """Return the cost as a share of the milestone that it is nearest to."""
    return min(b.spent(counts) / b.amount for _, b in milestones)


def _walk(
    counts: Counts,
    places: Sequence[Place],
    milestones: Sequence[NamedBudget],
    is_allowed: Callable[[Counts], bool] = lambda counts: True,
) -> tuple[Counts, list[Place]]:
    """Remove elements until a milestone is met; return what had to wait, too.

    Args:
        counts: Number of elements of each unit, by unit name.
        places: Places of the elements that may go.
        milestones: Milestones that are all below the network.
        is_allowed: Whether a network may be passed; else an element waits,
            and with it those of its unit that come after it.
    """
    waiting: list[Place] = []
    units = set[str]()
    for place in sorted(places):
        *_, name = place
        fewer = {**counts, name: counts[name] - 1}
        if name in units or not is_allowed(fewer):
            units.add(name)
            waiting.append(place)
            continue
        counts = fewer
        if _least_share(milestones, counts) <= 1:
            break
    return counts, waiting
