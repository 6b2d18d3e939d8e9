"""From the hook's arguments to the search of one run, and its state."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

from mmengine.runner import Runner

from ..search import (
    Budget,
    BudgetController,
    CostModel,
    FixedRho,
    ResourcePenalty,
    Schedule,
    architecture_of,
    named_search_units,
    parse_budget,
)
from ..search.controller import Importance
from ..search.shrink import Keep
from .dense import cost_model_of
from .milestones import Milestone, parse_milestones, stop_at_milestone
from .surgery import bare_model

if TYPE_CHECKING:
    from .progressive_shrink_hook import ProgressiveShrinkHook

# What a run with a target does where the user does not say: an eighth of it
# learns first, 20 shrinks, and a quarter trains the fixed network.
LEARN, SHRINKS, FINISH = 1 / 8, 20, 1 / 4
L1_RHO = 3e-4


def make_schedule(hook: 'ProgressiveShrinkHook', runner: Runner) -> Schedule:
    """Count in iterations what the hook may count in epochs.

    Raises:
        ValueError: If the search with a target would not end within the run.
    """
    per = len(runner.train_dataloader) if hook.by_epoch else 1
    total, begin, end = runner.max_iters // per, hook.begin, hook.end
    if hook.target is None:
        begin = begin or 0
        end = total if end is None else end
        return Schedule(
            begin * per, end * per, hook.interval * per, hook.warmup * per
        )
    begin = int(LEARN * total) if begin is None else begin
    end = max(begin + 1, int((1 - FINISH) * total)) if end is None else end
    interval = hook.interval or max(1, (end - begin) // SHRINKS)
    schedule = Schedule(
        begin * per, end * per, interval * per, hook.warmup * per
    )
    # A shrink waits for the end of a gradient accumulation.
    most = runner.max_iters - runner.optim_wrapper._accumulative_counts
    if not schedule.begin < schedule.end <= most:
        raise ValueError(
            f'end must be after begin={schedule.begin} and at most {most} '
            'iterations, so that the network meets its target within the '
            f'run of {runner.max_iters}, got {schedule.end}'
        )
    return schedule


def make_controller(
    hook: 'ProgressiveShrinkHook',
    runner: Runner,
    cost_model: CostModel,
    budget: Budget | None,
    schedule: Schedule,
) -> FixedRho | BudgetController:
    """Make the one that decides on rho and on what goes."""
    if budget is None:
        return FixedRho(hook.rho, hook.threshold)
    rho = hook.rho
    if rho is None and hook.penalty == 'l1':
        rho = L1_RHO
    elif rho is None:
        # An element of average cost and no use is gone at the end.
        rho = 1 / (_alpha_lr(runner) * (schedule.end - schedule.begin))
    return BudgetController(cost_model, budget, schedule, rho, hook.threshold)


def _alpha_lr(runner: Runner) -> float:
    """The largest learning rate that importance factors will have."""
    units = named_search_units(bare_model(runner)).values()
    alphas = {id(unit.alpha) for unit in units}
    return max(
        group.get(key, 0.0)
        for group in runner.optim_wrapper.optimizer.param_groups
        if any(id(param) in alphas for param in group['params'])
        for key in ('lr', 'initial_lr', 'max_lr')
    )


STATE = 'search_state'


class Search:
    """The search of one run: what it counts, when it shrinks, how far it is.

    Args:
        hook: Has the arguments.
        runner: Its model is the supernet.

    Raises:
        ValueError: If a target or a milestone cannot be met by this supernet
            in this run.
    """

    def __init__(self, hook: 'ProgressiveShrinkHook', runner: Runner) -> None:
        model = bare_model(runner)
        self.threshold = hook.threshold
        self.cost_model = cost_model_of(model, hook.input_shape)
        self.budget = (
            None
            if hook.target is None
            else parse_budget(hook.target, self.cost_model)
        )
        counted = self.budget.resource if self.budget else 'macs'
        self.penalty = ResourcePenalty(self.cost_model, hook.cost or counted)
        self.milestones = parse_milestones(
            hook.milestones, self.cost_model, self.budget
        )
        self.schedule = make_schedule(hook, runner)
        self.controller = make_controller(
            hook, runner, self.cost_model, self.budget, self.schedule
        )
        self.last_shrink = -1
        own = ('target', 'rho', 'penalty', 'milestones', 'threshold', 'cost')
        settings = {name: getattr(hook, name) for name in own}
        settings.update(
            asdict(self.schedule), input_shape=self.cost_model.input_shape
        )
        self.settings = {name: str(value) for name, value in settings.items()}

    def rho(self, iteration: int) -> float:
        """The coefficient of the penalty in an iteration."""
        return self.controller.rho * self.schedule.factor(iteration)

    def is_due(self, iteration: int) -> bool:
        """Whether the network has to shrink before an iteration."""
        return self.schedule.is_due(iteration, self.last_shrink)

    def adapt_(self, runner: Runner, importance: Importance) -> None:
        """Adapt rho; from now on the shrink of this iteration is done."""
        self.controller.update_(importance, runner.iter)
        self.last_shrink = runner.iter
        self.remember(runner)

    def select(
        self, importance: Importance, iteration: int
    ) -> tuple[Keep, Milestone | None]:
        """Return what to keep, and a milestone if that is one."""
        return stop_at_milestone(
            self.milestones,
            self.cost_model,
            importance,
            self.threshold,
            self.controller.select(importance, iteration),
        )

    def remember(self, runner: Runner) -> None:
        """Let checkpoints know how far the search has come."""
        runner.message_hub.update_info(
            STATE,
            dict(
                settings=self.settings,
                last_shrink=self.last_shrink,
                controller=self.controller.state_dict(),
            ),
        )

    def resume(self, runner: Runner) -> None:
        """Go on where a checkpoint says; tell what has been changed since.

        Raises:
            ValueError: If what was changed makes no sense any more.
        """
        state = runner.message_hub.runtime_info.get(STATE)
        if not state:
            return
        before = state['settings']
        changed = {
            name
            for name, value in self.settings.items()
            if value != before.get(name)
        }
        for name in sorted(changed):
            runner.logger.info(
                f'Search: {name} is {self.settings[name]} from iteration '
                f'{runner.iter} on, it was {before.get(name)}'
            )
        self.last_shrink = state['last_shrink']
        first_rho = self.controller.rho
        if state['controller']:
            self.controller.load_state_dict(state['controller'])
        if changed & {'rho', 'penalty'}:
            self.controller.rho = first_rho
        if changed & {'target', 'begin', 'end', 'input_shape'}:
            self.replan_(runner)

    def replan_(self, runner: Runner) -> None:
        """Go on from the network as it is.

        Raises:
            ValueError: If it can never meet the target.
        """
        architecture = architecture_of(bare_model(runner))
        self.controller.replan_(architecture, runner.iter)
        over = runner.iter >= self.schedule.end
        if over and not self.is_due(runner.iter) and self.misses(architecture):
            raise ValueError(
                f'target is {self.budget}, but the search ended at iteration '
                f'{self.schedule.end} and the network is still above it at '
                f'{runner.iter}; give a later end'
            )

    def misses(self, architecture: Mapping[str, int]) -> bool:
        """Whether an architecture is above the target."""
        if self.budget is None:
            return False
        cost = self.cost_model.total(architecture, self.budget.resource)
        return cost > self.budget.amount

    def announce(self, runner: Runner) -> None:
        """Log what is going to happen."""
        schedule = self.schedule
        goal = (
            f'down to {self.budget}'
            if self.budget
            else f'with rho {self.controller.rho:g}'
        )
        runner.logger.info(
            f'Search: {goal} at {self.cost_model.input_shape}, a shrink every '
            f'{schedule.interval} iterations from {schedule.begin} to '
            f'{schedule.end} of {runner.max_iters}'
        )
