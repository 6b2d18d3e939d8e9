"""A neck that joins all branches for classification and can be searched."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.model import BaseModule
from torch import Tensor, nn

from ...modules import ConvNormAct
from ...registry import MODELS, register_in
from ..arch import searched_
from ..blocks import (
    ACT_CFG,
    NORM_CFG,
    act_layer_of,
    block_builder,
    norm_layer_of,
)


@register_in(MODELS)
class HRNASFuseScales(BaseModule):
    """HR-NAS' neck for classification, in place of HRNet's HRFuseScales.

    A searching block widens each branch. From the highest resolution down, a
    stride-2 block brings the sum so far to the resolution of the next branch,
    which is added to it. A 1x1 convolution comes last.

    Source: HR-NAS' released code; the paper does not specify it.

    Args:
        in_channels: Channels of the branches, highest resolution first.
        mid_channels: Channels of the widened branches, one entry per branch.
        out_channels: Output channels of the last convolution.
        kernel_sizes, expand_ratio, num_tokens, token_size, transformer,
            arch, norm_cfg, act_cfg, with_cp, memory_efficient: See
            :class:`~hrnas_mm.models.HRNASSupernet`.

    Shape:
        ((B, C_i, H_i, W_i), ...) -> ((B, out_channels, H_n, W_n),), the size
        of the lowest resolution

    Raises:
        ValueError: If ``mid_channels`` does not have one entry per branch.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = (18, 36, 72, 144),
        mid_channels: Sequence[int] = (36, 72, 144, 320),
        out_channels: int = 1600,
        kernel_sizes: Sequence[int] = (3, 5, 7),
        expand_ratio: float = 4,
        num_tokens: int = 64,
        token_size: int = 8,
        transformer: Mapping[str, Any] | None = None,
        arch: None | str | Mapping[str, int] = None,
        norm_cfg: Mapping[str, Any] = NORM_CFG,
        act_cfg: Mapping[str, Any] = ACT_CFG,
        with_cp: bool = False,
        memory_efficient: bool | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if len(in_channels) != len(mid_channels):
            raise ValueError(
                'mid_channels must have one entry per branch of in_channels, '
                f'got {tuple(mid_channels)} for {tuple(in_channels)}'
            )
        block = block_builder(
            norm_cfg,
            act_cfg,
            kernel_sizes,
            expand_ratio,
            num_tokens,
            token_size,
            transformer,
            with_cp,
            memory_efficient,
        )
        self.widen = nn.ModuleList(map(block, in_channels, mid_channels))
        self.down = nn.ModuleList(
            block(*pair, stride=2)
            for pair in zip(mid_channels, mid_channels[1:])
        )
        self.last = ConvNormAct(
            mid_channels[-1],
            out_channels,
            norm_layer=norm_layer_of(norm_cfg),
            act_layer=act_layer_of(act_cfg),
        )
        searched_(self, arch)

    def forward(self, branches: Sequence[Tensor]) -> tuple[Tensor]:
        x = self.widen[0](branches[0])
        for down, widen, branch in zip(
            self.down, self.widen[1:], branches[1:]
        ):
            x = down(x) + widen(branch)
        return (self.last(x),)
