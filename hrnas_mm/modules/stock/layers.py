"""The layers of a stock module, whose costs are products of its counts."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, NamedTuple

from ...coupling import TensorName, positions_of
from .plan import Segment
from .units import SearchableChannels


class StockLayer(NamedTuple):
    """A layer that makes or reads elements of units.

    Attributes:
        name: Its name in the stock module.
        kind: What runtimes have an operator for: 'linear', or 'depthwise',
            'pointwise' or 'dense' convolution.
        dims: What lies along each dimension of its weight that units have a
            part in.
        needs: Units without any of which it is not there.
        is_used: Whether it is at work in eval mode.
    """

    name: str
    kind: str
    dims: Sequence[Sequence[Segment]]
    needs: Sequence[str]
    is_used: bool

    def slots(self, counts: Mapping[str, int]) -> int:
        """Return the slots of all dimensions, multiplied.

        The multiply-adds and the weights of the layer are in proportion.

        Args:
            counts: Number of elements by unit.
        """
        if not all(counts[unit] for unit in self.needs):
            return 0
        return prod(
            sum(
                slots if unit is None else slots * counts[unit]
                for unit, slots in segments
            )
            for segments in self.dims
        )

    @property
    def units(self) -> tuple[str, ...]:
        """Return the names of the units that it depends on."""
        own = {unit: None for dim in self.dims for unit, _ in dim if unit}
        return tuple(own | dict.fromkeys(self.needs))


def layers_of(module: SearchableChannels) -> list[StockLayer]:
    """Return the layers whose costs depend on the units of a module."""
    plan = module._plan
    used = positions_of(module._whole, plan.inputs)
    dims = defaultdict[TensorName, list[Sequence[Segment]]](list)
    for place, segments in plan.places.items():
        name = TensorName(*place[:2])
        if name in plan.layers:
            dims[name].append(segments)
    return [
        StockLayer(
            name.module,
            _kind(module._whole.get_submodule(name.module), plan.layers[name]),
            each,
            tuple(plan.units) if plan.residual else (),
            name in used,
        )
        for name, each in dims.items()
    ]


def _kind(layer: Any, facts: Any) -> str:
    if not hasattr(layer, 'kernel_size'):
        return 'linear'
    if facts.inputs is None:
        return 'depthwise'
    return 'pointwise' if max(layer.kernel_size) == 1 else 'dense'
