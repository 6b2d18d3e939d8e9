"""The penalty as a term of the loss of a training."""

from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer

from ..patching import Patch
from ..search import check_optimizer
from .check_runner import naming_the_optimizer
from .learning import check_terms, learns, not_learning
from .search import Search

LOSS = 'loss_resource'
HISTORY = 'search/penalty'  # in the message hub, which checkpoints have
# Steps without a gradient that a training may begin with: all pixels of its
# first images may be ignored.
IDLE_STEPS = 3


class Penalising:
    """The penalty in the training of a run, until it is removed.

    Args:
        search: The search of a run, at the start of its training.
    """

    def __init__(self, search: Search) -> None:
        self.runner, self.search = search.runner, search
        self._steps = 0
        self._losses: tuple[str, ...] = ()
        # No framework overrides parse_losses.
        self._patch = Patch(search.model, 'parse_losses', self._with_penalty)
        optimizer = self.runner.optim_wrapper.optimizer
        self._step_hook = optimizer.register_step_post_hook(self._check_step)

    def remove(self) -> None:
        """Remove the penalty from the model, its check from the optimizer."""
        self._patch.remove()
        self._step_hook.remove()

    def note_(self) -> None:
        """Note the penalty of the iteration; leave it out of the log if 0.

        Otherwise the log would still show its average over past iterations.
        """
        hub, name = self.runner.message_hub, f'train/{LOSS}'
        if not self._rho:
            hub.log_scalars.pop(name, None)
        term = hub.log_scalars.get(name)
        hub.update_scalar(HISTORY, 0.0 if term is None else term.current())

    @property
    def _rho(self) -> float:
        return self.search.controller.rho_at(self.runner.iter)

    def _with_penalty(self, parse: Callable[..., Any]) -> Callable[..., Any]:
        # rho changes from one iteration to the next: it must not be compiled
        # in as a constant.
        @torch.compiler.disable
        def parse_losses(losses: dict[str, Any]) -> Any:
            check_terms(losses, self.runner.cfg)
            self._losses = tuple(losses)
            if self._rho:
                term = self._rho * self.search.penalty()
                losses = {**losses, LOSS: term}
            return parse(losses)

        return parse_losses

    def _check_step(
        self, optimizer: Optimizer, args: Any, kwargs: Any
    ) -> None:
        """Check, after the first steps, what they have done.

        The first shows the state that the optimizer keeps.
        """
        if self._steps == 0:
            params = [p for g in optimizer.param_groups for p in g['params']]
            with naming_the_optimizer():
                check_optimizer(optimizer, params)
        if self._steps < IDLE_STEPS:
            self._steps += 1
            if learns(self.search.model):
                self._steps = IDLE_STEPS
            elif self._steps == IDLE_STEPS:
                raise ValueError(not_learning(self._losses))
