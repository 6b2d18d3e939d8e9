"""Training form of MixConv that keeps few maps for the backward pass.

The readable form is ``MixConvPath.forward``; this one computes the same
function, gradients and running statistics, up to rounding, in less time and a
third of the memory:

- The batch norm after the expansion is folded into its weights. The mean and
  the variance of ``W x`` follow from those of ``x``, which all paths share:
  ``W mean`` and ``diag(W cov W^T)``. The map before this norm never exists.
  W is applied to ``x - mean``: a mean that is large beside the deviation would
  cost digits.
- Of the maps with the expanded channels, at most the output of the depthwise
  convolution is kept; the others are computed again in the backward pass.
- The expanded channels do not depend on each other, and are taken some at a
  time: what is not kept stays small.
"""

import math
from collections.abc import Collection, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from ..search.formulas import strided
from .batch_norm import (
    PIXELS,
    Statistics,
    joined,
    shifted,
    sum_over_,
    uses_batch,
)
from .memory_efficient_paths import EfficientPath, EfficientPaths
from .primitives.kernels import stacked_kernels
from .primitives.pointwise import may_pass_by, pointwise, trains_eagerly

# Multiply-adds with zeros that take the fixed time of a path, as measured.
WORTH_A_PATH = 5e6


def can_save_memory(paths: Collection[nn.Module], x: Tensor) -> bool:
    """Return whether the paths can, and should, run in the form of this file.

    Not without gradients, where nothing is kept anyway; not while a compiler
    traces, which decides itself what to keep; not with weights of 16 bits,
    whose products with statistics would lose too much; and not where somebody
    has hooked or replaced a layer, which this form would pass by.
    """
    return (
        trains_eagerly()
        and all(_is_precise(path) for path in paths)
        and all(map(_is_plain, paths))
        and len({mode for path in paths for mode in _modes(path)}) == 1
        and all(_pixels(path, x) > 1 for path in paths)  # else norms' error
    )


def _is_precise(path: Any) -> bool:
    return torch.finfo(path.project.weight.dtype).bits >= 32


def _is_plain(path: Any) -> bool:
    parts = (path.expand, path.depthwise)
    layers = [layer for part in parts for layer in part.children()]
    known = (*(_CONV, _NORMS, _ACTS) * 2, _CONV)
    return all(
        may_pass_by(layer, *forwards)
        for layer, forwards in zip([*layers, path.project], known)
    ) and all(may_pass_by(m, type(m).forward) for m in (path, *parts))


_CONV = (nn.Conv2d.forward,)
_NORMS = (nn.BatchNorm2d.forward, nn.SyncBatchNorm.forward)
# Without parameters, and of each value alone.
_ACTS = tuple(
    act.forward
    for act in (
        nn.ReLU, nn.ReLU6, nn.SiLU, nn.GELU, nn.Hardswish, nn.LeakyReLU,
        nn.ELU, nn.Mish, nn.Identity,
    )
)  # fmt: skip


def _modes(path: Any) -> Iterator[tuple[object, ...]]:
    """Yield what the norms of all paths must have in common."""
    for norm in path.expand.norm, path.depthwise.norm:
        counts = norm.momentum is None and norm.num_batches_tracked is not None
        batches = int(norm.num_batches_tracked) if counts else None
        yield uses_batch(norm), norm.eps, norm.momentum, batches


def _pixels(path: Any, x: Tensor) -> int:
    """Return the number of pixels of a path's output, over the batch."""
    stride = path.depthwise.conv.stride[0]
    return len(x) * math.prod(strided(x.shape[-2:], stride))


def memory_efficient_sum(
    paths: Collection[Any], x: Tensor, keep: bool = True
) -> Tensor:
    """Return the sum of the paths' outputs.

    Args:
        keep: Whether to keep maps that would take long to compute again.

    Shape:
        (B, C_in, H, W) -> (B, C_out, ceil(H / stride), ceil(W / stride))
    """
    with torch.autocast(x.device.type, enabled=False):
        expand, bias, shift = _expansions(paths, x)
    groups = [paths] if _few_values(paths, x) else [[path] for path in paths]
    return EfficientPaths.apply(
        x,
        [EfficientPath(group, keep) for group in groups],
        shift,
        expand,
        bias,
        *(
            stacked_kernels([p.depthwise.conv.weight for p in group])
            for group in groups
        ),
        *(joined([p.depthwise.norm.weight for p in g]) for g in groups),
        *(joined([p.depthwise.norm.bias for p in g]) for g in groups),
        *(joined([p.project.weight for p in g], 1) for g in groups),
    )


def _few_values(paths: Collection[Any], x: Tensor) -> bool:
    """Return whether the paths are faster as one, with the largest kernel.

    That saves a path's fixed time, but takes multiply-adds with zeros.
    """
    taps = [path.depthwise.conv.weight[0].numel() for path in paths]
    zeros = sum(
        (max(taps) - n) * path.depthwise.conv.out_channels
        for n, path in zip(taps, paths)
    )
    pixels = min(_pixels(path, x) for path in paths)
    acts = {f'{path.expand.act}, {path.depthwise.act}' for path in paths}
    return (
        x.device.type == 'cpu'
        and len(acts) == 1
        and zeros * pixels < WORTH_A_PATH * (len(paths) - 1)
    )


def _expansions(
    paths: Collection[Any], x: Tensor
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return weight and bias of all expansions with their norms folded in.

    The third is what has to be subtracted from the input first, if anything.
    """
    norms = [path.expand.norm for path in paths]
    weight = joined([path.expand.conv.weight.flatten(1) for path in paths])
    bias = joined([norm.bias for norm in norms])
    statistics = Statistics(norms)
    shift: Tensor | None = None
    if statistics.of_batch:
        shift, rest, cov, count = _Moments.apply(x, statistics.group)
        weight = weight.to(cov.dtype)
        var = ((weight @ cov) * weight).sum(1)
        statistics.track_(weight @ shift, var, count)
        statistics.store_()
    else:
        var = statistics.var
    scale = joined([norm.weight for norm in norms])
    scale = scale * (var + statistics.eps).rsqrt()
    weight = weight * scale[:, None]
    if shift is None:
        bias = bias - scale * statistics.mean
    else:
        bias = bias - weight @ rest
    return weight[:, :, None, None], bias, shift


class _Moments(Function):
    """Mean (C,) and covariance (C, C) of an input's pixels, and their count.

    The second is what rounding has left of the mean after its subtraction.
    Over all ranks, if a group is given; gradients then sum over all of them.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, group: Any) -> tuple[Tensor, ...]:
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        count = wide.new_tensor([x.numel() // x.shape[1]])
        totals = torch.cat([wide.sum(PIXELS), count])
        sum_over_(totals, group)
        mean, count = totals[:-1] / totals[-1], totals[-1]
        centred = shifted(x, mean).flatten(2)
        cov = torch.bmm(centred, centred.transpose(1, 2)).sum(0)
        both = torch.cat([cov, centred.sum((0, 2))[:, None]], 1)
        sum_over_(both, group)
        cov, rest = (both / count).split([len(cov), 1], 1)
        ctx.save_for_backward(x, mean, count)
        ctx.group = group
        ctx.mark_non_differentiable(rest, count)
        return mean, rest[:, 0], cov, count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        x, mean, count = ctx.saved_tensors
        both = torch.cat([grads[0][None], grads[2] + grads[2].T]) / count
        sum_over_(both, ctx.group)
        with torch.autocast(x.device.type, enabled=False):
            weight = both[1:, :, None, None]
            return pointwise(shifted(x, mean), weight, both[0]), None
