"""The search of one run: its costs, its schedule and its progress."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from mmengine.runner import Runner
from torch import Tensor

from ..measure import cost_model_of
from ..resume.state import bare_model
from ..search import (
    COSTS,
    REPORTED,
    Cost,
    CostModel,
    ResourcePenalty,
    architecture_of,
    parse_budget,
)
from ..search.controller import CONTROLLER_STATES
from ..search.importance import IMPORTANCES
from ..search.shrink import Keep
from .milestones import Milestone, parse_milestones, stop_at_milestone
from .milliseconds import latency_of
from .options import SearchOptions
from .plan import make_controller, make_schedule
from .surgery import of_first_rank

Facts = dict[str, Any]


@dataclass
class History:
    """What a search has done so far, in plain types.

    Args:
        shrinks: iter, costs, rho and counts at the start and at each shrink.
        evaluations: iter, costs and metrics of each evaluation.
        rungs: name, iter, costs, metrics and counts of each milestone.
    """

    shrinks: list[Facts] = field(default_factory=list)
    evaluations: list[Facts] = field(default_factory=list)
    rungs: list[Facts] = field(default_factory=list)


def check_state(state: Any) -> None:
    """Raise ValueError if the search state of a checkpoint is damaged.

    The state is None in a checkpoint of a run without a search.
    """
    if state is None:
        return
    try:
        controller = state['controller']
        history = History(**state['history'])
        whole = (
            set(controller) in CONTROLLER_STATES
            and all(isinstance(v, (int, float)) for v in controller.values())
            and 'kind' in state.get('importance', dict(kind=None))
            and all(
                set(facts) >= {'iter', 'costs'}
                for entries in vars(history).values()
                for facts in entries
            )
        )
        state['settings'].items()
    except (AttributeError, IndexError, KeyError, TypeError):
        whole = False
    if not whole:
        raise ValueError('what it says of its search is damaged')


class Search:
    """The search of one run.

    Args:
        options: Options that the user gave.
        runner: The runner, whose model is the supernet.

    Raises:
        ValueError: If a target or a milestone cannot be met by this supernet
            in this run.
    """

    def __init__(self, options: SearchOptions, runner: Runner) -> None:
        model = bare_model(runner)
        self.cost_model: CostModel = cost_model_of(model, options.input_shape)
        self.latency = latency_of(options.latency, runner, self.cost_model)
        self.budget = (
            None
            if options.target is None
            else parse_budget(
                options.target, self.cost_model, latency=self.latency
            )
        )
        counted = self.budget.cost if self.budget else self.cost_model.cost
        timed = [] if self.latency is None else [self.latency]
        # The first is the cost that the target counts.
        self.costs: tuple[Cost, ...] = tuple(
            {cost.name: cost for cost in (counted, *timed, *REPORTED)}.values()
        )
        priced = counted
        if options.cost is not None:
            costs = {**COSTS, **{cost.name: cost for cost in timed}}
            priced = costs[options.cost]
        self.penalty = ResourcePenalty(self.cost_model.counting(priced), model)
        default = 'alpha' if counted.step is None else 'taylor'
        self.importance = IMPORTANCES[options.importance or default](
            self.penalty
        )
        self.milestones = parse_milestones(
            options.milestones, self.cost_model, self.budget, self.latency
        )
        self.schedule = make_schedule(
            options,
            runner.max_iters,
            len(runner.train_dataloader),
            runner.optim_wrapper._accumulative_counts,
        )
        self.controller = make_controller(options, self.budget, self.schedule)
        self.history = History()
        own = ('target', 'rho', 'threshold', 'cost', 'latency')
        settings = {name: getattr(options, name) for name in own}
        settings.update(
            asdict(self.schedule),
            input_shape=self.cost_model.input_shape,
            importance=self.importance.name,
            milestones=list(options.milestones),
        )
        self.settings = {name: str(value) for name, value in settings.items()}

    def select(
        self, alpha: Mapping[str, Tensor], iteration: int
    ) -> tuple[Keep, Milestone | None]:
        """Return what to keep, and the milestone that this meets, if any.

        Args:
            alpha: The abs(alpha) of every element, by unit name.
            iteration: Iteration of the shrink.
        """

        def rank(cost_model: CostModel) -> tuple[dict[str, Tensor], float]:
            importance, threshold = self.importance.ranked(
                alpha, self.controller.threshold, cost_model
            )
            return of_first_rank(importance), threshold

        counted = self.budget.cost_model if self.budget else self.cost_model
        importance, threshold = rank(counted)
        keep = self.controller.select(importance, iteration, threshold)
        now = {name: len(value) for name, value in alpha.items()}
        return stop_at_milestone(self.milestones, now, rank, keep, self.budget)

    def totals(self, architecture: Mapping[str, int]) -> dict[str, float]:
        """Return the costs of an architecture, by their names."""
        return self.cost_model.totals(architecture, self.costs)

    def state_dict(self) -> dict[str, Any]:
        """Return the state that a resumed run needs, in plain types."""
        return dict(
            settings=self.settings,
            controller=self.controller.state_dict(),
            history=asdict(self.history),
            latency=self.latency and self.latency.table.as_json(),
            importance=self.importance.state_dict(),
        )

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load a state that :meth:`state_dict` returned."""
        self.controller.load_state_dict(state['controller'])
        self.history = History(**state['history'])
        self.importance.load_state_dict(state.get('importance', {}))
        self._count_again_()

    def _count_again_(self) -> None:
        """Count what a run has noted; its target or table may be another."""
        networks = [*self.history.shrinks, *self.history.rungs]
        evaluated = [
            (facts, network)
            for facts in self.history.evaluations
            for network in networks
            if facts['costs'] == network['costs']
        ]
        for network in networks:
            counts = dict(zip(self.cost_model.supernet, network['counts']))
            network['costs'] = self.totals(counts)
        for facts, network in evaluated:
            facts['costs'] = network['costs']

    def resume_(self, runner: Runner, state: Mapping[str, Any]) -> None:
        """Resume from a checkpoint's state; log which settings have changed.

        Raises:
            ValueError: If the changed settings cannot be met any more.
        """
        # Earlier versions had no other importance.
        before = dict(importance='alpha') | state['settings']
        changed = {
            name
            for name, value in self.settings.items()
            if value != before.get(name, str(None))
        }
        for name in sorted(changed):
            runner.logger.info(
                f'Search: {name} is {self.settings[name]} from iteration '
                f'{runner.iter} on, it was {before.get(name)}'
            )
        first_rho = self.controller.rho
        self.load_state_dict(state)
        if 'rho' in changed:
            self.controller.rho = first_rho
        other_budget = changed & {'target', 'input_shape', 'latency'}
        if other_budget or changed & {'begin', 'end'}:
            self.replan_(runner, own=not other_budget)

    def replan_(self, runner: Runner, own: bool = False) -> None:
        """Plan the rest of the search from the network as it is.

        Args:
            runner: The runner, with the network.
            own: Whether it was this target that the network was cut for.

        Raises:
            ValueError: If the network can never meet the target.
        """
        architecture = architecture_of(bare_model(runner))
        self.controller.replan_(architecture, runner.iter, own)
        over = runner.iter >= self.schedule.end
        due = self.controller.is_due(runner.iter)
        if over and not due and self.misses(architecture):
            raise ValueError(
                f'target is {self.budget}, but the search ended at iteration '
                f'{self.schedule.end} and the network is still above it at '
                f'{runner.iter}; give a later end'
            )

    def misses(self, architecture: Mapping[str, int]) -> bool:
        """Return whether an architecture is above the target."""
        return self.budget is not None and (
            self.budget.spent(architecture) > self.budget.amount
        )
