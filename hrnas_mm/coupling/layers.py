"""Recognising the layers of a model among the operators of a forward pass."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from ..search.modes import evaluating
from ..search.trace import tensors_on


class TensorName(NamedTuple):
    """Name of a parameter or buffer: of its module, and in its module."""

    module: str
    tensor: str

    @classmethod
    def of(cls, name: str) -> 'TensorName':
        """Return the name of what has a name in the model."""
        module, _, tensor = name.rpartition('.')
        return cls(module, tensor)


class Use(NamedTuple):
    """One use of a convolution or linear layer.

    Attributes:
        weight: Name of the weight.
        map: Input.
        bias: Bias, or None.
        inputs: Dimension of the weight with a slot per input channel; None if
            each output channel reads its own input channel alone.
        outputs: Dimension of the weight with a slot per output channel.
        positions: Number of places at which the weight is applied.
    """

    weight: TensorName
    map: Tensor
    bias: Tensor | None
    inputs: int | None
    outputs: int
    positions: int


class LayerMode(TorchDispatchMode):
    """Mode that knows the layers of a model by their weights.

    Args:
        tensors: Parameters and buffers that the model runs with, by name.
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.names = {
            id(tensor): TensorName.of(name) for name, tensor in tensors.items()
        }
        self._transposed: dict[int, tuple[Tensor, TensorName]] = {}

    def layer(self, name: str, args: Any, out: Any) -> Use | None:
        """Return which layer an operator is, if it is one."""
        if name == 't' and id(args[0]) in self.names:
            self._transposed[id(out)] = out, self.names[id(args[0])]
        if name in ('addmm', 'mm') and id(args[-1]) in self._transposed:
            rows, weight = args[-2], self._transposed[id(args[-1])][1]
            bias = args[0] if name == 'addmm' else None
            return Use(weight, rows, bias, 1, 0, rows.shape[0])
        if name != 'convolution' or id(args[1]) not in self.names:
            return None
        map, weight, bias, *_, transposed, _, groups = args
        pixels = map if transposed else out
        depthwise = groups == map.shape[1] == out.shape[1] != 1
        if groups > 1 and not depthwise:
            return None
        inputs: int | None
        inputs, outputs = (0, 1) if transposed else (1, 0)
        if depthwise:
            inputs, outputs = None, 0
        positions = pixels.numel() // pixels.shape[1]
        own = self.names[id(weight)]
        return Use(own, map, bias, inputs, outputs, positions)


class _Positions(LayerMode):
    """Mode that adds up the places at which each weight is applied."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__(tensors)
        self.found = Counter[TensorName]()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        use = self.layer(func._schema.name.partition('::')[2], args, out)
        if use is not None:
            self.found[use.weight] += use.positions
        return out


@torch.no_grad()
def positions_of(
    module: nn.Module, inputs: tuple[Any, ...]
) -> Mapping[TensorName, int]:
    """Return at how many places each weight is applied.

    Times the size of the weight, these are the multiply-adds of its layer.

    Args:
        module: Module whose layers are meant.
        inputs: Its arguments, for one image, on the meta device.
    """
    there = tensors_on('meta', module)
    dtype = next(t.dtype for t in there.values() if t.is_floating_point())
    inputs = tree_map_only(Tensor, lambda map: map.to(dtype), inputs)
    mode = _Positions(there)
    with evaluating(module), mode:
        functional_call(module, there, inputs, tie_weights=False)
    return mode.found
