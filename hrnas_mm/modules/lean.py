"""Training form of MixConv that keeps one map per path for the backward pass.

The readable form is ``MixConvPath.forward``; this one computes the same
function, gradients and running statistics, up to rounding, in less time and a
third of the memory:

- The batch norm after the expansion is folded into its weights. The mean and
  the variance of ``W x`` follow from those of ``x``, which all paths share:
  ``W mean`` and ``diag(W cov W^T)``. The map before this norm never exists.
- Of the maps with the expanded channels, only the output of the depthwise
  convolution is kept; the others are computed again in the backward pass.
"""

from collections.abc import Collection
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from ..compat_torch import depthwise_backward
from .batch_norm import (
    PIXELS,
    group_of,
    norm_backward,
    normalised,
    statistics,
    sum_over_,
    track_,
    uses_batch,
)

_aten = torch.ops.aten


def fits_lean(paths: Collection[nn.Module], x: Tensor) -> bool:
    """Return whether the paths can, and should, run in the lean form.

    Not without gradients, where nothing is kept anyway; not while a compiler
    traces, which decides itself what to keep; and not where somebody has
    hooked or replaced a layer, which the lean form would pass by.
    """
    return (
        torch.is_grad_enabled()
        and not torch.compiler.is_compiling()
        and x.numel() > x.shape[1]  # else the norm's own error
        and all(map(_is_plain, paths))
    )


def _is_plain(path: Any) -> bool:
    parts = (path.expand, path.depthwise)
    layers = [layer for part in parts for layer in part.children()]
    known = (_CONV, _NORMS, _ACTS) * 2
    return all(
        type(layer).forward in forwards
        for layer, forwards in zip([*layers, path.project], (*known, _CONV))
    ) and not any(map(_is_hooked, (path, *parts, *layers, path.project)))


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


def _is_hooked(module: nn.Module) -> bool:
    return bool(
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
    )


def lean_sum(paths: Collection[Any], x: Tensor) -> Tensor:
    """Return the sum of the paths' outputs.

    Shape:
        (B, C_in, H, W) -> (B, C_out, ceil(H / stride), ceil(W / stride))
    """
    with torch.autocast(x.device.type, enabled=False):
        norms = [n for p in paths if uses_batch(n := p.expand.norm)]
        moments = _Moments.apply(x, group_of(norms[0])) if norms else ()
        expansions = [_expansion(path, moments) for path in paths]
    first, *others = (
        _path(path, x, *expansion)
        for path, expansion in zip(paths, expansions)
    )
    return sum(others, first)


