"""The schedule and the controller of a search, from its options."""

from mmengine.runner import Runner

from ..resume.state import bare_model
from ..search import (
    Budget,
    BudgetController,
    Controller,
    Schedule,
    named_search_units,
)
from .options import SearchOptions

# Defaults of a run with a target: its first eighth trains without the penalty,
# then there are 20 shrinks, and its last quarter trains the fixed network.
LEARN, SHRINKS, FINISH = 1 / 8, 20, 1 / 4
L1_RHO = 3e-4


def make_schedule(
    options: SearchOptions,
    max_iters: int,
    epoch_length: int,
    accumulative_counts: int = 1,
) -> Schedule:
    """Make a schedule in iterations from options that may count epochs.

    Args:
        options: Options of the search.
        max_iters: Length of the run in iterations.
        epoch_length: Number of iterations in an epoch.
        accumulative_counts: Number of iterations per optimizer step.

    Raises:
        ValueError: If a search with a target would not end within the run, or
            one without would not begin.
    """
    per = epoch_length if options.by_epoch else 1
    total, begin, end = max_iters // per, options.begin, options.end
    if options.target is None:
        begin = begin or 0
        end = total if end is None else end
    else:
        begin = int(LEARN * total) if begin is None else begin
        last = max(begin + 1, int((1 - FINISH) * total))
        end = last if end is None else end
    interval = options.interval or max(1, (end - begin) // SHRINKS)
    # A shrink waits for the end of a gradient accumulation.
    most = (max_iters - accumulative_counts) // per
    if options.target is not None and not begin < end <= most:
        unit = 'epochs' if options.by_epoch else 'iterations'
        raise ValueError(
            f'end must be after begin={begin} and at most {most} {unit}, so '
            f'that the network meets its target within the run of {total}, '
            f'got {end}'
        )
    if begin >= end:
        raise ValueError(
            f'begin must be before the search ends at {end}, got {begin}'
        )
    return Schedule(
        begin * per, end * per, interval * per, options.warmup * per
    )


def make_controller(
    options: SearchOptions,
    runner: Runner,
    budget: Budget | None,
    schedule: Schedule,
) -> Controller:
    """Make the controller, which decides on rho and on what is removed."""
    rho, threshold = options.rho, options.threshold
    if rho is None and options.penalty == 'l1':
        rho = L1_RHO
    elif rho is None:
        # With this rho, an element of average price that the loss does not
        # need has been removed by the end.
        rho = 1 / (_alpha_lr(runner) * (schedule.end - schedule.begin))
    if budget is None:
        return Controller(schedule, rho, threshold)
    return BudgetController(budget, schedule, rho, threshold)


def _alpha_lr(runner: Runner) -> float:
    """Return the largest learning rate that importance factors will have.

    Raises:
        ValueError: If it is 0: proximal steps are proportional to it.
    """
    units = named_search_units(bare_model(runner)).values()
    alphas = {id(unit.alpha) for unit in units}
    rates = (
        group.get(key, 0.0)
        for group in runner.optim_wrapper.optimizer.param_groups
        if any(id(param) in alphas for param in group['params'])
        for key in ('lr', 'initial_lr', 'max_lr')
    )
    rate = max(rates, default=0.0)
    if rate <= 0:
        raise ValueError(
            "penalty='proximal' needs a learning rate, but optim_wrapper."
            f'optimizer.lr of the importance factors is {rate}'
        )
    return float(rate)
