"""Positional encodings of the lightweight Transformer (Eq. 2, Table 7)."""

import math

import torch
from torch import Tensor, nn


class Map2d(nn.Module):
    """The normalised map P[0, i, j] = i / h, P[1, i, j] = j / w, resized.

    Source: HR-NAS, Eq. (2), resized to s * s as by bilinear interpolation.

    Shape:
        (B, C, H, W) -> (B, 2, s, s)
    """

    channels = 2

    def __init__(self, token_size: int) -> None:
        super().__init__()
        self.token_size = token_size

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = (self._axis(x, n) for n in x.shape[-2:])
        size = (self.token_size, self.token_size)
        position = torch.stack(
            [rows[:, None].expand(size), columns[None].expand(size)]
        )
        return position.expand(x.shape[0], -1, -1, -1)

    def _axis(self, x: Tensor, pixels: int) -> Tensor:
        """Return i / h where bilinear interpolation from h to s samples."""
        centre = (
            torch.arange(self.token_size, dtype=x.dtype, device=x.device) + 0.5
        )
        source = centre * (pixels / self.token_size) - 0.5
        return source.clamp(0, pixels - 1) / pixels


class Sinusoidal(nn.Module):
    """Sines and cosines of the row and of the column, 64 channels each.

    Source: Vaswani et al., 2017, in two dimensions; positions are those of
    the s * s map.

    Shape:
        (B, C, H, W) -> (B, 128, s, s)
    """

    channels = 128

    map: Tensor

    def __init__(self, token_size: int) -> None:
        super().__init__()
        self.register_buffer('map', self._map(token_size), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.map.to(x.dtype).expand(x.shape[0], -1, -1, -1)

    def _map(self, token_size: int) -> Tensor:
        waves = self.channels // 4
        frequency = torch.exp(
            torch.arange(waves) * (-math.log(10000.0) / waves)
        )
        angle = torch.arange(token_size)[:, None] * frequency
        axis = torch.cat([angle.sin(), angle.cos()], dim=1).T
        rows = axis[:, :, None].expand(-1, -1, token_size)
        return torch.cat([rows, rows.transpose(1, 2)])[None]


class Learned(nn.Module):
    """One learned map of 128 channels.

    Shape:
        (B, C, H, W) -> (B, 128, s, s)
    """

    channels = 128

    def __init__(self, token_size: int) -> None:
        super().__init__()
        self.map = nn.Parameter(
            torch.randn(1, self.channels, token_size, token_size) * 0.02
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.map.to(x.dtype).expand(x.shape[0], -1, -1, -1)


class NoPosition(nn.Module):
    """No positional encoding: a map without channels.

    Shape:
        (B, C, H, W) -> (B, 0, s, s)
    """

    channels = 0

    def __init__(self, token_size: int) -> None:
        super().__init__()
        self.token_size = token_size

    def forward(self, x: Tensor) -> Tensor:
        return x.new_empty(x.shape[0], 0, self.token_size, self.token_size)


Position = Map2d | Sinusoidal | Learned | NoPosition

POSITIONS: dict[str, type[Position]] = dict(
    map2d=Map2d, sinusoidal=Sinusoidal, learned=Learned, none=NoPosition
)


def build_position(position: str, token_size: int) -> Position:
    """Build a positional encoding by its name.

    Raises:
        ValueError: If there is no encoding of that name.
    """
    if position not in POSITIONS:
        raise ValueError(
            f'position must be one of {sorted(POSITIONS)}, got {position!r}'
        )
    return POSITIONS[position](token_size)
