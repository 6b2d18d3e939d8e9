"""Check that the state of a resumed search is possible at its iteration."""

import math
from collections.abc import Mapping

from ..report.record import Milestone, Shrink
from ..search import BudgetController, Controller
from ..search.importance import AlphaImportance
from .state import History, SearchState


def check_resumed(
    controller: Controller,
    history: History,
    supernet: Mapping[str, int],
    now: int,
) -> None:
    """Raise ValueError unless the state of a search can be one of now.

    Args:
        controller: Controller with the state and the schedule of the run.
        history: History of the search so far.
        supernet: Number of elements of every unit.
        now: Iteration at which the run goes on.
    """
    networks: list[Shrink | Milestone] = [
        *history.shrinks,
        *history.milestones,
    ]
    odd = dict(
        last_shrink=not -1 <= controller.last_shrink <= now,
        rho=not 0 <= controller.rho < math.inf,
        history=not all(
            0 <= network.iter <= now and _fits(network.counts, supernet)
            for network in networks
        ),
    )
    if isinstance(controller, BudgetController):
        plan, schedule = controller.descent, controller.schedule
        odd['start'] = not 0 < plan.start < math.inf
        odd['begin'] = not 0 <= plan.begin <= max(now, schedule.begin) or (
            plan.begin >= schedule.end > now
        )
    wrong = [name for name, is_odd in odd.items() if is_odd]
    if wrong:
        raise ValueError(
            'what the checkpoint says of its search is damaged: its '
            f'{" and ".join(wrong)} cannot be those of iteration {now}'
        )


def _fits(counts: list[int], supernet: Mapping[str, int]) -> bool:
    return len(counts) == len(supernet) and all(
        0 <= count <= most for count, most in zip(counts, supernet.values())
    )


def load_importance_(importance: AlphaImportance, state: SearchState) -> None:
    """Load the state of an importance criterion.

    Raises:
        ValueError: If it is damaged.
    """
    try:
        importance.load_state_dict(state.importance)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            'what the checkpoint says of its search is damaged: its '
            f'importance: {error!r}'
        ) from error
