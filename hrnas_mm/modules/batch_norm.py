"""Batch norm in its parts: statistics, also over ranks, and gradients."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

PIXELS = (0, 2, 3)  # the dimensions of (B, C, H, W) that statistics are over


class Moments(NamedTuple):
    """Mean and variance (C,) per channel, and how many pixels they are over.

    The number is None for running statistics.
    """

    mean: Tensor
    var: Tensor
    count: Any


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
def track_(norm: Any, parts: Sequence[Moments]) -> None:
    """Update running statistics, as the norm itself would.

    Args:
        parts: Those of some channels each, of all channels together.
    """
    if not norm.training or norm.running_mean is None:
        return
    momentum = _momentum_(norm)
    first = 0
    for mean, var, count in parts:
        channels = slice(first, first := first + len(mean))
        unbiased = var * (count / (count - 1))
        for running, value in (
            (norm.running_mean, mean),
            (norm.running_var, unbiased),
        ):
            running[channels].lerp_(value.to(running.dtype), momentum)


def _momentum_(norm: Any) -> float:
    """Count a batch, and return the share of its statistics."""
    norm.num_batches_tracked.add_(1)
    if norm.momentum is None:
        return 1 / float(norm.num_batches_tracked)
    return norm.momentum


def statistics(norm: Any, x: Tensor, part: slice) -> Moments:
    """Return mean and variance to normalise a map of a norm's input with.

    Args:
        x: Some channels of the input, (B, C, H, W).
        part: Which of the norm's channels they are.
    """
    if not uses_batch(norm):
        return Moments(norm.running_mean[part], norm.running_var[part], None)
    # Their precision is that of the running statistics that it is given.
    unused = torch.zeros(x.shape[1], dtype=norm.weight.dtype, device=x.device)
    mean, var = torch.batch_norm_update_stats(x, unused, unused, 0.0)
    count = x.numel() // x.shape[1]
    group = group_of(norm)
    if group is None:
        return Moments(mean, var, count)
    totals = torch.cat([mean * count, mean.new_tensor([count])])
    dist.all_reduce(totals, group=group)
    everywhere = totals[:-1] / totals[-1]
    var = (var + (mean - everywhere) ** 2) * (count / totals[-1])
    dist.all_reduce(var, group=group)
    return Moments(everywhere, var, totals[-1])


def normalised(
    x: Tensor, moments: Moments, scale: Tensor, shift: Tensor, eps: float
) -> Tensor:
    """Return (x - mean) / sqrt(var + eps) * scale + shift."""
    mean, var, _ = moments
    return F.batch_norm(x, mean, var, scale, shift, False, 0.0, eps)


def norm_backward(
    grad: Tensor,
    x: Tensor,
    moments: Moments,
    scale: Tensor,
    eps: float,
    group: Any,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of a batch norm's input, scale and shift.

    Args:
        grad: Gradient of the output, (B, C, H, W).
        x: Input, (B, C, H, W).
        group: Processes that share the statistics; None for one.
    """
    mean, var, count = moments
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
