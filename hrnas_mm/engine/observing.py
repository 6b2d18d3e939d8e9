"""Gradients in the training, as the importance of elements sees them."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from mmengine.runner import Runner

from .search import Search


class Observing:
    """The gradients of each optimizer step up to the last shrink.

    They are those of all ranks and of all iterations of a step, before they
    are clipped.

    Args:
        runner: The runner, at the start of its training.
        search: The search of the run.
        penalty: 'l1' if the gradients contain the penalty.
    """

    def __init__(self, runner: Runner, search: Search, penalty: str) -> None:
        self.runner = runner
        self.search = search
        self.contained = penalty == 'l1'
        self._before = vars(runner.optim_wrapper).get('step')
        if search.importance.of_gradients:
            wrapper = runner.optim_wrapper
            wrapper.step = self._observed(wrapper.step)

    def remove(self) -> None:
        """Give the optimizer wrapper the step back that it had."""
        wrapper = self.runner.optim_wrapper
        vars(wrapper).pop('step', None)
        if self._before is not None:
            wrapper.step = self._before

    def _observed(self, step: Callable[..., Any]) -> Callable[..., Any]:
        # What changes between iterations must not be compiled in.
        @torch.compiler.disable
        def observe() -> None:
            if self.runner.iter >= self.search.schedule.end:
                return
            rho = self.search.controller.rho_at(self.runner.iter)
            scaler = getattr(self.runner.optim_wrapper, 'loss_scaler', None)
            scale = 1.0 if scaler is None else scaler.get_scale()
            self.search.importance.add_(rho if self.contained else 0, scale)

        @wraps(step)  # schedulers look for their mark
        def observed(*args: Any, **kwargs: Any) -> Any:
            observe()
            return step(*args, **kwargs)

        return observed
