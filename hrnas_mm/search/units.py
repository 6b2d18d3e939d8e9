"""Search units, the tensor axes they own, and modules that declare them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, cast, runtime_checkable

from torch import Tensor, nn

Size = tuple[int, int]


@dataclass(frozen=True)
class Axis:
    """A tensor axis that has slots for the elements of a search unit.

    Args:
        module: Module that holds the tensor.
        name: Attribute name of the parameter or buffer in ``module``.
        dim: Dimension of the tensor.
        slots: Slots of each element, shape (n, slots per element), on an axis
            that has others as well; None for one slot per element.
    """

    module: nn.Module
    name: str
    dim: int
    slots: Tensor | None = None

    @property
    def tensor(self) -> Tensor:
        """Return the parameter or buffer."""
        return getattr(self.module, self.name)


@dataclass(frozen=True)
class SearchUnit:
    """A group of n interchangeable channels, or of n tokens.

    Source: HR-NAS, Sec. 3.3; what the paper calls one search unit is one
    element here.

    Args:
        alpha: Importance factors, shape (n,).
        axes: All axes that are sliced together, that of ``alpha`` included.
        kind: Kind of its elements, for logs and plots: 'k3' for channels of
            a 3x3 convolution, 'tokens', or a word of your own.
        absorb: Function that takes the indices of dead elements and folds
            the constant that they leave behind into the layer that follows.
            None if they leave none.
        shared_params: Number of parameters that no element owns, but that
            are removed with the last element of this unit.
        others: Further importance factors of the same elements, each of shape
            (n,): several layers may add up to the same channels.
        least: Number of elements that always stay.
        chained: Whether the module computes nothing without any of its units,
            so that all go with the last element of one. They go only in cuts
            that may empty parts; others leave one element of each.
        shifts: What the norms of ``scales`` put out where their scale is zero,
            one for each of them, where the penalty has to push it to zero,
            too; else none.
    """

    alpha: nn.Parameter
    axes: tuple[Axis, ...]
    kind: str
    absorb: Callable[[Tensor], None] | None = None
    shared_params: int = 0
    others: tuple[nn.Parameter, ...] = ()
    least: int = 0
    chained: bool = False
    shifts: tuple[Tensor, ...] = ()

    def __len__(self) -> int:
        return len(self.alpha)

    @property
    def scales(self) -> tuple[nn.Parameter, ...]:
        """Return all importance factors of the elements."""
        return self.alpha, *self.others

    @property
    def params(self) -> int:
        """Return the number of parameters that each element owns."""
        return sum(
            axis.tensor.numel() // len(self)
            for axis in self.axes
            if isinstance(axis.tensor, nn.Parameter)
        )


@runtime_checkable
class Searchable(Protocol):
    """A module that declares search units of its own.

    If Eq. (6), as printed, does not count all of a module's multiply-adds, the
    module has a method ``eq6_macs`` besides ``macs``. If parameters belong to
    elements of two units at once, it has a method ``params(counts)``, which
    returns the number of all parameters that depend on its units.

    Attributes:
        unit_names: Names of all units that the module was built with,
            including those that it has lost.
        shared_params: Number of parameters that no element owns, but that
            are removed with the module's last element.
    """

    unit_names: tuple[str, ...]
    shared_params: int

    def search_units(self) -> dict[str, SearchUnit]:
        """Return the units that still have elements, by name."""

    def macs(self, counts: Mapping[str, int], size: Size) -> int:
        """Return the multiply-adds of one call.

        Args:
            counts: Number of elements of every unit, by unit name; the module
                itself may have fewer by now.
            size: Height and width of the input feature map.
        """

    def drop_empty_(self) -> None:
        """Delete the submodules whose unit has lost its last element."""


class UnitFacts(NamedTuple):
    """Facts about a unit of the supernet.

    Attributes:
        kind: See :class:`SearchUnit`.
        elements: Number of elements.
        params: Number of parameters that each element owns.
        shared_params: Number of parameters removed with its last element.
        searchable: Name of the module that declares the unit.
        least, chained: See :class:`SearchUnit`.
    """

    kind: str
    elements: int
    params: int
    shared_params: int
    searchable: str
    least: int = 0
    chained: bool = False


@dataclass(frozen=True)
class Part:
    """Module that is priced as a whole, as its units may share costs.

    Shared costs are saved only with the last unit. A module is a part if its
    class sets ``is_part = True``; a Searchable that is in no such module is a
    part of its own.

    Args:
        name: Name of the module in the model.
        module: The module. It shrinks, but the widths, strides and kernel
            sizes that it declares stay.
        searchables: Modules in it that declare units, by their names in the
            model.
        units: Facts about its units, by their names in the model.
        sizes: Heights and widths of the inputs of each searchable, one per
            call.
    """

    name: str
    module: nn.Module
    searchables: Mapping[str, Searchable]
    units: Mapping[str, UnitFacts]
    sizes: Mapping[str, Sequence[Size]]

    def calls(
        self, counts: Mapping[str, int]
    ) -> Iterator[tuple[Searchable, dict[str, int], Size]]:
        """Yield (searchable, counts by unit, input size) for every call.

        Args:
            counts: Number of elements by unit name in the model.
        """
        for prefix, searchable in self.searchables.items():
            own = self.counts_of(prefix, counts)
            for size in self.sizes.get(prefix, ()):
                yield searchable, own, size

    def counts_of(
        self, searchable: str, counts: Mapping[str, int]
    ) -> dict[str, int]:
        """Return the counts of one of its searchables, by its unit names."""
        return {
            name: counts.get(join(searchable, name), 0)
            for name in self.searchables[searchable].unit_names
        }

    def inside(self, name: str) -> str:
        """Return the name in the part of what has a name in the model."""
        return name[len(self.name) :].lstrip('.')


def named_parts(
    model: nn.Module, sizes: Mapping[str, Sequence[Size]] | None = None
) -> dict[str, Part]:
    """Return the parts of a model in its present size, by module name.

    Args:
        model: Model that has the parts.
        sizes: Input sizes of all searchables in the model, as a trace finds
            them; see :class:`Part`.
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
            unit.kind,
            len(unit),
            unit.params,
            unit.shared_params,
            owner,
            unit.least,
            unit.chained,
        )
        for owner, searchable in searchables.items()
        for name, unit in searchable.search_units().items()
    }
    own = {name: sizes[name] for name in searchables if name in sizes}
    return Part(prefix, module, searchables, units, own)


def _is_searchable(module: nn.Module) -> bool:
    # The same result as isinstance(), a hundred times as fast.
    return hasattr(type(module), 'search_units')


def named_searchables(model: nn.Module) -> Iterator[tuple[str, Searchable]]:
    """Yield (name, module) for every module that declares search units."""
    for name, module in model.named_modules():
        if _is_searchable(module):
            yield name, cast(Searchable, module)


def named_search_units(model: nn.Module) -> dict[str, SearchUnit]:
    """Return all search units of a model, by '<module name>.<unit name>'.

    They are recomputed at every call and never stored: a deep copy has its
    own, and modules may be replaced at any time.
    """
    return {
        join(prefix, name): unit
        for prefix, module in named_searchables(model)
        for name, unit in module.search_units().items()
    }


def join(prefix: str, name: str) -> str:
    """Join two parts of a dotted name; the root's prefix is empty."""
    return f'{prefix}.{name}' if prefix and name else prefix or name


def is_inside(module: str, owner: str) -> bool:
    """Return whether a module is in another or is it, by their names."""
    return not owner or f'{module}.'.startswith(f'{owner}.')
