"""Convolution, batch norm and activation, and what may be left of them."""

import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from ..search.units import Axis
from .deployed import ChannelLayout, Deployable, Form, Terms, conv_of
from .primitives.pointwise import convolved

NormLayer = Callable[[int], nn.Module]
ActLayer = Callable[[], nn.Module]

# Settings of HR-NAS' released code for segmentation and classification.
batch_norm: NormLayer = partial(nn.BatchNorm2d, momentum=0.01, eps=1e-3)
relu: ActLayer = partial(nn.ReLU, inplace=True)

_BatchNorm = nn.modules.batchnorm._BatchNorm


class ConvNormAct(nn.Module, Deployable):
    """Convolution without bias, batch norm and optional activation.

    Args:
        kernel_size: Odd kernel size; padding keeps the map size at stride 1.
        act_layer: Function that builds the activation; None for no activation.

    Shape:
        (B, C_in, H, W) -> (B, C_out, ceil(H / stride), ceil(W / stride))

    Cost:
        kernel_size^2 * C_in / groups * C_out * H_out * W_out
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 1,
        stride: int = 1,
        groups: int = 1,
        norm_layer: NormLayer = batch_norm,
        act_layer: ActLayer | None = relu,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding=kernel_size // 2,
            groups=groups,
            bias=False,
        )
        self.norm: nn.Module = build_batch_norm(norm_layer, out_channels)
        self.act = act_layer() if act_layer else nn.Identity()
        init_conv_(self.conv)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.norm(convolved(self.conv, x)))

    def deployed(self, form: Form) -> nn.Module:
        """Return what takes its place in a deployed network."""
        if self.conv.groups > 1:
            grouped = conv_of(
                *folded(self), self.conv.stride, self.conv.groups
            )
            return nn.Sequential(grouped, self.act)
        source = ChannelLayout.of(self.conv.in_channels)
        target = ChannelLayout.of(self.conv.out_channels)
        return self.terms(form, source, target).modules['conv']

    def terms(
        self, form: Form, source: ChannelLayout, target: ChannelLayout
    ) -> Terms:
        """Return a convolution with bias, and the activation.

        The convolution must not have groups.
        """
        weight, bias = folded(self)
        weight = target.rows(source.columns(weight))
        conv = conv_of(weight, target.rows(bias), self.conv.stride)
        module = nn.Sequential(conv, self.act)
        return Terms({'conv': module}, torch.zeros_like(bias))


class Constant(nn.Module):
    """Output of a batch norm that has no input left: one value per channel.

    It takes the place of the last batch norm of a module that has lost its
    last unit, with the same bias parameter under the same name.

    Shape:
        () -> (C, 1, 1)
    """

    def __init__(self, bias: nn.Parameter) -> None:
        super().__init__()
        self.bias = bias

    def forward(self) -> Tensor:
        return self.bias[:, None, None]


def check_kernel_sizes(kernel_sizes: Sequence[int]) -> None:
    """Raise ValueError unless the sizes are positive, odd and distinct."""
    if any(size < 1 or size % 2 == 0 for size in kernel_sizes):
        raise ValueError(
            f'kernel_sizes must be odd, got {tuple(kernel_sizes)}'
        )
    if not kernel_sizes or len(set(kernel_sizes)) < len(kernel_sizes):
        raise ValueError(
            'kernel_sizes must be different sizes, at least one, '
            f'got {tuple(kernel_sizes)}'
        )


def build_batch_norm(norm_layer: NormLayer, channels: int) -> nn.Module:
    """Build a batch norm whose scale can serve as importance factors.

    Raises:
        ValueError: If it is not a batch norm with scale and bias.
    """
    norm = norm_layer(channels)
    if not isinstance(norm, _BatchNorm) or not norm.affine:
        raise ValueError(
            'norm_cfg must be a batch normalisation (BN or SyncBN) with '
            f'scale and bias, whose scale is the importance factor, got {norm}'
        )
    return norm


def norm_axes(norm: nn.Module) -> list[Axis]:
    """Return the axes of a batch norm that have one slot per channel.

    Running statistics are left out if the batch norm keeps none.
    """
    names = ('weight', 'bias', 'running_mean', 'running_var')
    return [
        Axis(norm, name, 0)
        for name in names
        if getattr(norm, name) is not None
    ]


def affine(norm: nn.Module) -> tuple[nn.Parameter, nn.Parameter]:
    """Return the scale and the bias of a batch norm, (C,) each."""
    scale, bias = norm.weight, norm.bias
    assert isinstance(scale, nn.Parameter)
    assert isinstance(bias, nn.Parameter)
    return scale, bias


@torch.no_grad()
def eval_affine(norm: nn.Module) -> tuple[Tensor, Tensor]:
    """Return the factor and the shift of a batch norm in eval mode.

    Both have shape (C,).

    Raises:
        ValueError: If it has no running statistics.
    """
    assert isinstance(norm, _BatchNorm)
    mean, variance = norm.running_mean, norm.running_var
    if mean is None or variance is None:
        raise ValueError(
            'a batch norm can be folded away only with running statistics, '
            f'norm_cfg must not have track_running_stats=False; got {norm}'
        )
    weight, bias = affine(norm)
    scale = weight / (variance + norm.eps).sqrt()
    return scale, bias - mean * scale


@torch.no_grad()
def folded(layer: ConvNormAct) -> tuple[Tensor, Tensor]:
    """Return the weight and the bias of the convolution and its norm."""
    scale, shift = eval_affine(layer.norm)
    return layer.conv.weight * scale[:, None, None, None], shift


def init_conv_(conv: nn.Conv2d) -> None:
    """Draw weights from N(0, 2 / fan_out), fan_out per group.

    Source: MnasNet's initialisation, as in HR-NAS' released code. Unlike in
    ``kaiming_normal_``, the fan_out of a depthwise convolution is k * k.
    """
    fan_out = conv.weight[0, 0].numel() * conv.out_channels // conv.groups
    with torch.no_grad():
        conv.weight.normal_(0, math.sqrt(2 / fan_out))
        if conv.bias is not None:
            conv.bias.zero_()
