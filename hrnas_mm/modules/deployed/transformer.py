"""The lightweight Transformer for inference."""

from copy import deepcopy
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...search.formulas import strided
from ..primitives.attention import TransformerLayer
from ..primitives.resizing import resize
from .attention import FoldedAttention, folded
from .convs import constant, conv_of

# Multiply-adds per pixel and channel, up to which a convolution resizes.
MAX_RESIZING_MACS = 4


class Projector(NamedTuple):
    """Values for one size of the map that the tokens are taken from.

    Attributes:
        kernel: Resizing and projecting in one convolution,
            (n, C_in, k_h, k_w); None where they are done one after the other.
        stride: Its stride.
        shift: What the projection adds to the tokens, (n, s, s).
        extra: Additional tokens of the decoder, (P, s^2).
    """

    kernel: Tensor | None
    stride: tuple[int, int]
    shift: Tensor
    extra: Tensor


class DeployedTransformer(nn.Module):
    """Tokens taken from a map, encoded, decoded, and spread over a map.

    Args:
        project: Weight (n, C_in) and bias (n,) of the projector.
        position: Positional encoding.
        position_weight: Weight (n, P) of the projector for the encoding.
        layers: Encoder and decoder.
        queries: Those of the decoder, (n, s^2).
        with_extra: Whether the decoder gets the encoding as tokens.
        project_out: Weight (C_out, n + additional tokens) and bias (C_out,).
        token_size: Side s of the projected map, in pixels.
        stride: Stride of the output.

    Shape:
        (B, C_in, H, W) -> (B, C_out, ceil(H / stride), ceil(W / stride))
    """

    def __init__(
        self,
        project: tuple[Tensor, Tensor],
        position: Any,
        position_weight: Tensor,
        layers: tuple[TransformerLayer, TransformerLayer],
        queries: Tensor,
        with_extra: bool,
        project_out: tuple[Tensor, Tensor],
        token_size: int,
        stride: int,
    ) -> None:
        super().__init__()
        self.project_in = conv_of(*project)
        self.position = deepcopy(position)
        self.position_weight = constant(position_weight)
        self.encoder, self.decoder = map(_folded_layer, layers)
        self.queries = constant(queries)
        self.with_extra = with_extra
        self.project_out = conv_of(*project_out)
        self.fewer_tokens = (
            self.project_out.in_channels <= self.project_out.out_channels
        )
        self.stride = stride
        self.token_size = token_size
        self._projectors: dict[Any, Projector] = {}

    def forward(self, x: Tensor) -> Tensor:
        projector = self._projector(x)
        memory = self._tokens(x, projector)
        batch = () if self._is_single(x) else x.shape[:1]
        memory = memory.reshape(*batch, *memory.shape[1:])
        memory = self.encoder(memory, memory)
        queries: Tensor = self.queries
        if self.with_extra:
            extra = projector.extra
            queries = torch.cat([queries, extra])
            memory = torch.cat([memory, extra.expand(*batch, -1, -1)], -2)
        if not isinstance(self.decoder.attention, FoldedAttention):
            queries = queries.expand(*batch, -1, -1)
        tokens = self.decoder(queries, memory)
        return self._spread(tokens.reshape(-1, *tokens.shape[-2:]), x)

    def _is_single(self, x: Tensor) -> bool:
        """Return whether tokens are a matrix, and no batch of matrices.

        Runtimes multiply a matrix faster than a batch of one. A traced module
        would be bound to one image by it.
        """
        layers = self.encoder, self.decoder
        return (
            x.shape[0] == 1
            and not torch.jit.is_tracing()
            and all(isinstance(m.attention, FoldedAttention) for m in layers)
        )

    def _tokens(self, x: Tensor, projector: Projector) -> Tensor:
        """Resize and project: (B, C_in, H, W) -> (B, n, s^2)."""
        if projector.kernel is not None:
            tokens = F.conv2d(x, projector.kernel, stride=projector.stride)
        else:
            x = resize(x, (self.token_size, self.token_size))
            tokens = F.conv2d(x, self.project_in.weight)
        return (tokens + projector.shift).flatten(2)

    def _spread(self, tokens: Tensor, x: Tensor) -> Tensor:
        """Project back and resize to the size of the output.

        Both are linear, so that the fewer maps can be resized.
        """
        size = strided(x.shape[-2:], self.stride)
        maps = tokens.unflatten(2, (self.token_size, self.token_size))
        if not self.fewer_tokens:
            maps = self.project_out(maps)
        if x.is_contiguous(memory_format=torch.channels_last):
            maps = maps.contiguous(memory_format=torch.channels_last)
        maps = resize(maps, size)
        return self.project_out(maps) if self.fewer_tokens else maps

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        """Load weights, and drop the cached projectors."""
        self._projectors = {}
        super()._load_from_state_dict(*args, **kwargs)

    def _projector(self, x: Tensor) -> Projector:
        """Return what depends on the size of x, kept for the next one."""
        if torch.compiler.is_compiling() or torch.jit.is_tracing():
            return self._build_projector(x)
        # What inference mode has made cannot be used where gradients flow.
        inference = torch.is_inference_mode_enabled()
        key = (x.shape[-2:], x.dtype, x.device, inference)
        projector = self._projectors.get(key)
        if projector is None:
            projector = self._build_projector(x)
            # Replaced as a whole: other threads may run other sizes.
            self._projectors = {key: projector}
        return projector

    def _build_projector(self, x: Tensor) -> Projector:
        position = self.position(x)[0]
        shift = (self.position_weight @ position.flatten(1)).unflatten(
            1, position.shape[1:]
        )
        assert self.project_in.bias is not None
        shift = shift + self.project_in.bias[:, None, None]
        sides = [int(side) for side in x.shape[-2:]]
        rows, columns = (taps(side, self.token_size) for side in sides)
        height, width = (side // self.token_size for side in sides)
        kernel = None
        if rows is not None and columns is not None:
            taken = torch.outer(rows.to(x), columns.to(x))
            # Not if it were more than a few multiply-adds per pixel.
            if len(self.queries) * taken.numel() <= (
                MAX_RESIZING_MACS * height * width
            ):
                kernel = self.project_in.weight * taken
        return Projector(kernel, (height, width), shift, position.flatten(1))


def taps(pixels: int, samples: int) -> Tensor | None:
    """Return the kernel by which a convolution resizes a row bilinearly.

    With a stride of pixels / samples it gives what ``interpolate`` gives,
    which reads one pixel, or the mean of two in the middle. None if the ratio
    is no integer.
    """
    if pixels % samples:
        return None
    ratio = pixels // samples
    kernel = torch.zeros(ratio // 2 + 1)
    kernel[-1] = 1
    if ratio % 2 == 0:
        kernel[-2:] = 0.5
    return kernel


def _folded_layer(layer: TransformerLayer) -> TransformerLayer:
    layer = deepcopy(layer)
    attention: Any = folded(layer.attention)
    layer.attention = attention
    return layer
