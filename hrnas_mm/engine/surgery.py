"""Shrinking a Runner's model, optimizer state and EMA copy together."""

from collections.abc import Callable, Mapping

import torch
from mmengine.dist import broadcast
from mmengine.model import BaseAveragedModel, is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor

from .. import compat
from ..runners import averaged_model, bare_model, evaluated_model
from ..search import (
    apply_architecture_,
    architecture_of,
    importances,
    shrink_,
)


def importances_of_runner(runner: Runner) -> dict[str, Tensor]:
    """Return importance in raw and EMA weights, the same on all ranks.

    Raises:
        ValueError: If an importance factor is not finite; the message names
            its unit.
    """
    copies = [bare_model(runner), evaluated_model(runner)]
    return from_rank_0(
        importances(list({id(copy): copy for copy in copies}.values()))
    )


def from_rank_0(values_of: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return rank 0's values: the last bit may differ between unlike GPUs."""
    values = torch.cat(list(values_of.values()))
    broadcast(values)
    sizes = [len(value) for value in values_of.values()]
    return dict(zip(values_of, values.split(sizes)))


def shrink_runner_(runner: Runner, keep: Mapping[str, Tensor]) -> None:
    """Remove elements from model, optimizer state and EMA copy.

    Has to be called in ``before_train_iter``: later the outputs of the step
    keep the old graph alive, and a data-parallel wrapper cannot be renewed.
    """
    _change_(
        runner, lambda model, *optimizer: shrink_(model, keep, *optimizer)
    )


def apply_architecture_to_runner_(
    runner: Runner, architecture: Mapping[str, int]
) -> None:
    """Shrink a runner's supernet to an architecture before loading weights."""
    if architecture_of(bare_model(runner)) != architecture:
        _change_(
            runner,
            lambda model, *optimizer: apply_architecture_(
                model, architecture, *optimizer
            ),
        )


def _change_(runner: Runner, change_: Callable[..., None]) -> None:
    """Apply a change to model and optimizer, and to the EMA copy alike."""
    change_(bare_model(runner), runner.optim_wrapper.optimizer)
    averaged = averaged_model(runner)
    if averaged is not None:
        change_(averaged.module)
        refresh_averages_(averaged)
    rewrap_(runner)


def refresh_averages_(averaged: BaseAveragedModel) -> None:
    """Rebuild the dict of its tensors that an averaged model keeps."""
    averaged.avg_parameters = (
        averaged.module.state_dict()
        if averaged.update_buffers
        else dict(averaged.module.named_parameters())
    )


def rewrap_(runner: Runner) -> None:
    """Renew compiled code and model wrapper, which know the old shapes."""
    if runner.cfg.get('compile'):
        torch.compiler.reset()
    if not is_model_wrapper(runner.model):
        return
    model = runner.model.module
    # The old wrapper has to be gone before its successor registers hooks;
    # the attributes that were set on it refer to it.
    compiled = vars(runner.model).pop('train_step', None) is not None
    vars(runner.model).pop('no_sync', None)
    runner.model = None
    runner.model = runner.wrap_model(
        runner.cfg.get('model_wrapper_cfg'), model
    )
    compat.sync_first_iteration_(runner.model)
    if compiled:
        runner._maybe_compile('train_step')
