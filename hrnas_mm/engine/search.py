"""The search of one run: its costs, its schedule and its progress."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from mmengine.runner import Runner
from torch import Tensor, nn

from ..deploy import cost_model_of
from ..runners import bare_model
from ..search import (
    COSTS,
    REPORTED,
    Cost,
    CostModel,
    Ranking,
    ResourcePenalty,
    architecture_of,
)
from ..search.descent import allowed
from ..search.importance import IMPORTANCES
from ..search.ranking import Keep
from .check_resumed import check_resumed, load_importance_
from .latency import latency_of, parse_target
from .milestones import (
    NamedBudget,
    crossed,
    on_the_way,
    parse_milestones,
)
from .options import SearchOptions
from .plan import make_controller, make_schedule, with_defaults
from .state import History, SearchState
from .surgery import from_rank_0


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
        self.runner = runner
        self.options = options = with_defaults(options, self.model)
        self.cost_model: CostModel = cost_model_of(
            self.model, options.input_shape
        )
        self.latency = latency_of(options.latency, runner, self.cost_model)
        self.budget = (
            None
            if options.target is None
            else parse_target(
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
        self.penalty = ResourcePenalty(
            self.cost_model.counting(priced), self.model, options.threshold
        )
        importance = options.importance or counted.cut.importance
        self.importance = IMPORTANCES[importance](self.penalty)
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
        self.settings = self._settings()

    def _settings(self) -> dict[str, str]:
        names = ('target', 'rho', 'threshold', 'cost', 'latency')
        settings = {name: getattr(self.options, name) for name in names}
        settings.update(
            asdict(self.schedule),
            input_shape=self.cost_model.input_shape,
            importance=self.importance.name,
            milestones=list(self.options.milestones),
        )
        return {name: str(value) for name, value in settings.items()}

    @property
    def model(self) -> nn.Module:
        """Return the model that trains, without its wrapper."""
        return bare_model(self.runner)

    @property
    def architecture(self) -> dict[str, int]:
        """Return the architecture as it is now."""
        return architecture_of(self.model)

    def alive(self, alpha: Mapping[str, Tensor]) -> dict[str, int]:
        """Return the number of elements of every unit that are not dead.

        Args:
            alpha: abs(alpha) of every element, by unit name.
        """
        return Ranking.by_threshold(alpha, self.options.threshold).alive

    def select(
        self, alpha: Mapping[str, Tensor]
    ) -> tuple[Keep, list[NamedBudget]]:
        """Return what to keep now, and the milestones that this meets.

        Args:
            alpha: abs(alpha) of every element, by unit name.
        """
        counted = self.budget.cost_model if self.budget else self.cost_model
        ranking = self._ranking(alpha, counted)
        counts = self.controller.select(ranking, self.runner.iter)
        met = crossed(self.milestones, ranking.counts, counts)
        own = [
            budget
            for _, budget in met
            if not self.budget or budget.cost_model is counted
        ]
        if own:
            nearest = own[0]
            ranking = self._ranking(alpha, nearest.cost_model)
            counts = nearest.cost.cut(
                self.controller.looking_ahead(ranking),
                nearest.cost_model,
                allowed(nearest.amount),
            )
            met = crossed(self.milestones, ranking.counts, counts)
        # A network that meets one milestone may be far below another.
        if len(met) > 1 or met and not own:
            counts = on_the_way(ranking, counts, met, counted)
            met = crossed(met, ranking.counts, counts)
        return ranking.best(self.cost_model.settled(counts)), met

    def _ranking(
        self, alpha: Mapping[str, Tensor], cost_model: CostModel
    ) -> Ranking:
        ranking = self.importance.ranked(
            alpha, self.options.threshold, cost_model
        )
        ranking = replace(ranking, score=from_rank_0(ranking.score))
        return ranking.sparing(cost_model.least)

    def totals(self, architecture: Mapping[str, int]) -> dict[str, float]:
        """Return the costs of an architecture, by their names."""
        return self.cost_model.totals(architecture, self.costs)

    def state_dict(self) -> dict[str, Any]:
        """Return the state that a resumed run needs, in plain types."""
        return asdict(
            SearchState(
                self.settings,
                self.controller.state_dict(),
                self.history,
                self.latency and self.latency.table.as_json(),
                self.importance.state_dict(),
            )
        )

    def _load_(self, state: SearchState) -> None:
        self.controller.load_state_dict(state.controller)
        self.history = state.history
        load_importance_(self.importance, state)
        self._recount_()

    def _recount_(self) -> None:
        """Recompute the costs in the history.

        The target or the table may have changed.
        """
        history = self.history
        before: list[Any] = [*history.shrinks, *history.milestones]
        history.shrinks = list(map(self._recounted, history.shrinks))
        history.milestones = list(map(self._recounted, history.milestones))
        now: list[Any] = [*history.shrinks, *history.milestones]
        for i, evaluation in enumerate(history.evaluations):
            for old, new in zip(before, now):
                if evaluation.costs == old.costs:
                    history.evaluations[i] = replace(
                        evaluation, costs=new.costs
                    )

    def _recounted(self, network: Any) -> Any:
        counts = dict(zip(self.cost_model.supernet, network.counts))
        return replace(network, costs=self.totals(counts))

    def resume_(self, state: SearchState) -> None:
        """Resume from a checkpoint's state; log which settings have changed.

        Raises:
            ValueError: If the changed settings cannot be met any more.
        """
        before = state.settings
        changed = {
            name
            for name, value in self.settings.items()
            if value != before.get(name, str(None))
        }
        for name in sorted(changed):
            self.runner.logger.info(
                f'Search: {name} is {self.settings[name]} from iteration '
                f'{self.runner.iter} on, it was {before.get(name)}'
            )
        first_rho = self.controller.rho
        self._load_(state)
        if 'rho' in changed:
            self.controller.rho = first_rho
        other_budget = changed & {'target', 'input_shape', 'latency'}
        if other_budget or changed & {'begin', 'end'}:
            self.replan_(same_budget=not other_budget)
        check_resumed(
            self.controller,
            self.history,
            self.cost_model.supernet,
            self.runner.iter,
        )

    def replan_(self, same_budget: bool = False) -> None:
        """Plan the rest of the search from the network as it is.

        Args:
            same_budget: Whether the network was cut to this target before.

        Raises:
            ValueError: If the network can never meet the target.
        """
        iteration = self.runner.iter
        self.controller.replan_(self.architecture, iteration, same_budget)
        over = iteration >= self.schedule.end
        due = self.controller.is_due(iteration)
        if over and not due and self.misses(self.architecture):
            raise ValueError(
                f'target is {self.budget}, but the search ended at iteration '
                f'{self.schedule.end} and the network is still above it at '
                f'{iteration}; give a later end'
            )

    def misses(self, architecture: Mapping[str, int]) -> bool:
        """Return whether an architecture is above the target."""
        return self.budget is not None and (
            self.budget.spent(architecture) > self.budget.amount
        )
