"""Descriptions of networks in files and checkpoints: their units and costs.

A description is ``dict(schema, costs, input_shape, supernet, units)``:
``costs`` are amounts by name of the cost; ``input_shape`` is the (C, H, W) at
which they hold; ``supernet`` has the part, the kind and the number of elements
of every unit of the supernet; ``units`` has how many of them are left. Only
``schema`` and ``units`` are required.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn

from ..files import read_checkpoint, read_json, write_json
from .architecture import Architecture, architecture_of, is_count, like
from .cost import REPORTED, Cost, noun_of
from .cost_model import CostModel

SCHEMA = 2
FIELDS = ('schema', 'costs', 'input_shape', 'supernet', 'units')
UNIT_FIELDS = {'part', 'kind', 'elements'}


def describe_architecture(
    model: nn.Module, cost_model: CostModel, costs: Iterable[Cost] = REPORTED
) -> dict[str, Any]:
    """Return the description of a model.

    Args:
        model: Model in its present size.
        cost_model: Cost model of the supernet, for any cost.
        costs: Costs that the description states.
    """
    architecture = architecture_of(model)
    return dict(
        schema=SCHEMA,
        costs=cost_model.totals(architecture, costs),
        input_shape=list(cost_model.input_shape),
        supernet=describe_supernet(cost_model),
        units=architecture,
    )


def describe_supernet(cost_model: CostModel) -> dict[str, dict[str, Any]]:
    """Return part, kind and number of elements of every unit, by its name."""
    return {
        unit: dict(part=name, kind=facts.kind, elements=facts.elements)
        for name, part in cost_model.parts.items()
        for unit, facts in part.units.items()
    }


def write_architecture(path: str, content: Mapping[str, Any]) -> None:
    """Write a description as JSON; a good file is never left half replaced."""
    write_json(path, content, indent=2)


def read_architecture(path: str) -> Architecture:
    """Read the architecture in a file: the units of its description.

    Raises:
        ValueError: See :func:`read_description`.
    """
    return read_description(path)['units']


def read_description(path: str) -> dict[str, Any]:
    """Read the description of a network from a file.

    Args:
        path: JSON file, or checkpoint of a search, which holds the same.

    Raises:
        ValueError: If the file has no valid description; the error says what
            is wrong.
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
    """Return the costs of a network as one line of text."""
    amounts = ', '.join(
        f'{amount} {noun_of(name)}'
        for name, amount in description['costs'].items()
    )
    return f'{amounts} at {tuple(description["input_shape"])}'


def check_description(content: Any, where: str) -> None:
    """Raise ValueError, naming the file, unless it is a valid description.

    Args:
        content: What was read.
        where: File or place that it comes from, for error messages.
    """
    if not isinstance(content, Mapping) or content.get('schema') != SCHEMA:
        raise ValueError(
            f'{where} must be an architecture with "schema": {SCHEMA}'
        )
    for name in content:
        if name not in FIELDS:
            raise ValueError(
                f'{where} has an unknown field {name!r}{like(name, FIELDS)}'
            )
    for field, empty in (('units', None), ('supernet', {})):
        if not isinstance(content.get(field, empty), Mapping):
            raise ValueError(f'{where} must have "{field}": {{name: ...}}')
    counts = dict(content['units'])
    for name, facts in content.get('supernet', {}).items():
        if not isinstance(facts, Mapping) or set(facts) != UNIT_FIELDS:
            raise ValueError(
                f'{where}: supernet.{name} must have part, kind and elements, '
                f'got {facts!r}'
            )
        counts[f'supernet.{name}'] = facts['elements']
    for name, count in counts.items():
        if not is_count(count):
            raise ValueError(
                f'{where}: {name} must have a number of elements, got '
                f'{count!r}'
            )