def _expansion(path: Any, moments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return weight and bias of the expansion with its norm folded in."""
    norm, weight = path.expand.norm, path.expand.conv.weight.flatten(1)
    if uses_batch(norm):
        x_mean, cov, count = moments
        weight = weight.to(cov.dtype)
        mean = weight @ x_mean
        var = ((weight @ cov) * weight).sum(1)
        track_(norm, mean, var, count)
    else:
        mean, var = norm.running_mean, norm.running_var
    scale = norm.weight * (var + norm.eps).rsqrt()
    folded = (weight * scale[:, None])[:, :, None, None]
    return folded, norm.bias - scale * mean


def _path(path: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    depthwise, norm = path.depthwise.conv, path.depthwise.norm
    return _Path.apply(
        x,
        weight,
        bias,
        depthwise.weight,
        norm.weight,
        norm.bias,
        path.project.weight,
        norm,
        (path.expand.act, path.depthwise.act),
        depthwise.stride[0],
    )


class _Moments(Function):
    """Mean (C,) and covariance (C, C) of an input's pixels, and their count.

    Over all ranks, if a group is given; gradients then sum over all of them.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, group: Any) -> tuple[Tensor, ...]:
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        count = wide.new_tensor([x.numel() // x.shape[1]])
        totals = torch.cat([wide.sum(PIXELS), count])
        sum_over_(totals, group)
        mean, count = totals[:-1] / totals[-1], totals[-1]
        centred = (wide - mean[:, None, None]).flatten(2)
        cov = torch.bmm(centred, centred.transpose(1, 2)).sum(0)
        sum_over_(cov, group)
        ctx.save_for_backward(x, mean, count)
        ctx.group = group
        ctx.mark_non_differentiable(count)
        return mean, cov / count, count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        x, mean, count = ctx.saved_tensors
        both = torch.cat([grads[0][None], grads[1] + grads[1].T]) / count
        sum_over_(both, ctx.group)
        weight, bias = both[1:], both[0] - both[1:] @ mean
        with torch.autocast(x.device.type, enabled=False):
            weight = weight[:, :, None, None]
            return F.conv2d(x.to(weight.dtype), weight, bias), None


class _Path(Function):
    """Expansion, depthwise convolution with its norm, and projection.

    Keeps its input, its parameters and the output of the depthwise
    convolution.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        expand: Tensor,
        bias: Tensor,
        depthwise: Tensor,
        scale: Tensor,
        shift: Tensor,
        project: Tensor,
        norm: Any,
        acts: tuple[nn.Module, nn.Module],
        stride: int,
    ) -> Tensor:
        wide = acts[0](F.conv2d(x, expand, bias))
        options = _depthwise_options(depthwise, stride)
        deep = F.conv2d(wide, depthwise, None, *options)
        del wide
        mean, var, ctx.count = statistics(norm, deep)
        out = normalised(deep, mean, var, scale, shift, norm.eps)
        out = F.conv2d(acts[1](out), project)
        ctx.save_for_backward(
            x, expand, bias, depthwise, scale, shift, project, deep, mean, var
        )
        ctx.acts, ctx.options, ctx.eps = acts, options, norm.eps
        ctx.group = group_of(norm)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, expand, bias, depthwise, scale, shift, project, deep, mean, var = (
            ctx.saved_tensors
        )
        # In the precision that autocast had in the forward pass.
        x, expand, bias, depthwise, project = (
            t.to(deep.dtype) for t in (x, expand, bias, depthwise, project)
        )
        with torch.autocast(x.device.type, enabled=False):
            out = normalised(deep, mean, var, scale, shift, ctx.eps)
            out, undo = _activated(ctx.acts[1], out)
            grad, d_project, _ = _pointwise_backward(grad, out, project)
            grad = undo(grad)
            del out, undo
            grad, d_scale, d_shift = norm_backward(
                grad, deep, scale, mean, var, ctx.eps, ctx.count, ctx.group
            )
            wide, undo = _activated(ctx.acts[0], F.conv2d(x, expand, bias))
            grad, d_depthwise = depthwise_backward(
                grad, wide, depthwise, *ctx.options
            )
            grad = undo(grad)
            del wide, undo
            d_x, d_expand, d_bias = _pointwise_backward(grad, x, expand)
        return (
            d_x, d_expand, d_bias, d_depthwise, d_scale, d_shift, d_project,
            None, None, None,
        )  # fmt: skip


def _activated(act: nn.Module, x: Tensor) -> tuple[Tensor, Any]:
    """Return act(x), and what turns its gradient into that of x."""
    if type(act) is nn.ReLU:
        out = x.relu_()
        return out, lambda grad: _aten.threshold_backward.grad_input(
            grad, out, 0, grad_input=grad
        )
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        out = act(x.clone())  # a copy, as some work in place
    return out.detach(), lambda grad: torch.autograd.grad(out, x, grad)[0]


def _depthwise_options(weight: Tensor, stride: int) -> tuple[Any, ...]:
    """Return stride, padding, dilation and groups of the convolution."""
    padding = weight.shape[-1] // 2
    return (stride,) * 2, (padding,) * 2, (1, 1), len(weight)


def _pointwise_backward(
    grad: Tensor, x: Tensor, weight: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of a 1x1 convolution's input, weight and bias."""
    last = torch.channels_last
    if x.device.type != 'cpu' or not x.is_contiguous(memory_format=last):
        return _aten.convolution_backward(
            grad, x, weight, [len(weight)], (1, 1), (0, 0), (1, 1), False,
            [0, 0], 1, (True, True, True),
        )  # fmt: skip
    # As products of matrices, which take half of the time on a CPU.
    rows = grad.permute(0, 2, 3, 1).flatten(0, 2)
    columns = x.permute(0, 2, 3, 1).flatten(0, 2)
    d_x = torch.empty_like(x, memory_format=last)
    torch.mm(
        rows, weight.flatten(1), out=d_x.permute(0, 2, 3, 1).flatten(0, 2)
    )
    return d_x, (rows.T @ columns).view_as(weight), rows.sum(0)
