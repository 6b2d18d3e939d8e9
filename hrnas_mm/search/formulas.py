"""Multiply-adds of single layers, as integers.

A multiply-add counts as 1 (the paper calls this FLOPs). Normalisation,
activations, resizing and additions are not counted, as in the paper.
"""

from collections.abc import Sequence

from torch import nn

from .units import Size


def conv_macs(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    out_size: Size,
    groups: int = 1,
) -> int:
    """Compute the multiply-adds of a convolution.

    k * k * C_in / g * C_out * h * w, with (h, w) the output size.
    """
    height, width = out_size
    per_pixel = kernel_size**2 * (in_channels // groups) * out_channels
    return per_pixel * height * width


def linear_macs(in_features: int, out_features: int, rows: int) -> int:
    """Compute the multiply-adds of a linear layer on ``rows`` vectors."""
    return in_features * out_features * rows


def attention_macs(queries: int, keys: int, dims: int) -> int:
    """Compute the multiply-adds of softmax(Q K^T) V.

    ``dims`` is the width of all heads together.
    """
    return 2 * queries * keys * dims


def strided(size: Sequence[int], stride: int) -> Size:
    """Return a map's size after a stride, (ceil(h / s), ceil(w / s))."""
    return -(-size[0] // stride), -(-size[1] // stride)


def count_params(model: nn.Module) -> int:
    """Return the number of parameters of a model."""
    return sum(param.numel() for param in model.parameters())
