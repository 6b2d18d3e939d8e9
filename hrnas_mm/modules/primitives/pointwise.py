"""1x1 convolutions without bias, as products of matrices where that is faster.

On a CPU a map in channels_last is a matrix of pixels and channels. Products
with it take half of the time of the convolution's gradients, of small maps a
quarter of the convolution's time, and on a single thread a third: there torch
takes oneDNN only for large kernels.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SMALL = 256  # pixels, up to which products are faster than the convolution


def may_pass_by(layer: nn.Module, *forwards: Any) -> bool:
    """Return whether a layer can be computed without calling it.

    That is so for a layer that nobody has hooked, whose class has one of these
    ``forward`` methods.
    """
    return type(layer).forward in forwards and not (
        layer._forward_hooks
        or layer._forward_pre_hooks
        or layer._backward_hooks
        or layer._backward_pre_hooks
    )


def trains_eagerly() -> bool:
    """Return whether gradients are needed, and nothing is being traced."""
    return (
        torch.is_grad_enabled()
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
    )


def convolved(conv: Any, x: Tensor) -> Tensor:
    """Return conv(x); by a product where that is faster.

    That is so for 1x1 convolutions of small maps, and for those with groups,
    which on a single thread are computed one by one.
    """
    if not (
        x.device.type == 'cpu'
        and trains_eagerly()
        and may_pass_by(conv, nn.Conv2d.forward)
        and (conv.kernel_size, conv.stride) == ((1, 1), (1, 1))
        and (conv.padding, conv.bias) == ((0, 0), None)
    ):
        return conv(x)
    if conv.groups > 1:
        weight = dense(conv.weight, conv.groups)[..., None, None]
        return pointwise(x, weight)
    if x.shape[-2:].numel() <= SMALL:
        out = conv.weight.flatten(1) @ x.flatten(2)
        return out.unflatten(2, x.shape[-2:])
    return conv(x)


def dense(weight: Tensor, groups: int) -> Tensor:
    """Return the weight of a grouped 1x1 convolution without groups.

    Shape:
        (C_out, C_in / groups, 1, 1) -> (C_out, C_in)
    """
    blocks = weight.flatten(1).unflatten(0, (groups, -1))
    diagonal = torch.diag_embed(blocks.permute(1, 2, 0))
    return diagonal.permute(2, 0, 3, 1).flatten(2).flatten(0, 1)


def pointwise(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return the 1x1 convolution of x.

    Shape:
        x (B, C, H, W) and weight (C_out, C, 1, 1) -> (B, C_out, H, W)
    """
    if bias is not None and torch.get_num_threads() > 1:
        return F.conv2d(x, weight, bias)  # in one pass over the output
    if not _are_matrices(x):
        return F.conv2d(x, weight, bias)
    out = F.linear(x.permute(0, 2, 3, 1), weight.flatten(1), bias)
    return out.permute(0, 3, 1, 2)


def add_pointwise(total: Tensor | None, x: Tensor, weight: Tensor) -> Tensor:
    """Return the 1x1 convolution of x, added to a total in place if given."""
    if total is None:
        return pointwise(x, weight)
    if not _are_matrices(total, x):
        return total.add_(F.conv2d(x, weight))
    _rows(total).addmm_(_rows(x), weight.flatten(1).T.to(x.dtype))
    return total


def pointwise_weight_grad(grad: Tensor, x: Tensor) -> Tensor:
    """Return the gradient (C_out, C, 1, 1) of a 1x1 convolution's weight."""
    if _are_matrices(grad, x):
        return (_rows(grad).T @ _rows(x))[..., None, None]
    weight = grad.new_empty(grad.shape[1], x.shape[1], 1, 1)
    return torch.ops.aten.convolution_backward(
        grad, x, weight, None, (1, 1), (0, 0), (1, 1), False, [0, 0], 1,
        (False, True, False),
    )[1]  # fmt: skip


def _are_matrices(*maps: Tensor) -> bool:
    return all(
        x.device.type == 'cpu'
        and x.is_contiguous(memory_format=torch.channels_last)
        for x in maps
    )


def _rows(x: Tensor) -> Tensor:
    """Return a view of a map in channels_last, (B * H * W, C)."""
    return x.permute(0, 2, 3, 1).view(-1, x.shape[1])
