"""Batch norm in its parts: statistics, also over ranks, and gradients."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

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


@contextmanager
def untracked(module: nn.Module) -> Iterator[None]:
    """Leave all running statistics in a module as they are.

    A forward pass that is computed again would move them twice. They take
    part with a share of 0, as torch's checkpoint compares what both passes
    save.
    """
    norms = [
        (norm, norm.momentum, norm.num_batches_tracked)
        for norm in module.modules()
        if isinstance(norm, _BatchNorm)
    ]
    for norm, *_ in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, momentum, batches in norms:
            norm.momentum, norm.num_batches_tracked = momentum, batches


class Statistics:
    """Running statistics of norms that are computed as one.

    The norms, one or several of the same kind, count a batch when this is
    built. What is tracked of it reaches several norms at :meth:`store_`.
    """

    def __init__(self, norms: Sequence[Any]) -> None:
        first = norms[0]
        self.norms = norms
        self.of_batch, self.group = uses_batch(first), group_of(first)
        self.eps: float = first.eps
        (self.momentum,) = {momentum_(norm) for norm in norms}
        self.mean: Any = None
        self.var: Any = None
        if self.momentum is not None or not self.of_batch:
            self.mean = joined([norm.running_mean for norm in norms])
            self.var = joined([norm.running_var for norm in norms])

    @torch.no_grad()
    def track_(
        self, mean: Tensor, var: Tensor, count: Any, part: slice = slice(None)
    ) -> None:
        """Update running statistics, as the norms themselves would.

        Args:
            mean, var: Those of the batch, of some channels.
            count: Number of pixels that they are over.
            part: Which of the norms' channels they are.
        """
        if self.momentum is not None:
            unbiased = var * (count / (count - 1))
            for running, value in ((self.mean, mean), (self.var, unbiased)):
                value = value.to(running.dtype)
                running[part].lerp_(value, self.momentum)

    def normalise(
        self, x: Tensor, scale: Tensor, shift: Tensor, part: slice
    ) -> tuple[Tensor, Moments]:
        """Normalise some channels of the norms' input, and track theirs.

        Args:
            x: Some channels of the input, (B, C, H, W).
            scale, shift: The norms' parameters for these channels.
            part: Which of the norms' channels they are.
        """
        if self.of_batch and self.group is None:
            running_mean = running_var = None
            if self.momentum is not None:
                running_mean, running_var = self.mean[part], self.var[part]
            out, mean, inverse = torch.native_batch_norm(
                x, scale, shift, running_mean, running_var,
                True, self.momentum or 0.0, self.eps,
            )  # fmt: skip
            pixels = x.numel() // x.shape[1]
            return out, Moments(mean, inverse, pixels, self.eps)
        count: Any = None
        if self.of_batch:
            mean, var, count = _moments_of_all(x, self.group)
            self.track_(mean, var, count, part)
        else:
            mean, var = self.mean[part], self.var[part]
        moments = Moments(mean, (var + self.eps).rsqrt(), count, self.eps)
        return normalised(x, moments, scale, shift), moments

    @torch.no_grad()
    def store_(self) -> None:
        """Give each of several norms what was tracked."""
        if len(self.norms) > 1 and self.momentum is not None:
            sizes = [len(norm.running_mean) for norm in self.norms]
            parts = self.mean.split(sizes), self.var.split(sizes)
            for norm, mean, var in zip(self.norms, *parts):
                norm.running_mean.copy_(mean)
                norm.running_var.copy_(var)


def joined(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Return the concatenation of tensors; of a single one, itself."""
    return tensors[0] if len(tensors) == 1 else torch.cat([*tensors], dim)


def shifted(x: Tensor, shift: Tensor | None) -> Tensor:
    """Return x - shift, of (C,), in no less precision; x itself without."""
    return x if shift is None else x - shift[:, None, None]


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
        both = both * (scale * inverse / count)
        offset, slope = both[0, :, None, None], both[1] * inverse
        d_x -= shifted(x, mean).mul_(slope[:, None, None]).add_(offset)
    return d_x, d_scale, d_shift
