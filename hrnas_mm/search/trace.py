"""Tracing one image through a model on the meta device, without computing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from .formulas import count_params
from .modes import evaluating
from .units import Size, join, named_searchables


@dataclass(frozen=True)
class Trace:
    """Facts about a model and its forward pass with one image.

    Args:
        input_shape: (C, H, W) of the image.
        macs: Multiply-adds by module name; '' is all that was traced.
        sizes: Input sizes (h, w) of each searchable module, one per call.
        params: Number of parameters of the model.
    """

    input_shape: tuple[int, ...]
    macs: Mapping[str, int]
    sizes: Mapping[str, Sequence[Size]]
    params: int


def trace(
    model: nn.Module,
    input_shape: Sequence[int],
    traced: nn.Module | None = None,
) -> Trace:
    """Trace one image through a model, which is left as it was.

    It is on the meta device, or on the CPU if an operator has no shape
    inference.

    Args:
        model: Model whose parameters are counted.
        input_shape: (C, H, W) of the image.
        traced: Portion of the model that takes one tensor, with its modules
            under the same names; None for the whole model.
    """
    traced = model if traced is None else traced
    sizes: dict[str, list[Size]] = {}
    hooks = [
        traced.get_submodule(name).register_forward_pre_hook(
            _size_recorder(sizes, name)
        )
        for name, _ in named_searchables(traced)
    ]
    try:
        try:
            with FlopCounterMode(display=False) as counter:
                run_without_values(traced, input_shape)
        except RuntimeError:  # an operator without shape inference
            sizes.clear()
            with FlopCounterMode(display=False) as counter:
                run_without_values(traced, input_shape, 'cpu')
    finally:
        for hook in hooks:
            hook.remove()
    return Trace(
        tuple(input_shape),
        _macs_by_module(traced, counter),
        sizes,
        count_params(model),
    )


@torch.no_grad()
def run_without_values(
    model: nn.Module, input_shape: Sequence[int], device: str = 'meta'
) -> Any:
    """Return the output of a model for one image, of which only shapes count.

    Args:
        model: Model that takes one tensor; it runs in eval mode and is left
            as it was.
        input_shape: (C, H, W) of the image.
        device: 'meta', where nothing is computed, or 'cpu'.
    """
    there = tensors_on(device, model)
    floats = (w.dtype for w in there.values() if w.is_floating_point())
    dtype = next(floats, torch.float32)
    image = torch.zeros(1, *input_shape, device=device, dtype=dtype)
    with evaluating(model):
        return functional_call(model, there, (image,), tie_weights=False)


def tensors_on(device: str, model: nn.Module) -> dict[str, Tensor]:
    """Return copies of a model's tensors on a device, by name.

    A module that is found in two places has one name here: with a second one,
    or with ``tie_weights``, torch's functional_call would leave the copies in
    the model.
    """
    copies: dict[int, Tensor] = {}
    found = {}
    for prefix, module in model.named_modules():
        own = {**module._parameters, **module._buffers}
        for name, tensor in own.items():
            if tensor is not None:
                copy = tensor.detach().to(device)
                found[join(prefix, name)] = copies.setdefault(id(tensor), copy)
    return found


def image_channels(backbone: nn.Module) -> int | None:
    """Return the channels of a backbone's image, or None.

    These are the input channels of its first convolution, unless only an image
    of 3 channels can be taken: its pixels may be rearranged before.
    """
    convs = (m for m in backbone.modules() if isinstance(m, nn.Conv2d))
    first = next(convs, None)
    if first is None:
        return None
    if first.in_channels <= 3:
        return first.in_channels
    for channels in (first.in_channels, 3):
        try:
            run_without_values(backbone, (channels, 128, 128))
        except Exception:
            continue
        return channels
    return first.in_channels


def _macs_by_module(
    model: nn.Module, counter: FlopCounterMode
) -> dict[str, int]:
    counts = counter.get_flop_counts()
    root = type(model).__name__
    macs: dict[str, int] = {}
    for name, module in reversed(list(model.named_modules())):
        # The counter does not see a module whose forward() is called
        # directly, as mmseg does with heads, but it sees the children.
        own = sum(counts.get(join(root, name), {}).values()) // 2
        children = (
            macs.get(join(name, child), 0)  # 0 if it has another name, too
            for child, _ in module.named_children()
        )
        macs[name] = own or sum(children)
    macs[''] = counter.get_total_flops() // 2
    return macs


def _size_recorder(
    sizes: dict[str, list[Size]], name: str
) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
    def record(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        first = next(x for x in tree_leaves(args) if isinstance(x, Tensor))
        height, width = first.shape[-2:]
        sizes.setdefault(name, []).append((height, width))

    return record
