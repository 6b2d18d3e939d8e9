"""Reading, checking and applying an architecture, {unit name: count}."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..spelling import like
from .shrink import shrink_
from .units import join, named_search_units, named_searchables

Architecture = dict[str, int]


def architecture_of(model: nn.Module) -> Architecture:
    """Return the number of elements of every unit, 0 for removed units."""
    sizes = {
        name: len(unit) for name, unit in named_search_units(model).items()
    }
    return {
        join(prefix, name): sizes.get(join(prefix, name), 0)
        for prefix, module in named_searchables(model)
        for name in module.unit_names
    }


def architecture_in(
    state_dict: Mapping[str, Tensor], model: nn.Module, prefix: str = ''
) -> Architecture | None:
    """Read an architecture from the tensor shapes of a state dict.

    Args:
        state_dict: State dict of the model, in its present size or smaller.
        model: Model that tells which tensor holds the alphas of which unit.
        prefix: Prefix of the model's names in ``state_dict``.

    Returns:
        The architecture, or None if ``state_dict`` has none of the model's
        alphas and thus belongs to another network. Modules that do not occur
        in ``state_dict``, for example in that of another task, keep their
        present size.

    Raises:
        ValueError: If an importance factor is not a vector.
    """
    names = {id(param): name for name, param in model.named_parameters()}
    keys = {
        unit: prefix + names[id(search_unit.alpha)]
        for unit, search_unit in named_search_units(model).items()
    }
    if not any(key in state_dict for key in keys.values()):
        return None
    # A module that has lost all its units still has a bias.
    searchables = {
        prefix + module if module else '': (module, searchable)
        for module, searchable in named_searchables(model)
    }
    there = {'', *_modules_of(state_dict, searchables)}
    known = {
        join(module, unit)
        for name, (module, searchable) in searchables.items()
        for unit in searchable.unit_names
        if name in there
    }
    sizes = {
        unit: 0 if unit in known else count
        for unit, count in architecture_of(model).items()
    }
    found = {}
    for unit, key in keys.items():
        if key in state_dict:
            shape = state_dict[key].shape
            if len(shape) != 1:
                raise ValueError(
                    f'{key} must have one dimension, got shape {tuple(shape)}'
                )
            found[unit] = shape[0]
    return {**sizes, **found}


def _modules_of(keys: Iterable[str], known: Iterable[str]) -> set[str]:
    """Return the names of modules in keys, as deep as the known ones are."""
    depth = max(name.count('.') for name in known) + 1
    found = set()
    for key in keys:
        parts = key.split('.', depth)[:-1]
        found |= {'.'.join(parts[: i + 1]) for i in range(len(parts))}
    return found


def apply_architecture_(
    model: nn.Module,
    architecture: Mapping[str, int],
    optimizer: Optimizer | None = None,
) -> None:
    """Shrink a supernet to the sizes of an architecture, in place.

    The first elements of each unit are kept, so the weights should be loaded
    afterwards.

    Args:
        model: The supernet, or a network between it and the architecture.
        architecture: Number of elements for exactly the units of the model.
        optimizer: See :func:`shrink_`.

    Raises:
        ValueError: If the architecture does not fit this model; the error
            names the first unit that differs.
    """
    check_architecture(architecture, model)
    units = named_search_units(model)
    keep = {name: torch.arange(architecture[name]) for name in units}
    shrink_(model, keep, optimizer)


def check_architecture(
    architecture: Mapping[str, int], model: nn.Module
) -> None:
    """Raise ValueError, naming the first misfit, unless it fits the model."""
    current = architecture_of(model)
    least = {n: unit.least for n, unit in named_search_units(model).items()}
    for name in architecture:
        if name not in current:
            raise ValueError(
                f'the model has no unit {name!r}{like(name, current)}'
            )
    for name, most in current.items():
        if name not in architecture:
            raise ValueError(
                f'the architecture has no unit {name!r}, the '
                f'model has {most} elements there'
            )
        count = architecture[name]
        if not is_count(count) or not least.get(name, 0) <= count <= most:
            raise ValueError(
                f'{name} must have {least.get(name, 0)} to {most} elements, '
                f'got {count!r}'
            )


def fitting_architecture(
    state_dict: Mapping[str, Tensor], model: nn.Module
) -> Architecture:
    """Read the architecture of a state dict and check that it fits the model.

    Args:
        state_dict: State dict as read from a checkpoint.
        model: The supernet, or a network between it and the weights.

    Raises:
        ValueError: If it does not fit; the error names the first misfit.
    """
    found = architecture_in(state_dict, model)
    if found is None:
        raise ValueError(
            'it is of another network: none of its '
            f'{len(state_dict)} tensors, the first of them '
            f'{next(iter(state_dict), None)!r}, is an importance factor of '
            'the model in the config'
        )
    check_architecture(found, model)
    return found


def is_count(value: object) -> bool:
    """Return whether a value is a valid number of elements."""
    return (
        isinstance(value, int) and not isinstance(value, bool) and (value >= 0)
    )
