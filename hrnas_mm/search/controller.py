"""Controllers: they set rho and decide how many elements a shrink leaves.

``Controller`` keeps the user's rho, ``BudgetController`` follows a budget.
Both have the same interface: ``is_due`` is asked before every iteration; if a
shrink is due, ``adapt_`` and ``select`` are called before it; ``rho_at``
returns the coefficient of the penalty.
"""

from collections.abc import Mapping
from typing import Any

from .budget import Budget
from .descent import Descent, allowed
from .ranking import Counts, Ranking
from .schedule import Schedule

MAX_RHO_GROWTH = 100
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
    """

    def __init__(self, schedule: Schedule, rho: float) -> None:
        self.schedule = schedule
        self.rho = rho
        self.last_shrink = -1

    def rho_at(self, iteration: int) -> float:
        """Return the coefficient of the penalty at an iteration."""
        return self.rho * self.schedule.factor(iteration)

    def is_due(self, iteration: int) -> bool:
        """Return whether the network has to shrink before an iteration."""
        return self.schedule.is_due(iteration, self.last_shrink)

    def adapt_(self, alive: Mapping[str, int], iteration: int) -> None:
        """Record the iteration of a shrink; rho stays the same.

        Args:
            alive: Number of elements of every unit that are not dead.
            iteration: Iteration of the shrink.
        """
        self.last_shrink = iteration

    def select(self, ranking: Ranking, iteration: int) -> Counts:
        """Return the number of elements of every unit that stay.

        Args:
            ranking: Ranking of the elements.
            iteration: Iteration of the shrink.
        """
        return ranking.alive

    def looking_ahead(self, ranking: Ranking) -> Ranking:
        """Return the ranking: without a plan, nothing is spared."""
        return ranking

    def replan_(
        self,
        architecture: Mapping[str, int],
        iteration: int,
        same_budget: bool = False,
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
    time to learn, rho rises tenfold. It is limited to ``MAX_RHO_GROWTH`` times
    its start, which very short searches reach: a larger rho would drown the
    loss without speeding anything up.

    Args:
        budget: Budget that the network has to meet in the end.
        schedule: Schedule of the penalty and the shrinks.
        rho: Initial coefficient of the penalty.
    """

    def __init__(self, budget: Budget, schedule: Schedule, rho: float) -> None:
        super().__init__(schedule, rho)
        self.budget = budget
        self.max_rho = MAX_RHO_GROWTH * rho
        supernet = budget.cost_model.supernet
        self.descent = self._plan(supernet, schedule.begin)

    def _plan(self, architecture: Mapping[str, int], begin: int) -> Descent:
        start = max(self.budget.spent(architecture), self.budget.amount)
        return Descent(begin, self.schedule.end, start, self.budget.amount)

    def adapt_(self, alive: Mapping[str, int], iteration: int) -> None:
        """Adapt rho to the cost that the penalty alone has reached."""
        super().adapt_(alive, iteration)
        if iteration >= self.schedule.end:
            return
        rho = self.descent.next_rho(
            self.rho,
            self.budget.spent(alive),
            iteration,
            self.schedule.interval,
        )
        self.rho = min(rho, self.max_rho)

    def select(self, ranking: Ranking, iteration: int) -> Counts:
        """Return the number of elements of every unit that stay."""
        return self.budget.cost.cut(
            self.looking_ahead(ranking),
            self.budget.cost_model,
            self.descent.limits(iteration, self.schedule.interval),
        )

    def looking_ahead(self, ranking: Ranking) -> Ranking:
        """Return a ranking that spares what would be left at the end.

        Some elements cost much, such as the last token of a Transformer. A
        cut to more than the target would do without many cheap ones rather
        than without these. The last shrink would then miss what fills the
        room that they leave.
        """
        final = self.budget.cost.cut(
            ranking, self.budget.cost_model, allowed(self.budget.amount)
        )
        return ranking.sparing(final)

    def replan_(
        self,
        architecture: Mapping[str, int],
        iteration: int,
        same_budget: bool = False,
    ) -> None:
        """Make a new plan that starts from another network.

        Such a network may come from a run with other settings.

        Args:
            architecture: Number of elements of every unit, by unit name.
            iteration: Iteration from which the plan leads on.
            same_budget: Whether the network was cut to this budget before; it
                may then be below it.

        Raises:
            ValueError: If the network is already too small for the budget.
        """
        cost = self.budget.spent(architecture)
        if not same_budget and cost < allowed(self.budget.amount)[0]:
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
