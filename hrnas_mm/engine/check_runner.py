"""Checks of a run before its training, and of its numbers during it."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.hooks import EMAHook, Hook
from mmengine.model import is_model_wrapper
from mmengine.optim import (
    OptimWrapper,
    OptimWrapperDict,
    ZeroRedundancyOptimizer,
)
from mmengine.runner import Runner
from torch import nn

from ..resume.files import last_whole
from ..resume.rng import forked_rng
from ..search import importances, try_out


def check_runner(runner: Runner, search_hook: Hook) -> None:
    """Refuse ways of training in which tensors cannot be sliced.

    Args:
        runner: The runner, before its training.
        search_hook: The search hook of the run.

    Raises:
        TypeError: If the runner, its model wrapper, its hooks or its
            optimizer is not suitable; the message names the config key.
    """
    if not isinstance(runner, Runner):
        raise TypeError(
            "ProgressiveShrinkHook needs runner_type='Runner', got "
            f'{type(runner).__name__}: FSDP and DeepSpeed keep parts of the '
            'parameters on other ranks, where a shrink cannot slice them'
        )
    model = runner.model
    if is_model_wrapper(model) and not isinstance(
        model, nn.parallel.DistributedDataParallel
    ):
        raise TypeError(
            'ProgressiveShrinkHook needs model_wrapper_cfg.type='
            f"'MMDistributedDataParallel', got {type(model).__name__}, which "
            'keeps parameters where a shrink cannot slice them'
        )
    for kind in (EMAHook, type(search_hook)):
        hooks = [hook for hook in runner.hooks if isinstance(hook, kind)]
        if len(hooks) > 1:
            raise TypeError(
                f'custom_hooks and default_hooks must have one {kind.__name__}'
                f' at most, got {len(hooks)}'
            )
    wrapper = runner.optim_wrapper
    if not isinstance(wrapper, OptimWrapper) or isinstance(
        wrapper, OptimWrapperDict
    ):
        raise TypeError(
            'ProgressiveShrinkHook needs one optimizer, optim_wrapper.type='
            "'OptimWrapper' or 'AmpOptimWrapper', got "
            f'{type(wrapper).__name__}'
        )
    if isinstance(wrapper.optimizer, ZeroRedundancyOptimizer):
        raise TypeError(
            'ProgressiveShrinkHook needs an optimizer that has its whole '
            'state on every rank, got ZeroRedundancyOptimizer'
        )
    with forked_rng(0), naming_the_optimizer():
        try_out(wrapper.optimizer)


@contextmanager
def naming_the_optimizer() -> Iterator[None]:
    """Name the key of the config in an error about the optimizer.

    Raises:
        TypeError: In place of a TypeError.
    """
    try:
        yield
    except TypeError as error:
        raise TypeError(f'optim_wrapper.optimizer: {error}') from error


@contextmanager
def stopping(runner: Runner) -> Iterator[None]:
    """Turn an error about NaN or infinite numbers into one with advice.

    Raises:
        RuntimeError: In place of a ValueError; the message says where the
            search stopped and which checkpoint it can resume from.
    """
    try:
        yield
    except ValueError as error:
        raise RuntimeError(
            f'search stopped at iteration {runner.iter}: {error}. '
            f'{last_whole(runner)} Try a smaller learning rate, a smaller '
            'rho or a longer warmup'
        ) from error


def check_losses(losses: Mapping[str, Any], model: nn.Module) -> None:
    """Raise ValueError if a loss is NaN or infinite.

    If an importance factor is not finite either, it is named too, since it
    may be the cause.
    """
    values = {
        name: float(torch.as_tensor(value).detach())
        for name, value in losses.items()
        if 'loss' in name
    }
    broken = [
        f'{name} is {value}'
        for name, value in values.items()
        if not math.isfinite(value)
    ]
    if not broken:
        return
    # The sum of all losses comes first; its terms say more.
    problems = broken[1:] or broken
    try:
        importances([model])
    except ValueError as error:
        problems.append(str(error))
    raise ValueError('; '.join(problems))


def check_weights(model: nn.Module) -> None:
    """Raise ValueError if a parameter is NaN or infinite."""
    importances([model])
    for name, param in model.named_parameters():
        if not torch.isfinite(param).all():
            raise ValueError(f'{name} must be finite')
