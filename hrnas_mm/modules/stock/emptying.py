"""Stripping residual blocks that lose all of their channels."""

from typing import Any

import torch
from torch import Tensor, nn

from ...search.modes import evaluating
from .plan import Plan, Residual


@torch.no_grad()
def constant_of(block: Any, plan: Plan, residual: Residual) -> Tensor:
    """Return what a block adds to its shortcut once its channels are gone.

    Args:
        block: The block; what its channels leave behind has been absorbed.
        plan: Its plan.
        residual: What stays of it.

    Returns:
        (C,)
    """
    norm = block.get_submodule(residual.norm)
    constant = torch.zeros_like(norm.bias)
    for name, layer in plan.layers.items():
        if layer.norm == residual.norm:
            reader = block.get_submodule(name.module)
            if reader.bias is not None:
                constant += reader.bias
    with evaluating(norm):
        return norm(constant[None, :, None, None]).flatten()


@torch.no_grad()
def strip_(block: Any, residual: Residual, shift: Tensor) -> None:
    """Remove all layers of a block but the shift and the activation.

    Args:
        block: The block.
        residual: What stays of it.
        shift: Values of the shift, (C,).
    """
    bias = block.get_submodule(residual.norm).bias
    bias.data.copy_(shift)
    left = {residual.norm: nn.Module()}
    left[residual.norm].register_parameter('bias', bias)
    if residual.activation is not None:
        module = block.get_submodule(residual.activation)
        left[residual.activation] = module
    for held in (block._modules, block._parameters, block._buffers):
        held.clear()
    for name, module in left.items():
        *parents, last = name.split('.')
        owner = block
        for parent in parents:
            if parent not in owner._modules:
                owner.add_module(parent, nn.Module())
            owner = owner.get_submodule(parent)
        owner.add_module(last, module)
