"""Recognising residual blocks, which may lose all of their channels."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from .checking import declare_, difference_of, outputs_of, switch_off_
from .plan import Plan, Residual


@torch.no_grad()
def residual_of(block: nn.Module, plan: Plan) -> Residual | None:
    """Return what a block is without channels, if it then is its shortcut.

    That is tried out, too: without all the channels of any of its units, the
    block has to put out what it does with them switched off.

    Args:
        block: Module that does not declare its units yet.
        plan: Its plan.
    """
    norm, weight = _last_norm(plan), next(block.parameters())
    if norm is None or block.get_submodule(norm).bias is None:
        return None
    generator = torch.Generator().manual_seed(0)
    inputs = tree_map_only(
        Tensor,
        # So large that activations with upper limits differ from others.
        lambda map: torch.randn(map.shape, generator=generator).to(weight) * 8,
        plan.inputs,
    )
    with torch.random.fork_rng(devices=[]):
        for activation in _activations(block):
            found = Residual(norm, activation)
            fits = (_fits(block, plan, found, u, inputs) for u in plan.units)
            if all(fits):
                return found
    return None


def _fits(
    block: nn.Module,
    plan: Plan,
    residual: Residual,
    unit: str,
    inputs: tuple[Any, ...],
) -> bool:
    """Return whether a block without a unit puts out what is said of it."""
    torch.manual_seed(0)
    copy: Any = deepcopy(block)
    _train_a_little_(copy, plan)
    nn.init.uniform_(copy.get_submodule(residual.norm).bias, 1, 2)
    declare_(copy, {'': replace(plan, residual=residual)})
    everything = torch.arange(len(copy.search_units()[unit]))
    switch_off_(copy.search_units()[unit], everything)
    before = outputs_of(copy, inputs, modes=(False,))
    copy.absorb_(unit, everything)
    try:
        copy.empty_()
        after = outputs_of(copy, inputs, modes=(False,))
    except Exception:
        return False
    return difference_of(before, after) is None


def _train_a_little_(block: nn.Module, plan: Plan) -> None:
    """Change the weights of a block, so that all of its layers have an effect.

    What is zero at first, as the last norm of many blocks, would not be seen.
    Constants inside of the branch stay away: padded layers see their borders.
    """
    still = {norm for unit in plan.units.values() for norm in unit.norms}
    still |= {name.module for name in plan.layers}
    for name, parameter in block.named_parameters():
        owner, _, tensor = name.rpartition('.')
        if not (tensor == 'bias' and owner in still):
            parameter.add_(torch.randn_like(parameter), alpha=0.1)


def _activations(block: nn.Module) -> Iterator[str | None]:
    """Yield None and the names of modules that may be activations."""
    yield None
    seen = set()
    for name, module in block.named_modules():
        is_layer = not any(module.children()) and not module.state_dict()
        if is_layer and repr(module) not in seen:
            seen.add(repr(module))
            yield name


def _last_norm(plan: Plan) -> str | None:
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
