"""An architecture, {unit name: count}: read it off, apply it, store it."""

import json
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from .cost import CostModel, count_params
from .files import read_checkpoint, read_json, replacing
from .shrink import shrink_
from .units import join, named_search_units, named_searchables

Architecture = dict[str, int]
SCHEMA = 1
# Beside the units, for readers: multiply-adds at an input shape, parameters,
# and how many elements the supernet has.
FACTS = ('macs', 'params', 'input_shape', 'supernet')


def architecture_of(model: nn.Module) -> Architecture:
    """Return the number of elements of every unit, 0 for those removed."""
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
    """Read the architecture of a ``state_dict`` off its tensors' shapes.

    Args:
        state_dict: Of the model, at most as large as the model is now.
        model: Tells which tensor holds which unit's importance factors.
        prefix: Of the model's names in ``state_dict``.

    Returns:
        None if ``state_dict`` has none of the model's importance factors:
        it is of another network then. Modules that it knows nothing of, as
        when it is of another task, keep the size that they have.
    """
    names = {id(param): name for name, param in model.named_parameters()}
    keys = {
        unit: prefix + names[id(search_unit.alpha)]
        for unit, search_unit in named_search_units(model).items()
    }
    if not any(key in state_dict for key in keys.values()):
        return None
    # Of a module that has lost all its units, a bias is left.
    modules = {
        key[:dot]
        for key in state_dict
        for dot in range(len(key))
        if key[dot] == '.'
    }
    known = {
        join(module, unit)
        for module, searchable in named_searchables(model)
        for unit in searchable.unit_names
        if not module or prefix + module in modules
    }
    sizes = {
        unit: 0 if unit in known else count
        for unit, count in architecture_of(model).items()
    }
    found = {
        unit: len(state_dict[key])
        for unit, key in keys.items()
        if key in state_dict
    }
    return {**sizes, **found}


def apply_architecture_(
    model: nn.Module,
    architecture: Mapping[str, int],
    optimizer: Optimizer | None = None,
) -> None:
    """Shrink a supernet to the sizes of an architecture, in place.

    The first elements of each unit stay, so weights are meant to be loaded
    afterwards.

    Args:
        model: The supernet, or anything between it and the architecture.
        architecture: A count for every unit of the model, no more, no less.
        optimizer: See :func:`shrink_`.

    Raises:
        ValueError: If the architecture is not one of this model; names the
            first unit that differs.
    """
    check_architecture(architecture, model)
    units = named_search_units(model)
    keep = {name: torch.arange(architecture[name]) for name in units}
    shrink_(model, keep, optimizer)


def check_architecture(
    architecture: Mapping[str, int], model: nn.Module
) -> None:
    """Raise ValueError, with the first misfit, unless it is of this model."""
    current = architecture_of(model)
    for name in architecture:
        if name not in current:
            raise ValueError(
                f'the model has no unit {name!r}{_like(name, current)}'
            )
    for name, most in current.items():
        if name not in architecture:
            raise ValueError(
                f'the architecture has no unit {name!r}, the '
                f'model has {most} elements there'
            )
        count = architecture[name]
        if not _is_count(count) or count > most:
            raise ValueError(
                f'{name} must have 0 to {most} elements, got {count!r}'
            )


def describe_architecture(
    model: nn.Module, cost_model: CostModel
) -> dict[str, Any]:
    """What a file or a checkpoint says of a model's architecture.

    Args:
        model: As it is now.
        cost_model: Of the supernet.
    """
    architecture = architecture_of(model)
    return dict(
        schema=SCHEMA,
        macs=cost_model.total(architecture),
        params=count_params(model),
        input_shape=list(cost_model.input_shape),
        supernet=dict(cost_model.supernet),
        units=architecture,
    )


def write_architecture(path: str, content: Mapping[str, Any]) -> None:
    """Write a description as JSON; a good file is never half replaced."""
    with replacing(path) as new, open(new, 'w') as file:
        json.dump(content, file, indent=2)
        file.write('\n')


def read_architecture(path: str) -> Architecture:
    """Read the units of an architecture that was written as JSON.

    Raises:
        ValueError: See :func:`read_description`.
    """
    return read_description(path)['units']


def read_description(path: str) -> dict[str, Any]:
    """Read all that a file says of an architecture.

    Args:
        path: JSON, or a checkpoint of a search, which holds the same.

    Raises:
        ValueError: If the file is not such a file; names what is wrong.
    """
    if path.endswith('.json'):
        content = read_json(path)
    else:
        content = read_checkpoint(path).get('architecture')
        if content is None:
            raise ValueError(
                f'{path} does not say its architecture: it is not of a search '
                'with ProgressiveShrinkHook; tools/export_architecture.py '
                'reads it off the weights, with --config'
            )
    check_description(content, path)
    return content


def summary(description: Mapping[str, Any]) -> str:
    """What a network costs, in a line."""
    return (
        f'{description["macs"]} multiply-adds at '
        f'{tuple(description["input_shape"])}, {description["params"]} '
        'parameters'
    )


def check_description(content: Any, where: str) -> None:
    """Raise ValueError, which says where, unless it describes one."""
    if not isinstance(content, Mapping) or content.get('schema') != SCHEMA:
        raise ValueError(
            f'{where} must be an architecture with "schema": {SCHEMA}'
        )
    for name in content:
        if name not in ('schema', 'units', *FACTS):
            raise ValueError(
                f'{where} has an unknown field {name!r}{_like(name, FACTS)}'
            )
    for field in ('units', 'supernet'):
        counts = content.get(field, None if field == 'units' else {})
        if not isinstance(counts, Mapping):
            raise ValueError(f'{where} must have "{field}": {{name: count}}')
        for name, count in counts.items():
            if not _is_count(count):
                raise ValueError(
                    f'{where}: {name} must have a number of elements, got '
                    f'{count!r}'
                )


def _is_count(value: object) -> bool:
    return (
        isinstance(value, int) and not isinstance(value, bool) and (value >= 0)
    )


def _like(name: str, known: Iterable[str]) -> str:
    """A guess at what a misspelt name was to be."""
    found = get_close_matches(name, list(known), 1)
    return f'; did you mean {found[0]!r}?' if found else ''
