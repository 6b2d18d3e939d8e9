"""What can be searched: units, the tensor axes they own, who declares them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, cast, runtime_checkable

from torch import Tensor, nn

Size = tuple[int, int]
Cost = Callable[[int, Size], int]


@dataclass(frozen=True)
class Axis:
    """A tensor axis that has one slot per element of a search unit.

    Args:
        module: The module that holds the tensor.
        name: The attribute name of the parameter or buffer in ``module``.
        dim: The axis.
    """

    module: nn.Module
    name: str
    dim: int

    @property
    def tensor(self) -> Tensor:
        """The parameter or buffer."""
        return getattr(self.module, self.name)


@dataclass(frozen=True)
class SearchUnit:
    """A group of n interchangeable channels, or of n tokens.

    Source: HR-NAS, Sec. 3.3; what the paper calls one search unit is one
    element here.

    Args:
        alpha: The importance factors, shape (n,).
        axes: Everything that is sliced together, ``alpha`` included.
        costs: Multiply-adds of the unit by the name of the cost, each from
            the number of alive elements and the size (h, w) of the feature
            map that enters the block. 'macs' is what the network really
            spends.
        absorb: Given the indices of dead elements, folds the constant that
            they leave behind into what follows. None if there is none.
    """

    alpha: nn.Parameter
    axes: tuple[Axis, ...]
    costs: Mapping[str, Cost]
    absorb: Callable[[Tensor], None] | None = None

    def __len__(self) -> int:
        return len(self.alpha)

    @property
    def params(self) -> int:
        """Parameters that each element owns."""
        return sum(
            axis.tensor.numel() // len(self)
            for axis in self.axes
            if isinstance(axis.tensor, nn.Parameter)
        )


@runtime_checkable
class Searchable(Protocol):
    """A module that declares search units of its own.

    Attributes:
        unit_names: The names of all units that the module was built with,
            those it has lost by now included.
        shared_params: The number of parameters that no element owns, but
            that go with the last one.
    """

    unit_names: tuple[str, ...]
    shared_params: int

    def search_units(self) -> dict[str, SearchUnit]:
        """Return the units that still have elements, by name."""

    def drop_empty_(self) -> None:
        """Delete the submodules whose unit has lost its last element."""


def named_searchables(model: nn.Module) -> Iterator[tuple[str, Searchable]]:
    """Yield (name, module) of every module that declares search units."""
    for name, module in model.named_modules():
        # What isinstance() would find, a hundred times as fast.
        if hasattr(type(module), 'search_units'):
            yield name, cast(Searchable, module)


def named_search_units(model: nn.Module) -> dict[str, SearchUnit]:
    """Return all search units of a model, by '<module name>.<unit name>'.

    They are recomputed at every call, never stored: a deep copy has its own,
    and modules may be replaced under you.
    """
    return {
        join(prefix, name): unit
        for prefix, module in named_searchables(model)
        for name, unit in module.search_units().items()
    }


def join(prefix: str, name: str) -> str:
    """Join two parts of a dotted name; the root's prefix is empty."""
    return f'{prefix}.{name}' if prefix else name
