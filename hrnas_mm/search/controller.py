"""Who decides on rho and on what goes: the user, or a budget.

Both kinds of controller are asked in the same way: ``is_due`` before every
iteration; where it is, ``adapt_`` and ``select`` before the shrink; ``rho_at``
for the coefficient of the penalty.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from .budget import Budget
from .cut import select_within
from .descent import Descent, allowed
from .schedule import Schedule
from .shrink import Keep, above

Importance = Mapping[str, Tensor]
MOST_RHO = 100
# What the states of both kinds of controller have.
CONTROLLER_STATES = (
    {'last_shrink'},
    {'last_shrink', 'rho', 'begin', 'start'},
)


class Controller:
    """Keeps one rho for the whole search; all dead elements go.

    Source: HR-NAS, Sec. 3.3.

    Args:
        schedule: When it shrinks.
        rho: The coefficient of the penalty, the paper's lambda.
        threshold: Elements of a smaller importance are dead.
    """

    def __init__(
        self, schedule: Schedule, rho: float, threshold: float = 1e-3
    ) -> None:
        self.schedule = schedule
        self.rho = rho
        self.threshold = threshold
        self.last_shrink = -1

    def rho_at(self, iteration: int) -> float:
        """Return the coefficient of the penalty in an iteration."""
        return self.rho * self.schedule.factor(iteration)

    def is_due(self, iteration: int) -> bool:
        """Return whether the network has to shrink before an iteration."""
        return self.schedule.is_due(iteration, self.last_shrink)

    def adapt_(self, importance: Importance, iteration: int) -> None:
        """Take note of a shrink; rho stays."""
        self.last_shrink = iteration

    def select(self, importance: Importance, iteration: int) -> Keep:
        """Return the elements to keep."""
        return above(importance, self.threshold)

    def replan_(self, architecture: Mapping[str, int], iteration: int) -> None:
        """Go on from another network: nothing was planned."""

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run has to know."""
        return dict(last_shrink=self.last_shrink)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`state_dict` returned."""
        self.last_shrink = state['last_shrink']


class BudgetController(Controller):
    """Leads the network down to a budget: it adapts rho, and cuts.

    At every shrink rho is adapted so that the elements that the penalty has
    made useless follow the plan (:class:`Descent`). The network stays within
    one interval of the plan: dead elements that would take it farther down
    stay for now, living ones go where the penalty is too slow. The last
    shrink meets the budget exactly. In searches that have time to learn rho
    rises tenfold; where it reaches ``MOST_RHO`` times its start, as in very
    short ones, more of it would drown the loss and speed nothing up.

    Args:
        budget: What the network may cost in the end.
        schedule: When it shrinks.
        rho: To begin with.
        threshold: Elements of a smaller importance are dead.
    """

    def __init__(
        self,
        budget: Budget,
        schedule: Schedule,
        rho: float,
        threshold: float = 1e-3,
    ) -> None:
        super().__init__(schedule, rho, threshold)
        self.budget = budget
        self.most_rho = MOST_RHO * rho
        supernet = budget.cost_model.supernet
        self.descent = self._plan(supernet, schedule.begin)

    def _plan(self, architecture: Mapping[str, int], begin: int) -> Descent:
        start = self.budget.spent(architecture)
        return Descent(begin, self.schedule.end, start, self.budget.amount)

    def adapt_(self, importance: Importance, iteration: int) -> None:
        """Adapt rho to where the penalty alone has brought the network."""
        super().adapt_(importance, iteration)
        if iteration >= self.schedule.end:
            return
        alive = {
            name: int((value >= self.threshold).sum())
            for name, value in importance.items()
        }
        rho = self.descent.next_rho(
            self.rho,
            self.budget.spent(alive),
            iteration,
            self.schedule.interval,
        )
        self.rho = min(rho, self.most_rho)

    def select(self, importance: Importance, iteration: int) -> Keep:
        """Return the elements to keep."""
        return select_within(
            importance,
            self.threshold,
            self.budget.cost_model,
            self.descent.limits(iteration, self.schedule.interval),
        )

    def replan_(self, architecture: Mapping[str, int], iteration: int) -> None:
        """Start from another network, of a run with other settings say.

        Raises:
            ValueError: If it is too small already.
        """
        cost = self.budget.spent(architecture)
        if cost < allowed(self.budget.amount)[0]:
            raise ValueError(
                f'target is {self.budget}, but the network has only '
                f'{self.budget.cost.format(cost)} {self.budget.cost.noun} '
                'left, and cannot grow back'
            )
        begin = max(iteration, self.schedule.begin)
        self.descent = self._plan(architecture, begin)

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run has to know."""
        return dict(
            super().state_dict(),
            rho=self.rho,
            begin=self.descent.begin,
            start=self.descent.start,
        )

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over rho and the plan, if the search had a target before."""
        super().load_state_dict(state)
        if 'start' in state:
            self.rho = state['rho']
            self.descent = Descent(
                state['begin'],
                self.schedule.end,
                state['start'],
                self.budget.amount,
            )
