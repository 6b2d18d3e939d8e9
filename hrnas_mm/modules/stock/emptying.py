"""Residual blocks that lose all of their channels, and what is left then."""

import torch
from torch import Tensor, nn

from ...search.modes import evaluating
from .plan import Plan, Residual


def last_norm(plan: Plan) -> str | None:
    """Return the norm behind the layers that read units, if it is one.

    It is not the norm of a unit itself.
    """
    own = {norm for unit in plan.units.values() for norm in unit.norms}
    found = {
        plan.layers[place[:2]].norm  # type: ignore[index]
        for place in plan.places
        if plan.reads(place)
    }
    others = {norm for norm in found if norm is not None} - own
    return others.pop() if len(others) == 1 else None


@torch.no_grad()
def constant_of(block: nn.Module, plan: Plan) -> Tensor:
    """Return what a block adds to its shortcut once its channels are gone.

    Args:
        block: The block; what its channels leave behind has been absorbed.
        plan: Its plan.

    Returns:
        (C,)
    """
    assert plan.residual is not None
    norm = block.get_submodule(plan.residual.norm)
    constant = torch.zeros_like(norm.bias)
    for name, layer in plan.layers.items():
        if layer.norm == plan.residual.norm:
            bias = block.get_submodule(name.module).bias
            if bias is not None:
                constant += bias
    with evaluating(norm):
        return norm(constant[None, :, None, None]).flatten()


@torch.no_grad()
def strip_(
    block: nn.Module, residual: Residual | None, shift: Tensor
) -> None:
    """Remove all layers of a block but the shift and the activation.

    Args:
        block: The block.
        residual: What stays of it.
        shift: Values of the shift, (C,).
    """
    assert residual is not None
    bias = block.get_submodule(residual.norm).bias
    bias.data.copy_(shift)
    left = {residual.norm: nn.Module()}
    left[residual.norm].register_parameter('bias', bias)
    if residual.activation is not None:
        module = block.get_submodule(residual.activation)
        left[residual.activation] = module
    block._modules.clear()
    for name, module in left.items():
        *parents, last = name.split('.')
        owner = block
        for parent in parents:
            if parent not in owner._modules:
                owner.add_module(parent, nn.Module())
            owner = owner.get_submodule(parent)
        owner.add_module(last, module)
