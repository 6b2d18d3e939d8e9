"""What can be searched: units, the tensor axes they own, who declares them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, cast, runtime_checkable

from torch import Tensor, nn

Size = tuple[int, int]


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
        kind: What its elements are, for logs and pictures: 'k3' for channels
            of a 3x3 convolution, 'tokens', or a word of your own.
        absorb: Folds the constant that elements leave behind, given their
            indices, into what follows. None if they leave none.
        shared_params: The number of parameters that no element owns, but
            that go with the last of this unit.
    """

    alpha: nn.Parameter
    axes: tuple[Axis, ...]
    kind: str
    absorb: Callable[[Tensor], None] | None = None
    shared_params: int = 0

    def __len__(self) -> int:
        return len(self.alpha)

    @property
    def params(self) -> int:
        """The number of parameters that each element owns."""
        return sum(
            axis.tensor.numel() // len(self)
            for axis in self.axes
            if isinstance(axis.tensor, nn.Parameter)
        )


@runtime_checkable
class Searchable(Protocol):
    """A module that declares search units of its own.

    A module whose multiply-adds by Eq. (6), as printed, are not all of its
    multiply-adds has a method ``eq6_macs`` beside ``macs``.

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

    def macs(self, alive: Mapping[str, int], size: Size) -> int:
        """Return the multiply-adds of one call.

        Args:
            alive: The number of elements of every unit, by unit name; the
                module itself may have fewer by now.
            size: Height and width of the feature map that enters.
        """

    def drop_empty_(self) -> None:
        """Delete the submodules whose unit has lost its last element."""


class UnitFacts(NamedTuple):
    """A unit as the supernet has it.

    Attributes:
        kind: See :class:`SearchUnit`.
        elements: Their number.
        params: The number of parameters that each element owns.
        shared_params: Of those that go with its last element.
        searchable: The name of the module that declares the unit.
    """

    kind: str
    elements: int
    params: int
    shared_params: int
    searchable: str


@dataclass(frozen=True)
class Part:
    """What is priced as one: its units share what goes with the last of them.

    A module is a part if its class says so by ``is_part = True``, as
    SearchingBlock does; a Searchable that is in no such module is a part of
    its own.

    Args:
        module: The module. It shrinks; what it says of its widths, strides
            and kernel sizes stays.
        searchables: The modules in it that declare units, by their names in
            the model.
        units: By their names in the model.
        sizes: Height and width of what enters each of the searchables, one
            per call.
    """

    module: nn.Module
    searchables: Mapping[str, Searchable]
    units: Mapping[str, UnitFacts]
    sizes: Mapping[str, Sequence[Size]]

    def calls(
        self, alive: Mapping[str, int]
    ) -> Iterator[tuple[Searchable, dict[str, int], Size]]:
        """Yield every call of a searchable: it, its counts, what enters.

        Args:
            alive: The number of elements, by the units' names in the model.
        """
        for prefix, searchable in self.searchables.items():
            counts = {
                name: alive.get(join(prefix, name), 0)
                for name in searchable.unit_names
            }
            for size in self.sizes.get(prefix, ()):
                yield searchable, counts, size


def named_parts(
    model: nn.Module, sizes: Mapping[str, Sequence[Size]] | None = None
) -> dict[str, Part]:
    """Return the parts of a model as it is now, by their modules' names.

    Args:
        model: The model.
        sizes: See :class:`Part`, of the whole model; a trace finds them.
    """
    parts: dict[str, Part] = {}
    inside: str | None = None
    for name, module in model.named_modules():
        if inside is not None and (not inside or name.startswith(inside)):
            continue
        if _is_searchable(module) or getattr(type(module), 'is_part', False):
            parts[name] = _part(name, module, sizes or {})
            inside = name and name + '.'
    return parts


def _part(
    prefix: str, module: nn.Module, sizes: Mapping[str, Sequence[Size]]
) -> Part:
    searchables = {
        join(prefix, name): searchable
        for name, searchable in named_searchables(module)
    }
    units = {
        join(owner, name): UnitFacts(
            unit.kind, len(unit), unit.params, unit.shared_params, owner
        )
        for owner, searchable in searchables.items()
        for name, unit in searchable.search_units().items()
    }
    own = {name: sizes[name] for name in searchables if name in sizes}
    return Part(module, searchables, units, own)


def _is_searchable(module: nn.Module) -> bool:
    # What isinstance() would find, a hundred times as fast.
    return hasattr(type(module), 'search_units')


def named_searchables(model: nn.Module) -> Iterator[tuple[str, Searchable]]:
    """Yield (name, module) of every module that declares search units."""
    for name, module in model.named_modules():
        if _is_searchable(module):
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
    return f'{prefix}.{name}' if prefix and name else prefix or name
