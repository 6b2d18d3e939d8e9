"""Folding what dead channels leave behind into the layers that follow."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.utils._pytree import tree_map_only

from ...coupling import TensorName
from ...search.modes import evaluating
from .plan import Plan


@torch.no_grad()
def absorb_(
    module: Any,
    plan: Plan,
    counts: Mapping[str, int],
    unit: str,
    dead: Tensor,
) -> None:
    """Fold the constant that channels put out into what follows.

    A norm whose scale is zero puts out its shift, and so does, in eval mode,
    one that reads nothing but zeros; activations make another constant of it.
    What reaches the layers that read the channels, and what these make of it,
    is seen in a run of the module. Then scales and shifts are set to zero.

    Args:
        module: The stock module.
        plan: Its plan.
        counts: Its present numbers of elements.
        unit: Name of the unit.
        dead: Indices of the channels.
    """
    found = _constants(module, plan, counts, unit, dead)
    for name, constant in found.items():
        layer = module.get_submodule(name.module)
        after = plan.layers[name].norm
        if layer.bias is not None:
            layer.bias += constant
        elif after is not None:
            mean = module.get_submodule(after).running_mean
            if mean is not None:
                mean -= constant
    for norm in norms_of(module, plan, unit):
        norm.weight[dead] = 0
        shift_of(norm)[dead] = 0


def norms_of(module: Any, plan: Plan, unit: str) -> list[Any]:
    """Return the norms that switch the channels of a unit off."""
    return [module.get_submodule(name) for name in plan.units[unit].norms]


def shift_of(norm: Any) -> Tensor:
    """Return what a norm adds to its channels, zeros if it adds nothing."""
    return torch.zeros_like(norm.weight) if norm.bias is None else norm.bias


def _constants(
    module: nn.Module,
    plan: Plan,
    counts: Mapping[str, int],
    unit: str,
    dead: Tensor,
) -> dict[TensorName, Tensor]:
    """Return what dead channels add to the outputs of their readers."""
    found: dict[TensorName, Tensor] = {}
    hooks: list[Any] = []
    for place in plan.places:
        name = TensorName(*place[:2])
        slots = plan.slots(place, counts)
        if unit in slots and plan.reads(place):
            own = slots[unit]
            own = dead if own is None else own[dead.cpu()].flatten()
            hook = partial(_note_constant, found, name, own)
            layer = module.get_submodule(place.module)
            if isinstance(layer, (_ConvNd, nn.Linear)):
                hooks.append(layer.register_forward_pre_hook(hook))
    alpha: Any = module.get_submodule(plan.units[unit].norms[0]).weight
    inputs = tree_map_only(
        Tensor, lambda map: alpha.new_zeros(map.shape), plan.inputs
    )
    try:
        with evaluating(module):
            module(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _note_constant(
    found: dict[TensorName, Tensor],
    name: TensorName,
    slots: Tensor,
    layer: nn.Module,
    args: Sequence[Tensor],
) -> None:
    """Note what some slots of a layer's input add to its output.

    It is that in the middle of the map, as padding changes it at the border.
    """
    dim = -1 if isinstance(layer, nn.Linear) else 1
    nothing = torch.zeros_like(args[0])
    slots = slots.to(nothing.device)
    alone = nothing.index_copy(dim, slots, args[0].index_select(dim, slots))
    constant = layer.forward(alone) - layer.forward(nothing)
    constant = constant.movedim(dim, -1)
    middle = [side // 2 for side in constant.shape[:-1]]
    found[name] = constant[tuple(middle)]
