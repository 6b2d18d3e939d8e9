"""Trying out whether a network's code follows when channels go."""

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map_only

from ...search.modes import in_mode, without_batches
from ...search.shrink import shrink_
from ...search.units import SearchUnit, join, named_search_units
from .plan import Plan
from .units import searchable_class

# Largest difference of two maps that should be the same, in their own size.
TOLERANCE = 1e-3


def declare_(model: nn.Module, plans: Mapping[str, Plan]) -> None:
    """Let modules of a model declare the units that are planned for them."""
    for owner, plan in plans.items():
        module = model.get_submodule(owner)
        module._plan = plan  # type: ignore[assignment]
        module.__class__ = searchable_class(type(module))  # type: ignore[arg-type]


@torch.no_grad()
def misfits(
    model: nn.Module, plans: Mapping[str, Plan], inputs: tuple[Any, ...]
) -> dict[str, str]:
    """Return the units that cannot lose channels, and why.

    A trace does not see a number of channels that is written in code. So every
    second channel is switched off, in a copy, and then removed: what the model
    puts out has to be the same.

    Args:
        model: Model whose modules do not declare the units yet.
        plans: Plans by module name.
        inputs: Arguments of the model, of which only the shapes matter.
    """
    weight = next(model.parameters())
    generator = torch.Generator().manual_seed(0)
    inputs = tree_map_only(
        Tensor,
        lambda map: torch.randn(map.shape, generator=generator).to(weight),
        inputs,
    )
    names = [
        join(owner, n) for owner, plan in plans.items() for n in plan.units
    ]
    with torch.random.fork_rng(devices=[]):
        if _error(model, plans, names, inputs) is None:
            return {}
        errors = {n: _error(model, plans, [n], inputs) for n in names}
        alone = {name: error for name, error in errors.items() if error}
        rest = [name for name in names if name not in alone]
        together = _error(model, plans, rest, inputs)
    return alone if together is None else dict.fromkeys(names, together)


def _error(
    model: nn.Module,
    plans: Mapping[str, Plan],
    names: Iterable[str],
    inputs: tuple[Any, ...],
) -> str | None:
    """Return what happens without every second element of units, if it does.

    None if the model puts out the same as with these elements switched off.
    """
    model = deepcopy(model)
    declare_(model, plans)
    units, keep = named_search_units(model), {}
    for name in names:
        switch_off_(units[name], torch.arange(1, len(units[name]), 2))
        keep[name] = torch.arange(0, len(units[name]), 2)
    before = outputs_of(model, inputs)
    try:
        shrink_(model, keep)
        after = outputs_of(model, inputs)
    except Exception as error:
        return f'{type(error).__name__}, {error}'.splitlines()[0]
    return difference_of(before, after)


def difference_of(
    before: Sequence[Tensor], after: Sequence[Tensor]
) -> str | None:
    """Return what tells outputs apart; None if they are the same."""
    for one, other in zip(before, after, strict=True):
        if one.shape != other.shape:
            return 'what the model puts out changes its shape'
        largest = float(one.abs().max().nan_to_num(0.0)) * TOLERANCE
        if not torch.allclose(one, other, TOLERANCE, largest, equal_nan=True):
            return 'what the model puts out changes'
    return None


@torch.no_grad()
def switch_off_(
    unit: SearchUnit, dead: Tensor | Sequence[int], shifts: bool = True
) -> None:
    """Set the scales of elements to zero, and the shifts of their norms.

    Args:
        unit: Unit of a stock module.
        dead: Indices of the elements, or a mask of them.
        shifts: Whether the shifts are set, too.
    """
    for axis in unit.axes:
        if any(axis.tensor is scale for scale in unit.scales):
            axis.tensor[dead] = 0
            shift = axis.module.bias
            if shifts and isinstance(shift, Tensor):
                shift[dead] = 0


def outputs_of(
    model: nn.Module,
    inputs: tuple[Any, ...],
    modes: Sequence[bool] = (False, True),
) -> list[Tensor]:
    """Return what a model puts out, in train mode or not."""
    found: list[Tensor] = []
    for training in modes:
        torch.manual_seed(0)
        with in_mode(model, training), without_batches(model):
            leaves = tree_leaves(model(*inputs))
        found += [leaf for leaf in leaves if isinstance(leaf, Tensor)]
    return found
