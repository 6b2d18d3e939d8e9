"""Batch norm in its parts: statistics, also over ranks, and gradients."""

from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

PIXELS = (0, 2, 3)  # the dimensions of (B, C, H, W) that statistics are over


def uses_batch(norm: Any) -> bool:
    """Return whether a norm uses the statistics of the batch."""
    return norm.training or norm.running_mean is None


def group_of(norm: Any) -> Any:
    """Return the processes that share a norm's statistics; None for one."""
    if not isinstance(norm, nn.SyncBatchNorm) or not norm.training:
        return None
    if not dist.is_initialized():
        return None
    group = norm.process_group or dist.group.WORLD
    return group if dist.get_world_size(group) > 1 else None


def sum_over_(tensor: Tensor, group: Any) -> None:
    """Sum a tensor over the processes of a group, if there is one."""
    if group is not None:
        dist.all_reduce(tensor, group=group)


@torch.no_grad()
def track_(norm: Any, mean: Tensor, var: Tensor, count: Tensor) -> None:
    """Update running statistics, as the norm itself would."""
    if norm.training and norm.running_mean is not None:
        momentum = _momentum_(norm)
        norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), momentum)
        unbiased = var * (count / (count - 1))
        norm.running_var.lerp_(unbiased.to(norm.running_var.dtype), momentum)


def _momentum_(norm: Any) -> float:
    """Count a batch, and return the share of its statistics."""
    norm.num_batches_tracked.add_(1)
    if norm.momentum is None:
        return 1 / float(norm.num_batches_tracked)
    return norm.momentum


def statistics(norm: Any, x: Tensor) -> tuple[Tensor, Tensor, Any]:
    """Return mean and variance to normalise with, and their pixels.

    The number of pixels is None for running statistics.
    """
    if not uses_batch(norm):
        return norm.running_mean, norm.running_var, None
    count = x.numel() // x.shape[1]
    group = group_of(norm)
    if group is None:
        tracks = norm.training and norm.running_mean is not None
        mean, var = torch.batch_norm_update_stats(
            x,
            norm.running_mean if tracks else None,
            norm.running_var if tracks else None,
            _momentum_(norm) if tracks else 0.0,
        )
        return mean, var, count
    var, mean = torch.var_mean(x.to(norm.weight.dtype), PIXELS, correction=0)
    totals = torch.cat([mean * count, mean.new_tensor([count])])
    dist.all_reduce(totals, group=group)
    everywhere = totals[:-1] / totals[-1]
    var = (var + (mean - everywhere) ** 2) * (count / totals[-1])
    dist.all_reduce(var, group=group)
    track_(norm, everywhere, var, totals[-1])
    return everywhere, var, totals[-1]


def normalised(
    x: Tensor,
    mean: Tensor,
    var: Tensor,
    scale: Tensor,
    shift: Tensor,
    eps: float,
) -> Tensor:
    """Return (x - mean) / sqrt(var + eps) * scale + shift."""
    return F.batch_norm(x, mean, var, scale, shift, False, 0.0, eps)


def norm_backward(
    grad: Tensor,
    x: Tensor,
    scale: Tensor,
    mean: Tensor,
    var: Tensor,
    eps: float,
    count: Any,
    group: Any,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of a batch norm's input, scale and shift.

    Args:
        grad: Gradient of the output, (B, C, H, W).
        x: Input, (B, C, H, W).
        count: Number of pixels that ``mean`` and ``var`` are over; None if
            they are running statistics.
        group: Processes that share them; None for one.
    """
    inverse = (var + eps).rsqrt()
    of_batch = count is not None and group is None
    d_x, d_scale, d_shift = torch.ops.aten.native_batch_norm_backward(
        grad, x, scale, mean, var, mean, inverse, of_batch, eps, [True] * 3
    )
    if group is not None:
        both = torch.stack([d_shift, d_scale])
        sum_over_(both, group)
        slope = both[1] * inverse
        both = torch.stack([both[0] - slope * mean, slope])
        offset, slope = (both * (scale * inverse / count))[..., None, None]
        d_x = d_x - torch.addcmul(offset, x, slope)
    return d_x, d_scale, d_shift
