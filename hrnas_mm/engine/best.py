"""Make save_best and early stopping ignore networks above the target."""

from collections.abc import Callable
from typing import Any

from mmengine.hooks import CheckpointHook, EarlyStoppingHook

from ..patching import Patch
from .search import Search


def ignore_above_target_(search: Search) -> None:
    """Make save_best and EarlyStoppingHook ignore networks above the target.

    The larger a network, the better its metric: ``save_best`` would keep one
    that has hardly shrunk, and EarlyStoppingHook would end the search early.
    """
    if search.budget is None:
        return

    def once_met(count: Callable[..., None]) -> Callable[..., None]:
        def after_val_epoch(*args: Any, **kwargs: Any) -> None:
            if not search.misses(search.architecture):
                count(*args, **kwargs)

        return after_val_epoch

    for hook in search.runner.hooks:
        saves_best = isinstance(hook, CheckpointHook) and hook.save_best
        if saves_best or isinstance(hook, EarlyStoppingHook):
            Patch(hook, 'after_val_epoch', once_met)
            search.runner.logger.info(
                f'Search: {type(hook).__name__} counts evaluations of '
                f'networks that meet the target of {search.budget}'
            )
