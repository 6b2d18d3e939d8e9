"""Collect the gradients of importance factors at each optimizer step."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import Tensor

from ..patching import Patch
from .search import Search


class Observing:
    """The gradients of each optimizer step of a search, up to its last shrink.

    They are those of all ranks and of all iterations of a step, before they
    are clipped.

    Args:
        search: The search of a run, at the start of its training.
    """

    def __init__(self, search: Search) -> None:
        self.runner, self.search = search.runner, search
        self._patch: Patch | None = None
        if search.importance.of_gradients:
            self._patch = Patch(
                self.runner.optim_wrapper, 'step', self._observed
            )

    def remove(self) -> None:
        """Give the optimizer wrapper the step back that it had."""
        if self._patch is not None:
            self._patch.remove()

    def _observed(self, step: Callable[..., Any]) -> Callable[..., Any]:
        # What changes between iterations must not be compiled in.
        @torch.compiler.disable
        def observe() -> None:
            schedule = self.search.schedule
            over = self.search.controller.last_shrink >= schedule.end
            if self.runner.iter >= schedule.begin and not over:
                self.search.importance.add_(self._rho(), self._scale())

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
