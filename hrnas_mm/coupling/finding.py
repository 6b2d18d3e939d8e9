"""Finding which channels of a network belong together, in one forward pass.

Beside each tensor goes the number of the channel that every value belongs to.
A dense layer gives each of its output channels a new number. Operators that
move values move the numbers; the numbers that meet in an elementwise operator
become one; an operator that is not known keeps the channels that it reads. So
what is not known costs search space, and never correctness.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._pytree import tree_map_only

from ..search.modes import in_mode, without_batches
from ..search.trace import tensors_on
from ..search.units import is_inside
from .flow import ChannelFlow, Layer
from .layers import TensorName
from .marks import Place, Source

UNKNOWN = Source('', False)


@dataclass
class Coupling:
    """Describe how the channels of a network belong together.

    Attributes:
        places: Numbers of the channels along dimensions of tensors; equal
            ones go together, and 0 stays.
        layers: Layers, by the name of their weight.
        sources: Where the readers of a channel get it from, by its number.
        reasons: Why an output channel of a layer stays, by its weight's name.
        inputs: Shape (C, H, W) and numbers of the map that a module is called
            with, for modules that are always called with one map alone.
        active: Names of the modules that are at work whenever a module's
            tensors are used, by its name.
    """

    places: dict[Place, Tensor]
    layers: dict[TensorName, Layer]
    sources: dict[int, set[Source]]
    reasons: dict[TensorName, str]
    inputs: dict[str, tuple[tuple[int, ...], Tensor]]
    active: dict[str, set[str]]


@torch.no_grad()
def find_coupling(
    model: nn.Module, inputs: tuple[Any, ...], own: Iterable[str] = ()
) -> Coupling:
    """Find which channels of a model belong together.

    The model runs on the meta device, where nothing is computed: in eval mode
    and in train mode, in which some models return more. It is left as it was.

    Args:
        model: The model.
        inputs: Positional arguments of the model; its tensors on any device.
        own: Names of modules that declare units of their own.

    Raises:
        Exception: Whatever the model raises on the meta device.
    """
    there = tensors_on('meta', model)
    inputs = tree_map_only(Tensor, lambda t: t.to('meta'), inputs)
    at_work: list[str] = []
    flow = ChannelFlow(there, at_work)
    with _watched(model, flow, at_work) as maps:
        for training in (False, True):
            with in_mode(model, training), without_batches(model), flow:
                outputs = functional_call(
                    model, there, inputs, tie_weights=False
                )
            flow.marks.keep(outputs, 'it is an output')
    for place, line in flow.marks.places.items():
        if place.module in flow.marks.other_uses:
            flow.marks.numbers.keep(line, 'its weights have another use')
        if any(is_inside(place.module, name) for name in own):
            flow.marks.numbers.keep(line, 'its module has units of its own')
    return _settled(flow, {n: found for n, found in maps.items() if found})


def _settled(
    flow: ChannelFlow, maps: dict[str, tuple[tuple[int, ...], Tensor]]
) -> Coupling:
    marks, sources = flow.marks, dict[int, set[Source]]()
    settled = marks.numbers.settled
    origin = {s: set(settled(n).tolist()) for s, n in marks.origin.items()}
    for line, origins in flow.reads:
        for i in set(settled(line).tolist()) - {0}:
            own = {source for source in origins if i in origin[source]}
            sources.setdefault(i, set()).update(own or {UNKNOWN})
    reasons = {}
    for name, layer in flow.layers.items():
        numbers = marks.places[Place(*name, layer.outputs)]
        reason = marks.numbers.reason(numbers)
        if reason is not None:
            reasons[name] = reason
    return Coupling(
        {place: settled(numbers) for place, numbers in marks.places.items()},
        flow.layers,
        sources,
        reasons,
        {name: (shape, settled(line)) for name, (shape, line) in maps.items()},
        marks.active,
    )


@contextmanager
def _watched(
    model: nn.Module, flow: ChannelFlow, at_work: list[str]
) -> Iterator[dict[str, Any]]:
    """Note which modules are at work, and yield the maps they are given.

    Of a module that is given anything else than one map, this is None.
    """
    maps: dict[str, Any] = {}

    def enter(name: str, args: Any, kwargs: Any) -> None:
        at_work.append(name)
        if len(args) != 1 or kwargs or getattr(args[0], 'ndim', 0) != 4:
            maps[name] = None
            return
        numbers = flow.marks.numbers_of(args[0])
        if numbers.numel() != numbers.shape[1]:  # its channels come last
            maps[name] = None
            return
        found = tuple(args[0].shape[1:]), flow.marks.line(args[0])
        first = maps.setdefault(name, found)
        if first is not None and first[0][0] != found[0][0]:
            maps[name] = None

    hooks = []
    for name, module in model.named_modules():
        hooks += [
            module.register_forward_pre_hook(
                lambda _, *given, name=name: enter(name, *given),
                with_kwargs=True,
            ),
            module.register_forward_hook(lambda *_: _leave(at_work)),
        ]
    try:
        yield maps
    finally:
        for hook in hooks:
            hook.remove()


def _leave(at_work: list[str]) -> None:
    """End the work of a module; what a hook returns would be its output."""
    at_work.pop()
