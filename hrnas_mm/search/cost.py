"""Multiply-adds: formulas for single layers; what a whole model costs.

A multiply-add counts 1 (the paper calls this FLOPs). Normalisation,
activation, resizing and additions count nothing, as in the paper.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode

from .units import (
    Cost,
    Size,
    join,
    named_search_units,
    named_searchables,
)

# What can be counted, by its name in code and in texts.
RESOURCES = dict(macs='multiply-adds', params='parameters')


def conv_macs(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    out_size: Size,
    groups: int = 1,
) -> int:
    """Multiply-adds of a convolution: k * k * C_in / g * C_out * h * w."""
    height, width = out_size
    per_pixel = kernel_size**2 * (in_channels // groups) * out_channels
    return per_pixel * height * width


def linear_macs(in_features: int, out_features: int, rows: int) -> int:
    """Multiply-adds of a linear layer on ``rows`` vectors."""
    return in_features * out_features * rows


def attention_macs(queries: int, keys: int, dims: int) -> int:
    """Multiply-adds of softmax(Q K^T) V; ``dims`` over all heads."""
    return 2 * queries * keys * dims


def strided(size: Sequence[int], stride: int) -> Size:
    """The size of a feature map after a stride: ceil(h / s), ceil(w / s)."""
    return -(-size[0] // stride), -(-size[1] // stride)


def count_params(model: nn.Module) -> int:
    """The number of parameters."""
    return sum(param.numel() for param in model.parameters())


class Trace(NamedTuple):
    """What one forward pass of one image showed.

    Attributes:
        macs: Multiply-adds by module name; '' is the whole model.
        sizes: The input sizes (h, w) of each searchable module, one per call.
    """

    macs: dict[str, int]
    sizes: dict[str, list[Size]]


def trace(model: nn.Module, input_shape: Sequence[int]) -> Trace:
    """Run one image through the model on the meta device: nothing is computed.

    Args:
        model: Called with one tensor; left as it was.
        input_shape: (C, H, W).
    """
    sizes: dict[str, list[Size]] = {}
    hooks = [
        model.get_submodule(name).register_forward_pre_hook(
            _size_recorder(sizes, name)
        )
        for name, _ in named_searchables(model)
    ]
    try:
        with FlopCounterMode(display=False) as counter:
            run_on_meta(model, input_shape)
    finally:
        for hook in hooks:
            hook.remove()
    return Trace(_macs_by_module(model, counter), sizes)


@torch.no_grad()
def run_on_meta(model: nn.Module, input_shape: Sequence[int]) -> Any:
    """What a model in eval mode puts out for one image, without values.

    Args:
        model: Called with one tensor; left as it was.
        input_shape: (C, H, W).
    """
    weights = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    meta = {
        name: weight.detach().to('meta') for name, weight in weights.items()
    }
    image = torch.empty(1, *input_shape, device='meta')
    with evaluating(model):
        return functional_call(model, meta, (image,))


def _macs_by_module(
    model: nn.Module, counter: FlopCounterMode
) -> dict[str, int]:
    counts = counter.get_flop_counts()
    root = type(model).__name__
    macs: dict[str, int] = {}
    for name, module in reversed(list(model.named_modules())):
        # A module whose forward() is called directly, as mmseg does with
        # heads, is not seen itself, but its children are.
        own = sum(counts.get(join(root, name), {}).values()) // 2
        children = (
            macs[join(name, child)] for child, _ in module.named_children()
        )
        macs[name] = own or sum(children)
    macs[''] = counter.get_total_flops() // 2
    return macs


def _size_recorder(
    sizes: dict[str, list[Size]], name: str
) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
    def record(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        height, width = args[0].shape[-2:]
        sizes.setdefault(name, []).append((height, width))

    return record


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put the model in eval mode; restore every module's mode afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


class CostModel:
    """What a model costs with any number of alive elements.

    The model is traced once; after that everything is arithmetic on what the
    units say of themselves, exact at any architecture of this supernet.

    Args:
        model: The supernet.
        input_shape: (C, H, W) of one image.
        traced: The part of the model that takes the image and whose
            multiply-adds are counted, its modules under the same names; None
            for the whole.

    Raises:
        ValueError: If the model has no search units.
    """

    def __init__(
        self,
        model: nn.Module,
        input_shape: Sequence[int],
        traced: nn.Module | None = None,
    ) -> None:
        units = named_search_units(model)
        if not units:
            raise ValueError(
                f'{type(model).__name__} has no search units; its backbone '
                'must be an HRNASSupernet, or hold a LightweightTransformer'
            )
        found = trace(model if traced is None else traced, input_shape)
        searchables = dict(named_searchables(model))
        self.input_shape = tuple(input_shape)
        self.supernet = {name: len(unit) for name, unit in units.items()}
        self._costs = {name: unit.costs for name, unit in units.items()}
        self._params = {name: unit.params for name, unit in units.items()}
        self._sizes: dict[str, list[Size]] = {
            join(prefix, name): found.sizes.get(prefix, [])
            for prefix, module in searchables.items()
            for name in module.unit_names
        }
        self._siblings = {
            prefix: [join(prefix, name) for name in module.unit_names]
            for prefix, module in searchables.items()
        }
        self._shared_params = {
            prefix: module.shared_params
            for prefix, module in searchables.items()
        }
        self.fixed = dict.fromkeys(RESOURCES, 0)
        self.fixed = dict(
            macs=found.macs[''] - self.total(self.supernet),
            params=count_params(model) - self.total(self.supernet, 'params'),
        )

    def unit_cost(self, name: str, alive: int, cost: str = 'macs') -> int:
        """What one unit costs with ``alive`` elements.

        Args:
            name: Of the unit.
            alive: The number of elements.
            cost: 'params', or one of the unit's multiply-adds ('macs').
        """
        if cost == 'params':
            return alive * self._params[name]
        formula: Cost = self._costs[name][cost]
        return sum(formula(alive, size) for size in self._sizes[name])

    def total(
        self, architecture: Mapping[str, int], resource: str = 'macs'
    ) -> int:
        """Multiply-adds ('macs') or parameters ('params') of the whole model.

        Units that are not named are gone.
        """
        searched = sum(
            self.unit_cost(name, architecture.get(name, 0), resource)
            for name in self.supernet
        )
        if resource == 'params':
            searched += sum(
                self._shared_params[prefix]
                for prefix, names in self._siblings.items()
                if any(architecture.get(name, 0) for name in names)
            )
        return self.fixed[resource] + searched

    def saving(
        self,
        architecture: Mapping[str, int],
        name: str,
        resource: str = 'macs',
    ) -> int:
        """What the whole model saves by losing one element of a unit."""
        alive = architecture[name]
        saved = self.unit_cost(name, alive, resource) - self.unit_cost(
            name, alive - 1, resource
        )
        if resource == 'params' and alive == 1:
            prefix = name.rpartition('.')[0]
            others = sum(
                architecture.get(n, 0) for n in self._siblings[prefix]
            )
            saved += self._shared_params[prefix] if others == 1 else 0
        return saved

    def deltas(
        self, architecture: Mapping[str, int], cost: str = 'macs'
    ) -> dict[str, int]:
        """Marginal cost of one element per alive unit, Eq. (6)."""
        return {
            name: self.unit_cost(name, alive, cost)
            - self.unit_cost(name, alive - 1, cost)
            for name, alive in architecture.items()
            if alive
        }
