"""Parameter groups with the same options as one, which makes steps faster."""

from typing import Any

from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from torch import nn
from torch.optim import Optimizer

from ..registry import OPTIM_WRAPPER_CONSTRUCTORS, register_in


@register_in(OPTIM_WRAPPER_CONSTRUCTORS)
class MergedGroupsConstructor(DefaultOptimWrapperConstructor):
    """Build the default optimizer wrapper, but with few parameter groups.

    With ``paramwise_cfg`` mmengine makes a group of each parameter, and
    optimizers take the groups one by one. Here, parameters with the same
    options share a group, and ``foreach`` and ``fused`` implementations take
    them together. The steps are the same.

    Usage: ``optim_wrapper = dict(constructor='MergedGroupsConstructor', ...)``
    """

    def __call__(self, model: nn.Module) -> OptimWrapper:
        optim_wrapper = super().__call__(model)
        if self.paramwise_cfg:
            merge_groups_(optim_wrapper.optimizer)
        return optim_wrapper


def merge_groups_(optimizer: Optimizer) -> None:
    """Merge the parameter groups of an optimizer that have equal options."""
    merged: list[dict[str, Any]] = []
    for group in optimizer.param_groups:
        params, options = group['params'], _options(group)
        for known in merged:
            if _options(known) == options:
                known['params'] += params
                break
        else:
            merged.append(group)
    optimizer.param_groups[:] = merged


def _options(group: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in group.items() if key != 'params'}
