"""The best network of a search has to be one that meets the target."""

from collections.abc import Callable
from typing import Any

from mmengine.hooks import CheckpointHook, EarlyStoppingHook
from mmengine.runner import Runner

from ..resume.state import bare_model
from ..search import architecture_of
from .search import Search


def count_from_target_on_(runner: Runner, search: Search) -> None:
    """Make save_best and EarlyStoppingHook ignore networks above the target.

    The larger a network, the better its metric: ``save_best`` would keep one
    that has hardly shrunk, and EarlyStoppingHook would end the search early.
    """
    if search.budget is None:
        return
    for hook in runner.hooks:
        saves_best = isinstance(hook, CheckpointHook) and hook.save_best
        if saves_best or isinstance(hook, EarlyStoppingHook):
            vars(hook)['after_val_epoch'] = _once_met(
                hook.after_val_epoch, runner, search
            )
            runner.logger.info(
                f'Search: {type(hook).__name__} counts evaluations of '
                f'networks that meet the target of {search.budget}'
            )


def _once_met(
    count: Callable[..., None], runner: Runner, search: Search
) -> Callable[..., None]:
    def after_val_epoch(*args: Any, **kwargs: Any) -> None:
        if not search.misses(architecture_of(bare_model(runner))):
            count(*args, **kwargs)

    return after_val_epoch
