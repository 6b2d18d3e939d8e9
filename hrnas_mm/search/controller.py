"""Controllers: they set rho and choose the elements to keep at a shrink.

``Controller`` keeps the user's rho, ``BudgetController`` follows a budget.
Both have the same interface: ``is_due`` is asked before every iteration; if a
shrink is due, ``adapt_`` and ``select`` are called before it; ``rho_at``
returns the coefficient of the penalty.
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
# Keys in the state of either kind of controller.
CONTROLLER_STATES = (
    {'last_shrink'},
    {'last_shrink', 'rho', 'begin', 'start'},
)


class Controller:
    """Controller with a constant rho; a shrink removes all dead elements.

    Source: HR-NAS, Sec. 3.3.

    Args:
        schedule: Schedule of the penalty and the shrinks.
        rho: Coefficient of the penalty, lambda in the paper.
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
        """Return the coefficient of the penalty at an iteration."""
        return self.rho * self.schedule.factor(iteration)

    def is_due(self, iteration: int) -> bool:
        """Return whether the network has to shrink before an iteration."""
        return self.schedule.is_due(iteration, self.last_shrink)

    def adapt_(self, importance: Importance, iteration: int) -> None:
        """Record the iteration of a shrink; rho stays the same."""
        self.last_shrink = iteration

    def select(
        self,
        importance: Importance,
        iteration: int,
        threshold: float | None = None,
    ) -> Keep:
        """Return the elements to keep.

        Args:
            importance: Importance by which they are chosen.
            iteration: Iteration of the shrink.
            threshold: Elements of a smaller one are dead; None for the
                controller's, if importance is abs(alpha).
        """
        return above(importance, self._dead_below(threshold))

    def _dead_below(self, threshold: float | None) -> float:
        return self.threshold if threshold is None else threshold

    def replan_(
        self,
        architecture: Mapping[str, int],
        iteration: int,
        own: bool = False,
    ) -> None:
        """Do nothing: without a plan, any network is a valid start."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state that a resumed run needs."""
        return dict(last_shrink=self.last_shrink)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state that :meth:`state_dict` returned."""
        self.last_shrink = state['last_shrink']


class BudgetController(Controller):
    """Controller that shrinks the network to a budget: it adapts rho and cuts.

    At every shrink rho is adapted so that the cost without dead elements,
    which the penalty alone has reached, follows the plan (:class:`Descent`).
    The network stays within one interval of the plan: dead elements whose
    removal would take it further down are kept for now, and alive ones are
    removed where the penalty is too slow. The last shrink meets the budget,
    never above it and at most ``TOLERANCE`` below. In searches with enough
    time to learn, rho rises tenfold. It is limited to ``MOST_RHO`` times its
    start, which very short searches reach: a larger rho would drown the loss
    without speeding anything up.

    Args:
        budget: Budget that the network has to meet in the end.
        schedule: Schedule of the penalty and the shrinks.
        rho: Initial coefficient of the penalty.
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
        start = max(self.budget.spent(architecture), self.budget.amount)
        return Descent(begin, self.schedule.end, start, self.budget.amount)

    def adapt_(self, importance: Importance, iteration: int) -> None:
        """Adapt rho to the cost that the penalty alone has reached."""
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

    def select(
        self,
        importance: Importance,
        iteration: int,
        threshold: float | None = None,
    ) -> Keep:
        """Return the elements to keep."""
        return select_within(
            importance,
            self._dead_below(threshold),
            self.budget.cost_model,
            self.descent.limits(iteration, self.schedule.interval),
        )

    def replan_(
        self,
        architecture: Mapping[str, int],
        iteration: int,
        own: bool = False,
    ) -> None:
        """Make a new plan that starts from another network.

        Such a network may come from a run with other settings.

        Args:
            architecture: Number of elements of every unit, by unit name.
            iteration: Iteration from which the plan leads on.
            own: Whether it was this budget that the network was cut for, and
                it may be far below it.

        Raises:
            ValueError: If the network is already too small for the budget.
        """
        cost = self.budget.spent(architecture)
        if not own and cost < allowed(self.budget.amount)[0]:
            raise ValueError(
                f'target is {self.budget}, but the network has only '
                f'{self.budget.cost.format(cost)} {self.budget.cost.noun} '
                'left, and cannot grow back'
            )
        begin = max(iteration, self.schedule.begin)
        self.descent = self._plan(architecture, begin)

    def state_dict(self) -> dict[str, Any]:
        """Return the state that a resumed run needs."""
        return dict(
            super().state_dict(),
            rho=self.rho,
            begin=self.descent.begin,
            start=self.descent.start,
        )

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore rho and the plan, if the saved search had a target."""
        super().load_state_dict(state)
        if 'start' in state:
            self.rho = state['rho']
            self.descent = Descent(
                state['begin'],
                self.schedule.end,
                state['start'],
                self.budget.amount,
            )
