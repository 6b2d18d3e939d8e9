"""The memory-efficient form, from the expansions to the sum of the paths."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from ..compat_torch import depthwise_backward
from .batch_norm import (
    PIXELS,
    Moments,
    Statistics,
    joined,
    norm_backward,
    normalised,
    shifted,
)
from .primitives.activations import activated, undo_relu
from .primitives.pointwise import (
    add_pointwise,
    pointwise,
    pointwise_weight_grad,
)

# A path is taken in parts. On a CPU, whose caches they should fit, they are of
# so many values, but of no fewer channels; elsewhere of so many channels, if
# the path has more than the second number. As measured.
VALUES, LEAST_CHANNELS = 3 * 2**20, 64
CHANNELS, WIDEST_WHOLE = 192, 576
# What computing a value again costs, in multiply-adds of the expansion: so
# much per multiply-add of the depthwise convolution, and at least so much for
# the value to be kept. On a GPU, depthwise convolutions are the slow ones.
DEPTHWISE_COST, LEAST_COST = {'cpu': 3, 'cuda': 11}, {'cpu': 64, 'cuda': 100}


class PathTensors(NamedTuple):
    """Tensors of a path, or of some of its expanded channels."""

    expand: Tensor
    bias: Tensor
    depthwise: Tensor
    scale: Tensor
    shift: Tensor
    project: Tensor

    def part(self, channels: slice) -> 'PathTensors':
        """Return views of some channels."""
        if channels == slice(0, len(self.bias)):
            return self
        *others, project = self
        parts = [tensor[channels] for tensor in others]
        return PathTensors._make([*parts, project[:, channels]])


class EfficientPath:
    """Hold a path's norm, activations and options, but none of its tensors.

    Those are arguments of :class:`EfficientPaths`, as they need gradients.
    Several paths are taken as one of their largest kernel size.
    """

    def __init__(self, paths: Collection[Any], keep: bool) -> None:
        path = max(paths, key=lambda path: path.depthwise.conv.kernel_size)
        conv = path.depthwise.conv
        self.statistics = Statistics([p.depthwise.norm for p in paths])
        self.acts: tuple[Any, Any] = path.expand.act, path.depthwise.act
        self.options = conv.stride, conv.padding, (1, 1)
        # Other accelerators are taken for GPUs.
        device = 'cpu' if conv.weight.device.type == 'cpu' else 'cuda'
        costs = dict(
            wide=path.expand.conv.in_channels,
            deep=DEPTHWISE_COST[device] * conv.weight[0].numel(),
        )
        if type(self.acts[0]) is not nn.ReLU:
            del costs['wide']  # its gradient needs the input
        dearest = max(costs, key=costs.__getitem__)
        worth_it = costs[dearest] >= LEAST_COST[device]
        self.keeps = dearest if keep and worth_it else None

    def depthwise(self, wide: Tensor, weight: Tensor) -> Tensor:
        """Return the depthwise convolution of expanded channels."""
        return F.conv2d(wide, weight, None, *self.options, len(weight))


class EfficientPaths(Function):
    """Sum of paths: expansion, depthwise convolution with norm, projection.

    Takes what is subtracted from the input first, if anything, weight and bias
    of all expansions, the weights of all depthwise convolutions, their scales,
    their shifts, and the projections' weights.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        paths: Sequence[EfficientPath],
        shift: Tensor | None,
        *tensors: Tensor,
    ) -> Tensor:
        total: Tensor | None = None
        kept: list[Tensor] = []
        ctx.parts = []
        centred = shifted(x, shift)
        for i, (path, params) in enumerate(zip(paths, _by_path(tensors))):
            statistics = path.statistics
            for channels in _parts(len(params.bias), x, statistics.group):
                p = params.part(channels)
                wide = path.acts[0](pointwise(centred, p.expand, p.bias))
                deep = path.depthwise(wide, p.depthwise)
                out, moments = statistics.normalise(
                    deep, p.scale, p.shift, channels
                )
                ctx.parts.append((i, channels, path, moments.count))
                kept += moments[:2]
                if path.keeps is not None:
                    kept.append(wide if path.keeps == 'wide' else deep)
                del wide, deep
                total = add_pointwise(total, path.acts[1](out), p.project)
                del out
            statistics.store_()
        ctx.save_for_backward(x, shift, *tensors, *kept)
        ctx.count = len(tensors)
        assert total is not None
        ctx.dtype = total.dtype
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, shift, *others = ctx.saved_tensors
        x = shifted(x, shift).to(ctx.dtype)
        tensors, kept = others[: ctx.count], iter(others[ctx.count :])
        params = _by_path(tensors)
        grads: list[list[PathTensors]] = [[] for _ in params]
        d_x: Tensor | None = None
        with torch.autocast(x.device.type, enabled=False):
            for i, channels, path, count in ctx.parts:
                eps = path.statistics.eps
                d_x, d_part = _part_backward(
                    path,
                    x,
                    Moments(next(kept), next(kept), count, eps),
                    next(kept) if path.keeps else None,
                    params[i].part(channels),
                    grad,
                    d_x,
                )
                grads[i].append(d_part)
        by_tensor = _by_tensor(grads)
        d_shift: Tensor | None = None
        if shift is not None:
            d_shift = -(tensors[0].flatten(1).T @ by_tensor[1].to(shift.dtype))
        return d_x, None, d_shift, *by_tensor


