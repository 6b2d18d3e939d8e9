"""Stock modules that declare their channels as search units."""

from collections import defaultdict
from collections.abc import Mapping
from functools import cache, partial
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from ...coupling import Place, TensorName, positions_of
from ...search.units import Axis, SearchUnit, Size
from .absorbing import absorb_, norms_of, shift_of
from .emptying import constant_of, strip_
from .plan import Plan


class SearchableChannels:
    """Mixin of the stock modules that ``searchable_`` has changed.

    The names of their weights, and what they compute, are as before. Each
    unit is named after the first layer that makes it. A residual block whose
    unit loses its last element becomes its shortcut; of any other module, one
    element of each unit always stays.

    Source: an element's importance factors are the scales of the batch norms
    behind it, as in HR-NAS, Sec. 4.1; they may be several where layers add up.

    Attributes:
        is_stock: A search has other defaults, as the scales have learnt
            elsewhere (docs/pretrained.md).
    """

    shared_params = 0
    is_stock = True
    _plan: Plan
    get_submodule: Any
    set_submodule: Any

    @property
    def unit_names(self) -> tuple[str, ...]:
        """Return the names of all units."""
        return tuple(self._plan.units)

    def counts(self) -> dict[str, int]:
        """Return the present number of elements of every unit."""
        return {
            name: len(self.get_submodule(unit.norms[0]).weight)
            for name, unit in self._plan.units.items()
        }

    def search_units(self) -> dict[str, SearchUnit]:
        """Return the units by name."""
        plan, counts = self._plan, self.counts()
        axes = defaultdict[str, list[Axis]](list)
        for place in plan.places:
            module = self.get_submodule(place.module)
            for owner, slots in plan.slots(place, counts).items():
                axes[owner].append(Axis(module, *place[1:], slots))
        units = {}
        for name, unit in plan.units.items():
            norms = [self.get_submodule(norm) for norm in unit.norms]
            units[name] = SearchUnit(
                norms[0].weight,
                tuple(axes[name]),
                unit.kind,
                partial(self.absorb_, name),
                others=tuple(norm.weight for norm in norms[1:]),
                least=0 if plan.residual else 1,
                chained=plan.residual is not None,
                shifts=tuple(map(shift_of, norms)),
            )
        return units

    def macs(self, counts: Mapping[str, int], size: Size) -> int:
        """Return the multiply-adds of the layers that units have a part in.

        Args:
            counts, size: See :class:`~hrnas_mm.search.Searchable`.
        """
        plan = self._plan
        if plan.is_emptied(counts):
            return 0
        if size not in plan.positions:
            inputs = plan.inputs_of(size)
            plan.positions[size] = positions_of(self._whole, inputs)
        positions = plan.positions[size]
        return sum(
            positions[name] * self._numel(name, counts) for name in plan.layers
        )

    def params(self, counts: Mapping[str, int]) -> int:
        """Return the parameters that depend on the units.

        They are those of the tensors that units have a part in. With the last
        element of a residual block all others go as well, but for the shift.
        """
        if self._plan.is_emptied(counts):
            return 0
        names = {TensorName(*place[:2]) for place in self._plan.places}
        if self._plan.residual:
            names = {
                TensorName.of(name)
                for name, _ in self._whole.named_parameters()
                if name != f'{self._plan.residual.norm}.bias'
            }
        return sum(
            self._numel(name, counts)
            for name in names
            if isinstance(self._tensor(name), nn.Parameter)
        )

    def drop_empty_(self) -> None:
        """Become the shortcut, if a unit has lost its last element."""
        if not all(self.counts().values()):
            self.empty_()

    def empty_(self) -> None:
        """Become the shortcut; what channels leave behind is absorbed."""
        residual = self._plan.residual
        assert residual is not None
        strip_(self, residual, constant_of(self, self._plan, residual))
        emptied: Any = _class_of(Emptied, stock_class_of(self))
        self.__class__ = emptied

    @torch.no_grad()
    def absorb_(self, unit: str, dead: Tensor) -> None:
        """Fold in what dead channels, and those that go with them, put out."""
        counts = self.counts()
        if self._plan.is_absorbed:
            return
        self._plan.is_absorbed = len(dead) == counts[unit]
        gone = {unit: dead}
        if self._plan.is_absorbed:
            gone |= {
                name: torch.arange(n, device=dead.device)
                for name, n in counts.items()
                if name != unit
            }
        # What they put out once they are gone is their shift alone.
        for norm in norms_of(self, self._plan, unit):
            norm.weight[dead] = 0
        for name, indices in gone.items():
            absorb_(self, self._plan, counts, name, indices)

    @property
    def _whole(self) -> nn.Module:
        """Return the module, or a copy that still has all of its layers."""
        whole = self._plan.whole
        return self if whole is None else whole  # type: ignore[return-value]

    def _tensor(self, name: TensorName) -> Tensor:
        return getattr(self._whole.get_submodule(name.module), name.tensor)

    def _numel(self, name: TensorName, counts: Mapping[str, int]) -> int:
        shape = self._tensor(name).shape
        places = [Place(*name, dim) for dim in range(len(shape))]
        return prod(
            self._plan.length(place, counts)
            if place in self._plan.places
            else shape[place.dim]
            for place in places
        )


class Emptied(SearchableChannels):
    """Mixin of residual blocks that have lost their channels.

    Of the weights, the shift of the last norm is left, under its name.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the shortcut, with the shift added, after the activation."""
        residual = self._plan.residual
        assert residual is not None
        shift = self.get_submodule(residual.norm).bias
        # A sum with float32 would be float32, also under autocast.
        shift = shift[:, None, None].to(x.dtype)
        return residual.activated(self, x + shift)

    def counts(self) -> dict[str, int]:
        """Return that no unit has any element."""
        return dict.fromkeys(self._plan.units, 0)

    def search_units(self) -> dict[str, SearchUnit]:
        """Return no units."""
        return {}

    def drop_empty_(self) -> None:
        """Do nothing: all is gone."""


def searchable_class(kind: Any) -> type[nn.Module]:
    """Return the class of modules of a kind that declare their channels."""
    return _class_of(SearchableChannels, kind)


def stock_class_of(module: SearchableChannels) -> Any:
    """Return the class that a module had before its channels were searched."""
    kinds = type(module).__mro__
    return kinds[kinds.index(SearchableChannels) + 1]


@cache
def _class_of(mixin: Any, kind: Any) -> type[nn.Module]:
    names = dict(__module__=kind.__module__)
    return type(kind.__name__, (mixin, kind), names)
