"""A path of MixConv, and what it costs."""

from functools import partial
from typing import Any

from torch import Tensor, nn

from ..search.formulas import conv_macs, count_params, strided
from ..search.units import Axis, SearchUnit, Size
from .conv import (
    ActLayer,
    ConvNormAct,
    NormLayer,
    affine,
    folded,
    init_conv_,
    norm_axes,
)
from .deployed import Path


class MixConvPath(nn.Module):
    """Path of one kernel size: expand 1x1, depthwise k x k, project 1x1.

    Shape:
        (B, C_in, H, W) -> (B, C_out, ceil(H / stride), ceil(W / stride))

    Cost:
        :func:`path_macs` of ``mid_channels`` and (H, W)
    """

    def __init__(
        self,
        in_channels: int,
        mid_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int,
        norm_layer: NormLayer,
        act_layer: ActLayer,
    ) -> None:
        super().__init__()
        layers: dict[str, Any] = dict(
            norm_layer=norm_layer, act_layer=act_layer
        )
        self.expand = ConvNormAct(in_channels, mid_channels, **layers)
        self.depthwise = ConvNormAct(
            mid_channels,
            mid_channels,
            kernel_size,
            stride,
            mid_channels,
            **layers,
        )
        self.project = nn.Conv2d(mid_channels, out_channels, 1, bias=False)
        init_conv_(self.project)

    def forward(self, x: Tensor) -> Tensor:
        return self.project(self.depthwise(self.expand(x)))

    def folded(self, scale: Tensor) -> Path:
        """Return the weights with all norms folded in.

        ``scale`` is the factor of the norm that follows, (C_out,).
        """
        weight, bias = folded(self.expand)
        return Path(
            (weight.flatten(1), bias),
            folded(self.depthwise),
            scale[:, None] * self.project.weight.flatten(1),
            (self.expand.act, self.depthwise.act),
            self.depthwise.conv.stride[0],
        )

    def search_unit(self, following: nn.Module) -> SearchUnit:
        """Return the unit of all mid channels.

        ``following`` is the batch norm of the sum of all paths.
        """
        expand, depthwise = self.expand, self.depthwise
        return SearchUnit(
            alpha=affine(depthwise.norm)[0],
            axes=(
                Axis(expand.conv, 'weight', 0),
                *norm_axes(expand.norm),
                Axis(depthwise.conv, 'weight', 0),
                *norm_axes(depthwise.norm),
                Axis(self.project, 'weight', 1),
            ),
            kind=f'k{depthwise.conv.kernel_size[0]}',
            shared_params=count_params(expand.act)
            + count_params(depthwise.act),
            absorb=partial(self._absorb, following),
        )

    def _absorb(self, following: nn.Module, dead: Tensor) -> None:
        """Fold the output of dead channels into the following running mean.

        With alpha = 0 a channel is act(beta) everywhere. In training the batch
        statistics cancel this. The running mean includes it, so for evaluation
        it has to be subtracted there.
        """
        if following.running_mean is None:
            return
        bias = affine(self.depthwise.norm)[1]
        constant = self.depthwise.act(bias[dead].clone())
        following.running_mean -= self.project.weight[:, dead, 0, 0] @ constant


def path_macs(
    channels: int,
    size: Size,
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    stride: int,
) -> int:
    """Compute N * (C_in * h * w + (k * k + C_out) * h' * w'), a whole path."""
    out_size = strided(size, stride)
    return (
        conv_macs(in_channels, channels, 1, size)
        + depthwise_macs(channels, size, kernel_size, stride)
        + conv_macs(channels, out_channels, 1, out_size)
    )


def depthwise_macs(
    channels: int, size: Size, kernel_size: int, stride: int
) -> int:
    """Compute N * k * k * h' * w', channels' cost as printed in Eq. (6)."""
    return kernel_size**2 * conv_macs(1, channels, 1, strided(size, stride))
