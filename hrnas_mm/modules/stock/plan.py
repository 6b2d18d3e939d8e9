"""Plans of which channels of a stock module are search units."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map_only

from ...coupling import Layer, Place, TensorName
from ...search.units import Size


class Segment(NamedTuple):
    """Slots in a row along a dimension of a tensor.

    Attributes:
        unit: Name of the unit to whose elements they belong, in order; None
            for slots that stay.
        slots: Number of slots of each element, or of all slots that stay.
    """

    unit: str | None
    slots: int


class Channels(NamedTuple):
    """Coupled channels, of which one unit consists.

    Attributes:
        norms: Names of the norms that switch them off for all their readers.
        kind: See :class:`~hrnas_mm.search.SearchUnit`.
    """

    norms: tuple[str, ...]
    kind: str


class Residual(NamedTuple):
    """Describe what is left of a residual block without its branch.

    It is ``activation(x + constant)``.

    Attributes:
        norm: Name of the norm whose shift the constant becomes.
        activation: Name of the module behind the addition; None if there is
            none.
    """

    norm: str
    activation: str | None

    def activated(self, block: Any, x: Tensor) -> Tensor:
        """Return a map after the activation of a block."""
        if self.activation is None:
            return x
        return block.get_submodule(self.activation)(x)


@dataclass
class Plan:
    """Facts about the units of one module; names are relative to it.

    Args:
        units: Its units, by name.
        places: What lies along the dimensions of tensors that hold elements.
        layers: Layers that make or read elements, by the name of the weight.
        inputs: Arguments of the module for one image, on the meta device.
        is_absorbed: Whether all of its units have been folded in, so that
            nothing is left to fold.
        residual: What it does without channels, if it may lose them all.
        whole: Copy of it, on the meta device, from before a search, if it may
            lose layers.
        positions: Places at which weights are applied for one image, by the
            size of the first map, as far as they are known.
    """

    units: dict[str, Channels]
    places: dict[Place, tuple[Segment, ...]]
    layers: dict[TensorName, Layer]
    inputs: tuple[Any, ...]
    is_absorbed: bool = False
    residual: Residual | None = None
    whole: nn.Module | None = None
    positions: dict[Size, Mapping[TensorName, int]] = field(
        default_factory=dict
    )

    def is_emptied(self, counts: Mapping[str, int]) -> bool:
        """Return whether a residual block with some counts has no branch."""
        return self.residual is not None and not all(
            counts.get(unit) for unit in self.units
        )

    def reads(self, place: Place) -> bool:
        """Return whether a layer reads the channels along a dimension."""
        layer = self.layers.get(TensorName(*place[:2]))
        return layer is not None and layer.inputs == place.dim

    def inputs_of(self, size: Size) -> tuple[Any, ...]:
        """Return arguments of the module, the first map of another size."""
        first = tree_leaves(self.inputs)[0]

        def resized(map: Tensor) -> Tensor:
            sides = (
                -(-now * new // old)
                for now, new, old in zip(map.shape[2:], size, first.shape[2:])
            )
            return map.new_empty(*map.shape[:2], *sides)

        return tree_map_only(Tensor, resized, self.inputs)

    def length(self, place: Place, counts: Mapping[str, int]) -> int:
        """Return the number of slots along a dimension, for some counts."""
        return sum(
            slots if unit is None else slots * counts.get(unit, 0)
            for unit, slots in self.places[place]
        )

    def slots(
        self, place: Place, counts: Mapping[str, int]
    ) -> dict[str, Tensor | None]:
        """Return where the elements of units lie along a dimension.

        Args:
            place: The dimension.
            counts: Present numbers of elements, by unit.

        Returns:
            Slots of every element, (n, slots per element), by unit; None for
            a unit that has the dimension to itself.
        """
        segments = self.places[place]
        if len(segments) == 1 and segments[0].slots == 1:
            return {str(segments[0].unit): None}
        first, found = 0, defaultdict[str, list[Tensor]](list)
        for unit, slots in segments:
            n = 1 if unit is None else counts[unit]
            if unit is not None:
                own = torch.arange(first, first + n * slots)
                found[unit].append(own.view(n, slots))
            first += n * slots
        return {unit: torch.cat(parts, 1) for unit, parts in found.items()}


def segments_of(
    line: Tensor, units: Mapping[str, Tensor]
) -> tuple[Segment, ...] | None:
    """Divide a dimension into the slots of units and those that stay.

    Args:
        line: Numbers of the channels along the dimension.
        units: Numbers of the channels of units, by name.

    Returns:
        The segments; None if the channels of a unit are not together, or in
        another order.
    """
    unit_of = {i: name for name, own in units.items() for i in own.tolist()}
    found: list[Segment] = []
    numbers, first = line.tolist(), 0
    while first < len(numbers):
        unit = unit_of.get(numbers[first])
        if unit is None:
            before = found.pop().slots if found and not found[-1].unit else 0
            found.append(Segment(None, before + 1))
            first += 1
            continue
        same = (
            i for i, n in enumerate(numbers[first:]) if n != numbers[first]
        )
        slots = next(same, len(numbers) - first)
        own = units[unit].repeat_interleave(slots).tolist()
        if numbers[first : first + len(own)] != own:
            return None
        found.append(Segment(unit, slots))
        first += len(own)
    return tuple(found)
