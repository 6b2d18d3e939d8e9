"""Batch norm in its parts: statistics, also over ranks, and gradients."""

from typing import Any, NamedTuple

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

PIXELS = (0, 2, 3)  # the dimensions of (B, C, H, W) that statistics are over


class Moments(NamedTuple):
    """Describe what a norm normalised with, (C,) each, over how many pixels.

    The number of pixels is None for running statistics.
    """

    mean: Tensor
    inverse: Tensor  # 1 / sqrt(variance + eps)
    count: Any
    eps: float

    def var(self) -> Tensor:
        """Return the variance."""
        return self.inverse.pow(-2) - self.eps


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


def momentum_(norm: Any) -> float | None:
    """Count a batch, and return its share in the running statistics.

    None if the norm tracks none now.
    """
    if not norm.training or norm.running_mean is None:
        return None
    norm.num_batches_tracked.add_(1)
    if norm.momentum is None:
        return 1 / float(norm.num_batches_tracked)
    return norm.momentum


@torch.no_grad()
def track_(
    norm: Any,
    mean: Tensor,
    var: Tensor,
    count: Any,
    momentum: float | None,
    part: slice = slice(None),
) -> None:
    """Update running statistics, as the norm itself would.

    Args:
        mean, var: Those of the batch, of some channels.
        count: Number of pixels that they are over.
        momentum: See :func:`momentum_`.
        part: Which of the norm's channels they are.
    """
    if momentum is not None:
        unbiased = var * (count / (count - 1))
        for running, value in (
            (norm.running_mean, mean),
            (norm.running_var, unbiased),
        ):
            running[part].lerp_(value.to(running.dtype), momentum)


def normalise(
    norm: Any,
    x: Tensor,
    scale: Tensor,
    shift: Tensor,
    momentum: float | None,
    part: slice,
) -> tuple[Tensor, Moments]:
    """Normalise some channels of a norm's input, and track their statistics.

    Args:
        x: Some channels of the input, (B, C, H, W).
        scale, shift: The norm's parameters for these channels.
        momentum: See :func:`momentum_`.
        part: Which of the norm's channels they are.
    """
    group = group_of(norm)
    if uses_batch(norm) and group is None:
        running_mean = running_var = None
        if momentum is not None:
            running_mean = norm.running_mean[part]
            running_var = norm.running_var[part]
        out, mean, inverse = torch.native_batch_norm(
            x, scale, shift, running_mean, running_var,
            True, momentum or 0.0, norm.eps,
        )  # fmt: skip
        return out, Moments(mean, inverse, x.numel() // x.shape[1], norm.eps)
    if uses_batch(norm):
        mean, var, count = _moments_of_all(x, group)
        track_(norm, mean, var, count, momentum, part)
    else:
        mean, var = norm.running_mean[part], norm.running_var[part]
        count = None
    moments = Moments(mean, (var + norm.eps).rsqrt(), count, norm.eps)
    return normalised(x, moments, scale, shift), moments


def _moments_of_all(x: Tensor, group: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean, variance and number of the pixels of all ranks."""
    wide = torch.promote_types(x.dtype, torch.float32)
    # Their precision is that of the running statistics that it is given.
    unused = torch.zeros(x.shape[1], dtype=wide, device=x.device)
    mean, var = torch.batch_norm_update_stats(x, unused, unused, 0.0)
    count = x.numel() // x.shape[1]
    totals = torch.cat([mean * count, mean.new_tensor([count])])
    sum_over_(totals, group)
    everywhere = totals[:-1] / totals[-1]
    var = (var + (mean - everywhere) ** 2) * (count / totals[-1])
    sum_over_(var, group)
    return everywhere, var, totals[-1]


def normalised(
    x: Tensor, moments: Moments, scale: Tensor, shift: Tensor
) -> Tensor:
    """Return (x - mean) * inverse * scale + shift."""
    mean, var, eps = moments.mean, moments.var(), moments.eps
    return F.batch_norm(x, mean, var, scale, shift, False, 0.0, eps)


def norm_backward(
    grad: Tensor, x: Tensor, moments: Moments, scale: Tensor, group: Any
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of a batch norm's input, scale and shift.

    Args:
        grad: Gradient of the output, (B, C, H, W).
        x: Input, (B, C, H, W).
        group: Processes that share the statistics; None for one.
    """
    mean, inverse, count, eps = moments
    of_batch = count is not None and group is None
    var = None if of_batch else moments.var()
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
