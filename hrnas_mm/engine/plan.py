"""The schedule and the controller of a search, from its options."""

from dataclasses import replace

from torch import nn

from ..search import Budget, BudgetController, Controller, Schedule
from ..search.units import named_searchables
from .options import SearchOptions

# Defaults of a run with a target: its first eighth trains without the penalty,
# then there are 20 shrinks, and its last quarter trains the fixed network.
LEARN, SHRINKS, FINISH = 1 / 8, 20, 1 / 4
FIRST_RHO = 3e-4
# For stock networks, whose scales have learnt elsewhere: docs/pretrained.md.
STOCK_IMPORTANCE, STOCK_RHO = 'taylor', 0.0


def with_defaults(options: SearchOptions, model: nn.Module) -> SearchOptions:
    """Fill in the options that depend on the kind of network.

    Args:
        options: Options that the user gave.
        model: Model that is searched.
    """
    searchables = (module for _, module in named_searchables(model))
    stock = any(getattr(module, 'is_stock', False) for module in searchables)
    if options.target is None or not stock:
        return options
    return replace(
        options,
        importance=options.importance or STOCK_IMPORTANCE,
        rho=STOCK_RHO if options.rho is None else options.rho,
    )


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
    options: SearchOptions, budget: Budget | None, schedule: Schedule
) -> Controller:
    """Make the controller, which decides on rho and on what is removed."""
    rho = FIRST_RHO if options.rho is None else options.rho
    if budget is None:
        return Controller(schedule, rho)
    return BudgetController(budget, schedule, rho)
