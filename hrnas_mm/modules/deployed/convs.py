"""Convolutions of a deployed network, made from weights."""

from typing import Any

import torch
from torch import Tensor, nn

from ..primitives.pointwise import pointwise


class Pointwise(nn.Conv2d):
    """A dense 1x1 convolution with bias, as a product where that is faster.

    Shape:
        (B, C_in, H, W) -> (B, C_out, H, W)
    """

    def forward(self, x: Tensor) -> Tensor:
        if torch.compiler.is_compiling() or torch.jit.is_tracing():
            return super().forward(x)
        return pointwise(x, self.weight, self.bias)


def conv_of(
    weight: Tensor,
    bias: Tensor,
    stride: int | tuple[int, ...] = 1,
    groups: int = 1,
) -> nn.Conv2d:
    """Build a convolution from its weight and bias.

    Padding keeps the size of the map at stride 1.

    Args:
        weight: Shape (C_out, C_in / groups, k, k), or (C_out, C_in) for a
            1x1 convolution.
        bias: Shape (C_out,).
    """
    if weight.dim() == 2:
        weight = weight[..., None, None]
    size = tuple(weight.shape[2:])
    plain = size == (1, 1) and stride == 1 and groups == 1
    layer: Any = Pointwise if plain else nn.Conv2d
    conv = layer(
        weight.shape[1] * groups,
        weight.shape[0],
        size,
        stride,
        padding=tuple(side // 2 for side in size),
        groups=groups,
        device='meta',
    )
    conv.weight, conv.bias = constant(weight), constant(bias)
    return conv


def constant(values: Tensor) -> nn.Parameter:
    """Return a parameter that is not trained."""
    return nn.Parameter(values.contiguous(), requires_grad=False)
