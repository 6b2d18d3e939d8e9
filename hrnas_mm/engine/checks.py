"""What can be wrong between model and data, found before training."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from mmengine.model import is_model_wrapper
from mmengine.optim import (
    OptimWrapper,
    OptimWrapperDict,
    ZeroRedundancyOptimizer,
)
from mmengine.runner import Runner
from torch import nn

from ..search import importances
from .rng import forked_rng

if TYPE_CHECKING:
    from .progressive_shrink_hook import ProgressiveShrinkHook


def check_options(hook: 'ProgressiveShrinkHook') -> None:
    """Raise ValueError if an argument of the hook is out of range."""
    for name in ('threshold', 'warmup', 'calibration_batches', 'rho', 'begin'):
        value = getattr(hook, name)
        if value is not None and not value >= 0:
            raise ValueError(f'{name} must not be negative, got {value}')
    if hook.target is None and (hook.rho is None or hook.interval is None):
        raise ValueError(
            'target must be given, or rho and interval, got '
            f'rho={hook.rho} and interval={hook.interval}'
        )
    if hook.target is not None and hook.rho == 0:
        raise ValueError('rho must be positive with a target, got 0')
    if hook.interval is not None and hook.interval < 1:
        raise ValueError(f'interval must be at least 1, got {hook.interval}')
    if hook.end is not None and hook.end <= (hook.begin or 0):
        raise ValueError(
            f'end must be after begin={hook.begin or 0}, got end={hook.end}'
        )
    for name, known in (
        ('penalty', ('l1', 'proximal')),
        ('cost', (None, 'macs', 'params', 'eq6')),
    ):
        if getattr(hook, name) not in known:
            expected = ' or '.join(repr(value) for value in known if value)
            raise ValueError(
                f'{name} must be {expected}, got {getattr(hook, name)!r}'
            )


def input_shape_of(
    model: nn.Module, shape: Sequence[int] | None = None
) -> tuple[int, ...]:
    """Return (C, H, W), the image at which multiply-adds are counted.

    Args:
        model: Asked for what ``shape`` leaves open.
        shape: (C, H, W), (H, W), or None for ``data_preprocessor.size``.

    Raises:
        ValueError: If the height and width are nowhere to be found.
    """
    shape = shape or getattr(
        getattr(model, 'data_preprocessor', None), 'size', None
    )
    if shape is None or len(shape) not in (2, 3):
        raise ValueError(
            'input_shape must be given as (H, W) or (C, H, W): the model has '
            f'no data_preprocessor.size to take it from, got {shape}'
        )
    if len(shape) == 3:
        return tuple(shape)
    return (image_channels(getattr(model, 'backbone', model)) or 3, *shape)


def image_channels(backbone: nn.Module) -> int | None:
    """The channels that a backbone's first convolution takes."""
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d):
            return module.in_channels
    return None


def check_images(runner: Runner, model: nn.Module) -> None:
    """Raise ValueError if the images do not fit the backbone's in_channels.

    Data sets whose input is not one image tensor are not looked at.
    """
    expected = image_channels(getattr(model, 'backbone', nn.Identity()))
    with forked_rng(0):
        sample = runner.train_dataloader.dataset[0]
    image = sample.get('inputs') if isinstance(sample, dict) else None
    if not isinstance(image, torch.Tensor) or expected is None:
        return
    if len(image) != expected:
        raise ValueError(
            f'model.backbone.in_channels is {expected}, but the images of '
            f'train_dataloader.dataset have {len(image)} channels'
        )


def check_runner(runner: Runner) -> None:
    """Refuse ways of training in which tensors cannot be sliced.

    Raises:
        TypeError: Names the config key.
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


def check_losses(losses: Mapping[str, Any], model: nn.Module) -> None:
    """Raise ValueError if a loss is NaN or infinite.

    An importance factor that is the cause, or shares it, is named too.
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
    # The sum of all losses comes first; its parts say more.
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
