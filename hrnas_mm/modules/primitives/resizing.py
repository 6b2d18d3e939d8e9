"""Resizing maps, as the paper's network does."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def resize(x: Tensor, size: Sequence[int]) -> Tensor:
    """Resize bilinearly to (h, w), as the paper's projections do."""
    return F.interpolate(x, size, mode='bilinear', align_corners=False)


def upsample(x: Tensor, size: Sequence[int]) -> Tensor:
    """Double the size by nearest neighbour, then resize bilinearly to (h, w).

    The second step is only done if the size differs from (h, w).
    """
    x = F.interpolate(x, scale_factor=2, mode='nearest')
    return x if x.shape[-2:] == size else resize(x, size)


def join_maps(maps: Sequence[Tensor]) -> Tensor:
    """Resize maps to the size of the first, and concatenate them."""
    highest, *lower = maps
    size = highest.shape[-2:]
    return torch.cat([highest, *(resize(x, size) for x in lower)], dim=1)
