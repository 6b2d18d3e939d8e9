"""The lightweight Transformer, Sec. 3.1."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..search.formulas import count_params, strided
from ..search.units import Axis, SearchUnit, Size
from .conv import (
    Constant,
    ConvNormAct,
    NormLayer,
    affine,
    batch_norm,
    build_batch_norm,
    eval_affine,
    folded,
    init_conv_,
    norm_axes,
)
from .deployed import (
    ChannelLayout,
    Deployable,
    DeployedTransformer,
    Form,
    Terms,
)
from .position import build_position
from .primitives.attention import TransformerLayer, transformer_macs
from .primitives.pointwise import convolved
from .primitives.resizing import resize


class LightweightTransformer(nn.Module, Deployable):
    """Global context through a few tokens of s * s pixels each.

    Source: HR-NAS, Sec. 3.1, Eq. (1)-(4). Differs in: the projector resizes
    before its convolution, which is the same function up to batch statistics,
    at a cost that does not grow with the feature map.

    Args:
        out_channels: Output channels C_out; None for ``in_channels``.
        stride: Stride of the output; the tokens do not depend on it.
        num_tokens: Number n of tokens, the elements of the unit 'tokens'.
        token_size: Side s of the projected map, in pixels.
        head_dims: Width d of one attention head.
        num_heads: Number h of attention heads.
        ffn_dims: Width of the FFN; None for 4 * s^2.
        position: Positional encoding: 'map2d' (Eq. 2), 'sinusoidal',
            'learned' or 'none'.
        position_in: Where the encoding enters: 'encoder' or 'both'. With
            'both' the decoder gets it too, as additional tokens among its
            queries and its memory.

    Shape:
        (B, C_in, H, W) -> (B, C_out, ceil(H / stride), ceil(W / stride)), or
        (C_out, 1, 1) when no token is left

    Cost:
        :func:`transformer_macs`, which does not depend on H and W

    Raises:
        ValueError: If a size is not positive or an option is unknown.
    """

    unit_names = ('tokens',)

    def __init__(
        self,
        in_channels: int,
        out_channels: int | None = None,
        stride: int = 1,
        num_tokens: int = 64,
        token_size: int = 8,
        head_dims: int = 64,
        num_heads: int = 1,
        ffn_dims: int | None = None,
        position: str = 'map2d',
        position_in: str = 'encoder',
        norm_layer: NormLayer = batch_norm,
    ) -> None:
        super().__init__()
        _check_positive(
            num_tokens=num_tokens,
            token_size=token_size,
            head_dims=head_dims,
            num_heads=num_heads,
        )
        if position_in not in ('encoder', 'both'):
            raise ValueError(
                f"position_in must be 'encoder' or 'both', got {position_in!r}"
            )
        dims = token_size**2
        out_channels = out_channels or in_channels
        widths: dict[str, Any] = dict(
            head_dims=head_dims,
            num_heads=num_heads,
            ffn_dims=4 * dims if ffn_dims is None else ffn_dims,
        )
        _check_positive(ffn_dims=widths['ffn_dims'])
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.stride = stride
        self.token_size = token_size
        self.position = build_position(position, token_size)
        channels = self.position.channels
        extra = channels if position_in == 'both' else 0
        self.project_in = ConvNormAct(
            in_channels + channels,
            num_tokens,
            norm_layer=norm_layer,
            act_layer=None,
        )
        self.encoder = TransformerLayer(dims, **widths)
        self.queries = nn.Parameter(torch.empty(num_tokens, dims))
        self.decoder = TransformerLayer(dims, **widths)
        self.project_out = nn.Conv2d(num_tokens, out_channels, 1, bias=False)
        self.project_position = (
            nn.Conv2d(extra, out_channels, 1, bias=False) if extra else None
        )
        self.norm: nn.Module = build_batch_norm(norm_layer, out_channels)
        self._macs: Callable[[int], int] = partial(
            transformer_macs,
            in_channels=in_channels + channels,
            out_channels=out_channels,
            token_size=token_size,
            extra_tokens=extra,
            **widths,
        )
        shared = (self.encoder, self.decoder, self.position)
        self.shared_params = sum(map(count_params, shared))
        self.shared_params += extra * out_channels  # project_position
        self.shared_params += out_channels  # the scale of the norm
        self._init_weights()

    def _init_weights(self) -> None:
        nn.init.xavier_uniform_(self.queries)
        init_conv_(self.project_out)
        if self.project_position is not None:
            init_conv_(self.project_position)

    def forward(self, x: Tensor) -> Tensor:
        if isinstance(self.norm, Constant):
            return self.norm()
        out_size = strided(x.shape[-2:], self.stride)
        position = self.position(x)
        tokens = self._project(x, position).flatten(2)
        tokens = self.encoder(tokens, tokens)
        small = self.norm(self._decode(tokens, position))
        if x.is_contiguous(memory_format=torch.channels_last):
            small = small.contiguous(memory_format=torch.channels_last)
        return resize(small, out_size)

    def _project(self, x: Tensor, position: Tensor) -> Tensor:
        """Apply the projector, Eq. (1): (B, C_in, H, W) -> (B, n, s, s)."""
        x = resize(x, (self.token_size, self.token_size))
        return self.project_in(torch.cat([x, position], dim=1))

    def _decode(self, memory: Tensor, position: Tensor) -> Tensor:
        """Decode and project back: (B, n, s^2) -> (B, C_out, s, s)."""
        map_size = (self.token_size, self.token_size)
        queries = self.queries.expand(memory.shape[0], -1, -1)
        if self.project_position is None:
            tokens = self.decoder(queries, memory)
            return convolved(self.project_out, tokens.unflatten(2, map_size))
        extra = position.flatten(2)
        tokens = self.decoder(
            torch.cat([queries, extra], 1), torch.cat([memory, extra], 1)
        )
        tokens, extra = tokens.unflatten(2, map_size).split(
            [queries.shape[1], extra.shape[1]], 1
        )
        return self.project_out(tokens) + self.project_position(extra)

    def search_units(self) -> dict[str, SearchUnit]:
        """Return the only unit, of all tokens.

        Its alpha is the scale of the projector's batch norm, Sec. 4.1.
        """
        if isinstance(self.norm, Constant):
            return {}
        project_in = self.project_in
        tokens = SearchUnit(
            alpha=affine(project_in.norm)[0],
            axes=(
                Axis(project_in.conv, 'weight', 0),
                *norm_axes(project_in.norm),
                Axis(self, 'queries', 0),
                Axis(self.project_out, 'weight', 1),
            ),
            kind='tokens',
        )
        return {'tokens': tokens}

    def macs(self, counts: Mapping[str, int], size: Size) -> int:
        """Return :func:`transformer_macs` of the tokens, for any size."""
        return self._macs(counts['tokens'])

    def drop_empty_(self) -> None:
        """Delete everything if no token is left, except for a constant."""
        if isinstance(self.norm, Constant) or len(self.queries):
            return
        bias = affine(self.norm)[1]
        for name in list(self._modules):
            delattr(self, name)
        del self.queries
        self.norm = Constant(bias)

    def terms(
        self, form: Form, source: ChannelLayout, target: ChannelLayout
    ) -> Terms:
        """Return the Transformer with folded matrices, or its constant."""
        if isinstance(self.norm, Constant):
            return Terms({}, self.norm.bias)
        weight, bias = folded(self.project_in)
        weight, position_weight = weight.flatten(1).split(
            [self.in_channels, self.position.channels], 1
        )
        scale, shift = eval_affine(self.norm)
        convs = [self.project_out, self.project_position]
        out = torch.cat([c.weight.flatten(1) for c in convs if c], 1)
        transformer = DeployedTransformer(
            (source.columns(weight), bias + source.after(weight)),
            self.position,
            position_weight,
            (self.encoder, self.decoder),
            self.queries,
            self.project_position is not None,
            (
                target.rows(scale[:, None] * out),
                shift.new_zeros(target.width),
            ),
            self.token_size,
            self.stride,
        )
        return Terms({'transformer': transformer}, shift)


def _check_positive(**values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise ValueError(f'{name} must be positive, got {value}')
