"""Depthwise kernels of several sizes as those of one convolution."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def stacked_kernels(kernels: Sequence[Tensor]) -> Tensor:
    """Return all kernels in the centre of the largest size, zeros around.

    Shape:
        [(N_i, 1, k_i, k_i)] -> (sum of N_i, 1, max k_i, max k_i)
    """
    size = max(kernel.shape[-1] for kernel in kernels)
    return torch.cat(
        [F.pad(k, [(size - k.shape[-1]) // 2] * 4) for k in kernels]
    )
