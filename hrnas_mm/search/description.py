"""Descriptions of networks in files and checkpoints: their units and costs."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import nn

from ..files import read_checkpoint, write_json
from ..typed import read_as, read_file_as
from .architecture import Architecture, architecture_of
from .cost import REPORTED, Cost
from .cost_model import CostModel

SCHEMA = 2


@dataclass(frozen=True)
class DescribedUnit:
    """A unit of the supernet: its part, its kind, its number of elements."""

    part: str
    kind: str
    elements: int


@dataclass(frozen=True, kw_only=True)
class Description:
    """A network: what is left of which supernet, and what it costs.

    Args:
        schema: Version of the file.
        costs: Amounts by name of the cost.
        input_shape: (C, H, W) at which they hold.
        supernet: Units of the supernet, by name.
        units: Number of elements that are left of every unit.
    """

    schema: int
    costs: dict[str, float] = field(default_factory=dict)
    input_shape: list[int] = field(default_factory=list)
    supernet: dict[str, DescribedUnit] = field(default_factory=dict)
    units: dict[str, int]

    def __post_init__(self) -> None:
        if self.schema != SCHEMA:
            raise ValueError(
                f'schema of an architecture must be {SCHEMA}, got '
                f'{self.schema}'
            )
        counts = {
            **{f'supernet.{n}': u.elements for n, u in self.supernet.items()},
            **{f'units.{name}': count for name, count in self.units.items()},
        }
        for name, count in counts.items():
            if count < 0:
                raise ValueError(f'{name} must not be negative, got {count}')

    def as_json(self) -> dict[str, Any]:
        """Return the description in plain types."""
        return asdict(self)


def describe_architecture(
    model: nn.Module, cost_model: CostModel, costs: Iterable[Cost] = REPORTED
) -> Description:
    """Return the description of a model.

    Args:
        model: Model in its present size.
        cost_model: Cost model of the supernet, for any cost.
        costs: Costs that the description states.
    """
    architecture = architecture_of(model)
    return Description(
        schema=SCHEMA,
        costs=cost_model.totals(architecture, costs),
        input_shape=list(cost_model.input_shape),
        supernet=described_supernet(cost_model),
        units=architecture,
    )


def described_supernet(cost_model: CostModel) -> dict[str, DescribedUnit]:
    """Return part, kind and number of elements of every unit, by its name."""
    return {
        unit: DescribedUnit(name, facts.kind, facts.elements)
        for name, part in cost_model.parts.items()
        for unit, facts in part.units.items()
    }


def write_architecture(path: str, description: Description) -> None:
    """Write a description as JSON; a good file is never left half replaced."""
    write_json(path, description.as_json(), indent=2)


def read_architecture(path: str) -> Architecture:
    """Read the architecture in a file: the units of its description.

    Raises:
        ValueError: See :func:`read_description`.
    """
    return read_description(path).units


def read_description(path: str) -> Description:
    """Read the description of a network from a file.

    Args:
        path: JSON file, or checkpoint of a search, which holds the same.

    Raises:
        ValueError: If the file has no valid description; the error says what
            is wrong.
    """
    if path.endswith('.json'):
        return read_file_as(Description, path)
    content = read_checkpoint(path).get('architecture')
    if content is None:
        raise ValueError(f'{path} does not say its architecture')
    try:
        return read_as(Description, content, 'architecture')
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error


def selections_in(model: nn.Module) -> Iterator[str]:
    """Yield what modules say of which channels of theirs are searched."""
    for name, module in model.named_modules():
        selection = getattr(module, 'selection', None)
        if selection is not None:
            yield f'{name or type(model).__name__}: {selection}'
