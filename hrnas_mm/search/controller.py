"""Who decides on rho and on what goes: the user, or a budget."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from .budget import TOLERANCE, Budget, Descent, select_within
from .cost import CostModel
from .schedule import Schedule
from .shrink import Keep, above

Importance = Mapping[str, Tensor]


class FixedRho:
    """One rho for the whole search; all dead elements go.

    Source: HR-NAS, Sec. 3.3.
    """

    def __init__(self, rho: float, threshold: float) -> None:
        self.rho = rho
        self.threshold = threshold

    def update_(self, importance: Importance, iteration: int) -> None:
        """Nothing to adapt."""

    def select(self, importance: Importance, iteration: int) -> Keep:
        """Return the elements to keep."""
        return above(importance, self.threshold)

    def replan_(self, architecture: Mapping[str, int], iteration: int) -> None:
        """Nothing was planned."""

    def state_dict(self) -> dict[str, Any]:
        """Nothing to remember."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Nothing to take over."""


class BudgetController:
    """Leads the network down to a budget: it adapts rho, and cuts.

    At every shrink rho is adapted so that the elements that the penalty has
    made useless follow the plan (:class:`Descent`). The network stays within
    one interval of the plan: dead elements that would take it farther down
    stay for now, living ones go where the penalty is too slow. The last
    shrink meets the budget exactly.

    Args:
        cost_model: Of the supernet.
        budget: What the network may cost in the end.
        schedule: When it shrinks.
        rho: To begin with.
        threshold: Elements of a smaller importance are dead.
    """

    def __init__(
        self,
        cost_model: CostModel,
        budget: Budget,
        schedule: Schedule,
        rho: float,
        threshold: float,
    ) -> None:
        self.cost_model = cost_model
        self.budget = budget
        self.schedule = schedule
        self.rho = rho
        self.threshold = threshold
        self.descent = self._plan(cost_model.supernet, schedule.begin)

    def _plan(self, architecture: Mapping[str, int], begin: int) -> Descent:
        start = self._total(architecture)
        return Descent(begin, self.schedule.end, start, self.budget.amount)

    def _total(self, architecture: Mapping[str, int]) -> int:
        return self.cost_model.total(architecture, self.budget.resource)

    def update_(self, importance: Importance, iteration: int) -> None:
        """Adapt rho to where the penalty alone has brought the network."""
        if iteration >= self.schedule.end:
            return
        alive = {
            name: int((value >= self.threshold).sum())
            for name, value in importance.items()
        }
        self.rho = self.descent.next_rho(
            self.rho, self._total(alive), iteration, self.schedule.interval
        )

    def select(self, importance: Importance, iteration: int) -> Keep:
        """Return the elements to keep."""
        return select_within(
            importance,
            self.threshold,
            self.cost_model,
            self.budget.resource,
            self.descent.limits(iteration, self.schedule.interval),
        )

    def replan_(self, architecture: Mapping[str, int], iteration: int) -> None:
        """Start from another network, of a run with other settings say.

        Raises:
            ValueError: If it is too small already.
        """
        cost = self._total(architecture)
        if cost < self.budget.amount * (1 - TOLERANCE):
            raise ValueError(
                f'target is {self.budget}, but the network has only '
                f'{cost} {self.budget.resource} left, and cannot grow back'
            )
        begin = max(iteration, self.schedule.begin)
        self.descent = self._plan(architecture, begin)

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run has to know."""
        return dict(
            rho=self.rho, begin=self.descent.begin, start=self.descent.start
        )

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`state_dict` returned."""
        self.rho = state['rho']
        self.descent = Descent(
            state['begin'],
            self.schedule.end,
            state['start'],
            self.budget.amount,
        )
