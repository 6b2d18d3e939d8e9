"""Gradients in the training, as the importance of elements sees them."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from mmengine.runner import Runner
from torch import Tensor

from .search import Search


class Observing:
    """The gradients of each optimizer step of a search, up to its last shrink.

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
        self._own: Callable[..., Any] | None = None
        if search.importance.of_gradients:
            self._own = self._observed(runner.optim_wrapper.step)
            runner.optim_wrapper.step = self._own

    def remove(self) -> None:
        """Give the optimizer wrapper the step back that it had."""
        own = vars(self.runner.optim_wrapper)
        if self._own is not None and own.get('step') is self._own:
            del own['step']
            if self._before is not None:
                own['step'] = self._before

    def _observed(self, step: Callable[..., Any]) -> Callable[..., Any]:
        # What changes between iterations must not be compiled in.
        @torch.compiler.disable
        def observe() -> None:
            schedule = self.search.schedule
            over = self.search.controller.last_shrink >= schedule.end
            if self.runner.iter >= schedule.begin and not over:
                rho = self._rho() if self.contained else 0.0
                self.search.importance.add_(rho, self._scale())

        @wraps(step)  # schedulers look for their mark
        def observed(*args: Any, **kwargs: Any) -> Any:
            observe()
            return step(*args, **kwargs)

        return observed

    def _rho(self) -> float:
        """Return the mean coefficient over the iterations of a step."""
        count = self.runner.optim_wrapper._accumulative_counts
        last = self.runner.iter
        rhos = map(
            self.search.controller.rho_at, range(last - count + 1, last + 1)
        )
        return sum(rhos) / count

    def _scale(self) -> float | Tensor:
        scaler = getattr(self.runner.optim_wrapper, 'loss_scaler', None)
        if scaler is None:
            return 1.0
        # Its get_scale() would wait for the GPU.
        return scaler.scale(self.search.penalty.alphas()[0].new_ones(()))
