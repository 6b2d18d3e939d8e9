"""From the hook's arguments to a schedule and a controller for this run."""

from typing import TYPE_CHECKING, Any

from mmengine.runner import Runner

from ..search import (
    BudgetController,
    CostModel,
    FixedRho,
    Schedule,
    named_search_units,
    parse_budget,
)
from ..search.budget import Budget
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
        group.get('initial_lr', group['lr'])
        for group in runner.optim_wrapper.optimizer.param_groups
        if any(id(param) in alphas for param in group['params'])
    )


def make_budget(
    hook: 'ProgressiveShrinkHook', cost_model: CostModel
) -> Budget | None:
    """Read the target, if there is one."""
    if hook.target is None:
        return None
    return parse_budget(hook.target, cost_model)


SETTINGS = (
    'target',
    'rho',
    'interval',
    'penalty',
    'milestones',
    'threshold',
    'warmup',
    'begin',
    'end',
    'by_epoch',
    'cost',
)


def settings_of(hook: 'ProgressiveShrinkHook') -> dict[str, Any]:
    """What may be changed when a run is resumed, as text."""
    return {name: str(getattr(hook, name)) for name in SETTINGS}
