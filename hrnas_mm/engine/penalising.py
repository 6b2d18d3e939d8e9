"""The penalty in the training: a term of the loss, or a proximal step."""

from collections.abc import Callable
from typing import Any

import torch
from mmengine.runner import Runner
from torch.optim import Optimizer

from ..resume.state import bare_model
from ..search import check_optimizer
from .search import Search

LOSS = 'loss_resource'


class Penalising:
    """The penalty in the training of a run, until it is removed.

    Args:
        runner: The runner, at the start of its training.
        search: The search of the run, which determines rho.
        penalty: 'l1' for a term of the loss, or 'proximal' for a separate
            step after each optimizer step.
    """

    def __init__(self, runner: Runner, search: Search, penalty: str) -> None:
        self.runner = runner
        self.search = search
        self.penalty = penalty
        self._step_checked = False
        if penalty == 'l1':
            model: Any = bare_model(runner)
            # No framework overrides parse_losses.
            model.parse_losses = self._with_penalty(model.parse_losses)
        optimizer = runner.optim_wrapper.optimizer
        self._step_hook = optimizer.register_step_post_hook(self._after_step)

    def remove(self) -> None:
        """Remove the penalty from the model and the optimizer."""
        if self.penalty == 'l1':
            del bare_model(self.runner).parse_losses
        self._step_hook.remove()

    def clear_log_(self) -> None:
        """Remove the penalty from the log while rho is 0.

        Otherwise the log would still show its average over past iterations.
        """
        if not self._rho:
            hub = self.runner.message_hub
            hub.log_scalars.pop(f'train/{LOSS}', None)

    @property
    def _rho(self) -> float:
        return self.search.controller.rho_at(self.runner.iter)

    def _with_penalty(self, parse: Callable[..., Any]) -> Callable[..., Any]:
        # rho changes from one iteration to the next: it must not be compiled
        # in as a constant.
        @torch.compiler.disable
        def parse_losses(losses: dict[str, Any]) -> Any:
            if self._rho:
                term = self._rho * self.search.penalty()
                losses = {**losses, LOSS: term}
            return parse(losses)

        return parse_losses

    def _after_step(
        self, optimizer: Optimizer, args: Any, kwargs: Any
    ) -> None:
        if not self._step_checked:
            params = [p for g in optimizer.param_groups for p in g['params']]
            check_optimizer(optimizer, params)
            self._step_checked = True
        if self._rho and self.penalty == 'proximal':
            self.search.penalty.soft_threshold_(self._rho, optimizer)