def _by_tensor(paths: list[list[PathTensors]]) -> list[Tensor]:
    """Return gradients of an EfficientPaths' tensors, by path and part.

    The opposite of :func:`_by_path` and :meth:`PathTensors.part`.
    """
    every = [part for parts in paths for part in parts]
    grads = [joined([part[i] for part in every]) for i in range(2)]
    for i in range(2, 5):
        grads += [joined([part[i] for part in parts]) for parts in paths]
    grads += [joined([part.project for part in parts], 1) for parts in paths]
    return grads


def _by_path(tensors: Sequence[Tensor]) -> list[PathTensors]:
    """Return views by path of the tensors that EfficientPaths takes."""
    expand, bias, *others = tensors
    count = len(others) // 4
    sizes = [len(depthwise) for depthwise in others[:count]]
    groups = [others[i : i + count] for i in range(0, len(others), count)]
    split = expand.split(sizes), bias.split(sizes)
    return [PathTensors(*path) for path in zip(*split, *groups)]


def _parts(channels: int, x: Tensor, group: Any) -> Iterator[slice]:
    """Yield parts of about equally many expanded channels.

    The ranks of a group, which have maps of their own, speak once per part:
    then the number of parts may not depend on the size of the map.
    """
    if x.device.type == 'cpu' and group is None:
        pixels = x.numel() // x.shape[1]
        most = max(VALUES // pixels, LEAST_CHANNELS)
    else:
        most = CHANNELS if channels > WIDEST_WHOLE else WIDEST_WHOLE
    step = -(-channels // -(-channels // most))
    step += -step % 16  # norms are slow where they have another number
    for first in range(0, channels, step):
        yield slice(first, min(first + step, channels))


def _part_backward(
    path: EfficientPath,
    x: Tensor,
    moments: Moments,
    kept: Tensor | None,
    p: PathTensors,
    grad: Tensor,
    d_x: Tensor | None,
) -> tuple[Tensor, PathTensors]:
    """Return the gradient of x, added to d_x, and those of some channels.

    Args:
        moments: What the depthwise convolution's output was normalised with.
        kept: The map that the path keeps, if any.
        p: The tensors of these channels.
        grad: Gradient of the sum of all paths.
    """
    # In the precision that autocast had in the forward pass.
    expand, bias, depthwise, project = (
        t.to(x.dtype) for t in (p.expand, p.bias, p.depthwise, p.project)
    )
    if kept is not None and path.keeps == 'wide':
        wide, undo_first = kept, undo_relu(kept)
    else:
        wide, undo_first = activated(path.acts[0], pointwise(x, expand, bias))
    if kept is not None and path.keeps == 'deep':
        deep = kept
    else:
        deep = path.depthwise(wide, depthwise)
    del kept
    out = normalised(deep, moments, p.scale, p.shift)
    out, undo = activated(path.acts[1], out)
    d_project = pointwise_weight_grad(grad, out)
    grad = undo(add_pointwise(None, grad, project.transpose(0, 1)))
    del out, undo
    grad, d_scale, d_shift = norm_backward(
        grad, deep, moments, p.scale, path.statistics.group
    )
    del deep
    grad, d_depthwise = depthwise_backward(
        grad, wide, depthwise, *path.options, len(depthwise)
    )
    grad = undo_first(grad)
    gradients = PathTensors(
        pointwise_weight_grad(grad, x),
        grad.sum(PIXELS),
        d_depthwise,
        d_scale,
        d_shift,
        d_project,
    )
    return add_pointwise(d_x, grad, expand.transpose(0, 1)), gradients
