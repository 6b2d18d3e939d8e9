"""The searching block, Eq. (5): MixConv, Transformer and shortcut."""

import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint, noop_context_fn

from .batch_norm import untracked
from .conv import ActLayer, NormLayer, batch_norm, init_conv_, relu
from .deployed import (
    ChannelLayout,
    Deployable,
    Form,
    Terms,
    deployed_shortcut,
)
from .mixconv import MixConv
from .primitives.pointwise import convolved
from .primitives.resizing import join_maps
from .transformer import LightweightTransformer


class SearchingBlock(nn.Module, Deployable):
    """Compute shortcut(x) + MixConv(x) + Transformer(x).

    Source: HR-NAS, Eq. (5) and Fig. 3 (c). The shortcut is the identity where
    the shape allows it, else a grouped 1x1 convolution. When every unit of
    the block has been removed, only the shortcut is left, with a bias.

    Args:
        num_tokens: Number of tokens; 0 for no Transformer.
        transformer: Further arguments of :class:`LightweightTransformer`.
        with_cp: Whether to recompute activations in the backward pass; in the
            memory-efficient form, those of MixConv's mid channels.
        memory_efficient: Whether MixConv trains in the memory-efficient form.

    Shape:
        (B, C_in, H, W) -> (B, C_out, ceil(H / stride), ceil(W / stride))

    Cost:
        MixConv + Transformer + C_in * C_out / gcd(C_in, C_out) * H' * W' for a
        shortcut that is not the identity

    Raises:
        ValueError: If ``num_tokens`` is negative, or an argument of MixConv
            or the Transformer is wrong.
    """

    is_part = True  # its units are priced together

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int = 1,
        kernel_sizes: Sequence[int] = (3, 5, 7),
        expand_ratio: float = 4,
        num_tokens: int = 64,
        transformer: Mapping[str, Any] | None = None,
        norm_layer: NormLayer = batch_norm,
        act_layer: ActLayer = relu,
        with_cp: bool = False,
        memory_efficient: bool | None = None,
    ) -> None:
        super().__init__()
        if num_tokens < 0:
            raise ValueError(
                f'num_tokens must be 0 (none) or positive, got {num_tokens}'
            )
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.with_cp = with_cp
        self.shortcut = build_shortcut(in_channels, out_channels, stride)
        self.mixconv = MixConv(
            in_channels,
            out_channels,
            stride,
            kernel_sizes,
            expand_ratio,
            norm_layer,
            act_layer,
            memory_efficient,
            keep=not with_cp,
        )
        self.transformer = (
            LightweightTransformer(
                in_channels,
                out_channels,
                stride,
                num_tokens,
                norm_layer=norm_layer,
                **(transformer or {}),
            )
            if num_tokens
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        # MixConv's memory-efficient form computes its maps again by itself.
        if (
            self.with_cp
            and x.requires_grad
            and not self.mixconv.saves_memory(x)
        ):
            # A compiler, which is given no contexts, tracks once by itself.
            compiles = torch.compiler.is_compiling()
            return checkpoint(
                self._forward,
                x,
                use_reentrant=False,
                context_fn=noop_context_fn if compiles else self._contexts,
            )
        return self._forward(x)

    def _contexts(self) -> tuple[Any, Any]:
        """Return the contexts of the first forward pass and of the second."""
        return nullcontext(), untracked(self)

    def _forward(self, x: Tensor) -> Tensor:
        residual = self.mixconv(x)
        if self.transformer is not None:
            residual = residual + self.transformer(x)
        return convolved(self.shortcut, x) + residual

    def terms(
        self, form: Form, source: ChannelLayout, target: ChannelLayout
    ) -> Terms:
        """Return the shortcut and what is left of the other parts."""
        like = next(self.parameters())
        modules, constant = deployed_shortcut(
            self.shortcut, source, target, like
        )
        modules = dict(modules)
        for part in (self.mixconv, self.transformer):
            if part is not None:
                more = part.terms(form, source, target)
                modules |= more.modules
                constant = constant + more.constant
        return Terms(modules, constant)


class JoiningBlock(SearchingBlock):
    """A searching block of several maps, resized to the first and joined.

    Args:
        joined: Channels and relative stride of each map, the largest first.
        out_channels: Output channels.
        options: Further arguments of :class:`SearchingBlock`.

    Shape:
        [(B, C_i, H_i, W_i)] -> (B, C_out, H_0, W_0)
    """

    def __init__(
        self,
        joined: Sequence[tuple[int, int]],
        out_channels: int,
        **options: Any,
    ) -> None:
        in_channels = sum(channels for channels, _ in joined)
        super().__init__(in_channels, out_channels, **options)
        self.joined = tuple(joined)

    def forward(self, maps: Any) -> Tensor:
        return super().forward(join_maps(maps))


def build_shortcut(
    in_channels: int, out_channels: int, stride: int
) -> nn.Module:
    """Build the identity if it fits, else a grouped 1x1 convolution."""
    if in_channels == out_channels and stride == 1:
        return nn.Identity()
    conv = nn.Conv2d(
        in_channels,
        out_channels,
        1,
        stride,
        groups=math.gcd(in_channels, out_channels),
        bias=False,
    )
    init_conv_(conv)
    return conv
