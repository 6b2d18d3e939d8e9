"""Stock modules that declare their channels as search units."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache, partial
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.utils._pytree import tree_map_only

from ...coupling import Place, TensorName, positions_of
from ...search.modes import evaluating
from ...search.units import Axis, SearchUnit, Size
from .plan import Plan


class SearchableChannels:
    """Mixin of the stock modules that ``searchable_`` has changed.

    The names of their weights, and what they compute, are as before. Each
    unit is named after the first layer that makes it.

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
        """Return the units by name; one element of each always stays."""
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
                partial(self._absorb, name),
                others=tuple(norm.weight for norm in norms[1:]),
                least=1,
                shifts=tuple(map(_shift_of, norms)),
            )
        return units

    def macs(self, counts: Mapping[str, int], size: Size) -> int:
        """Return the multiply-adds of the layers that units have a part in.

        Args:
            counts, size: See :class:`~hrnas_mm.search.Searchable`.
        """
        plan = self._plan
        if size not in plan.positions:
            inputs = plan.inputs_of(size)
            plan.positions[size] = positions_of(self, inputs)  # type: ignore
        positions = plan.positions[size]
        return sum(
            positions[name] * self._numel(name, counts) for name in plan.layers
        )

    def params(self, counts: Mapping[str, int]) -> int:
        """Return the parameters of the tensors that units have a part in."""
        names = {TensorName(*place[:2]) for place in self._plan.places}
        return sum(
            self._numel(name, counts)
            for name in names
            if isinstance(self._tensor(name), nn.Parameter)
        )

    def drop_empty_(self) -> None:
        """Do nothing: no unit loses its last element."""

    def _tensor(self, name: TensorName) -> Tensor:
        return getattr(self.get_submodule(name.module), name.tensor)

    def _numel(self, name: TensorName, counts: Mapping[str, int]) -> int:
        shape = self._tensor(name).shape
        places = [Place(*name, dim) for dim in range(len(shape))]
        return prod(
            self._plan.length(place, counts)
            if place in self._plan.places
            else shape[place.dim]
            for place in places
        )

    # What dead channels leave behind.

    @torch.no_grad()
    def _absorb(self, unit: str, dead: Tensor) -> None:
        """Fold the constant that dead channels leave behind into what follows.

        A norm whose scale is zero puts out its shift, and activations make
        another constant of it. What reaches the layers that read the channels,
        and what these make of it, is seen in a run of the module.
        """
        norms = [self.get_submodule(n) for n in self._plan.units[unit].norms]
        for norm in norms:
            norm.weight[dead] = 0
        for name, constant in self._constants(unit, dead).items():
            layer = self.get_submodule(name.module)
            after = self._plan.layers[name].norm
            if layer.bias is not None:
                layer.bias += constant
            elif after is not None:
                mean = self.get_submodule(after).running_mean
                if mean is not None:
                    mean -= constant
        for norm in norms:
            _shift_of(norm)[dead] = 0

    def _constants(self, unit: str, dead: Tensor) -> dict[TensorName, Tensor]:
        """Return what dead channels add to the outputs of their readers."""
        found: dict[TensorName, Tensor] = {}
        plan, counts = self._plan, self.counts()
        hooks: list[Any] = []
        for place in plan.places:
            name = TensorName(*place[:2])
            slots = plan.slots(place, counts)
            if unit in slots and _reads(plan, place):
                own = slots[unit]
                own = dead if own is None else own[dead.cpu()].flatten()
                hook = partial(_note_constant, found, name, own)
                module = self.get_submodule(place.module)
                if isinstance(module, (_ConvNd, nn.Linear)):
                    hooks.append(module.register_forward_pre_hook(hook))
        alpha = self.get_submodule(plan.units[unit].norms[0]).weight
        inputs = tree_map_only(
            Tensor, lambda map: alpha.new_zeros(map.shape), plan.inputs
        )
        try:
            with evaluating(self):  # type: ignore[arg-type]
                self(*inputs)  # type: ignore[operator]
        finally:
            for hook in hooks:
                hook.remove()
        return found


def _shift_of(norm: Any) -> Tensor:
    """Return what a norm adds to its channels, zeros if it adds nothing."""
    return torch.zeros_like(norm.weight) if norm.bias is None else norm.bias


def _reads(plan: Plan, place: Place) -> bool:
    """Return whether a layer reads the channels along a dimension."""
    layer = plan.layers.get(TensorName(*place[:2]))
    return layer is not None and layer.inputs == place.dim


def _note_constant(
    found: dict[TensorName, Tensor],
    name: TensorName,
    slots: Tensor,
    layer: nn.Module,
    args: Sequence[Tensor],
) -> None:
    """Note what some slots of a layer's input add to its output.

    It is that in the middle of the map, as padding changes it at the border.
    """
    dim = -1 if isinstance(layer, nn.Linear) else 1
    nothing = torch.zeros_like(args[0])
    slots = slots.to(nothing.device)
    alone = nothing.index_copy(dim, slots, args[0].index_select(dim, slots))
    constant = layer.forward(alone) - layer.forward(nothing)
    constant = constant.movedim(dim, -1)
    middle = [side // 2 for side in constant.shape[:-1]]
    found[name] = constant[tuple(middle)]


@cache
def searchable_class(kind: Any) -> type[nn.Module]:
    """Return the class of modules of a kind that declare their channels."""
    names = dict(__module__=kind.__module__)
    return type(kind.__name__, (SearchableChannels, kind), names)
