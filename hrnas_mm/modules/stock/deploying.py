"""The deployed form of stock modules whose channels were searched."""

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from ...coupling import Place, TensorName
from ...search.shrink import refresh_sizes_
from ..deployed import rounded
from .units import Emptied, SearchableChannels, stock_class_of


@torch.no_grad()
def deploy_channels_(module: SearchableChannels, step: int) -> None:
    """Round the channels of a module up with zeros, and fold its norms.

    It computes the same afterwards, up to rounding, and is of its stock class,
    unless it has no channels left.

    Args:
        module: Module in eval mode.
        step: Number to whose multiples the channels of units are rounded up.
    """
    if isinstance(module, Emptied):
        return  # nothing is left to round up or to fold
    _pad_(module, step)
    for name, layer in module._plan.layers.items():
        if layer.norm is not None and layer.alone:
            _fold_(module, name.module, layer.norm)
    module.__class__ = stock_class_of(module)
    del module._plan


def _pad_(module: SearchableChannels, step: int) -> None:
    """Add channels that are zero, and that no layer reads."""
    plan, counts = module._plan, module.counts()
    more = {name: rounded(n, step) - n for name, n in counts.items()}
    changed = {}
    for place, segments in plan.places.items():
        if not any(more.get(str(unit)) for unit, _ in segments):
            continue
        owner = module.get_submodule(place.module)
        parts, first, tensor = [], 0, getattr(owner, place.tensor)
        for unit, slots in segments:
            n = slots if unit is None else slots * counts[unit]
            parts.append(tensor.narrow(place.dim, first, n))
            first += n
            if unit is not None:
                shape = list(tensor.shape)
                shape[place.dim] = more[unit] * slots
                value = float(place.tensor == 'running_var')
                parts.append(tensor.new_full(shape, value))
        _set(owner, place, torch.cat(parts, place.dim))
        changed[place.module] = owner
    for name, owner in changed.items():
        layer = plan.layers.get(TensorName(name, 'weight'))
        refresh_sizes_(owner, layer and layer.inputs is None)


def _set(owner: nn.Module, place: Place, value: Tensor) -> None:
    tensor = getattr(owner, place.tensor)
    if isinstance(tensor, nn.Parameter):
        value = nn.Parameter(value, requires_grad=False)
    setattr(owner, place.tensor, value)


def _fold_(module: SearchableChannels, layer: str, norm: str) -> None:
    """Fold a norm into the layer before it, if it does nothing else."""
    first, second = module.get_submodule(layer), module.get_submodule(norm)
    if not is_plain_norm(second):
        return
    if type(first) is nn.Conv2d:
        fused = fuse_conv_bn_eval(first, second)  # type: ignore[type-var]
    elif type(first) is nn.ConvTranspose2d:
        fused = fuse_conv_bn_eval(first, second, True)  # type: ignore
    elif type(first) is nn.Linear:
        fused = fuse_linear_bn_eval(first, second)  # type: ignore
    else:
        return
    module.set_submodule(layer, fused)
    module.set_submodule(norm, nn.Identity())


def is_plain_norm(module: nn.Module | None) -> bool:
    """Return whether a module is a batch norm in eval mode, and no more.

    That of timm, for example, contains an activation.
    """
    plain = (_BatchNorm.forward, nn.SyncBatchNorm.forward)
    return (
        isinstance(module, _BatchNorm)
        and type(module).forward in plain
        and module.running_var is not None
        and module.affine
    )
