"""MixConv, Eq. (5): depthwise convolutions of several kernel sizes."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ..search.formulas import strided
from ..search.units import SearchUnit, Size
from .conv import (
    ActLayer,
    Constant,
    NormLayer,
    affine,
    batch_norm,
    build_batch_norm,
    check_kernel_sizes,
    eval_affine,
    relu,
)
from .deployed import (
    ChannelLayout,
    Choice,
    Deployable,
    Form,
    Terms,
    deployed_paths,
    divisions,
    form_of_paths,
    may_merge,
    rounded,
)
from .memory_efficient import can_save_memory, memory_efficient_sum
from .mixconv_path import MixConvPath, depthwise_macs, path_macs


class MixConv(nn.Module, Deployable):
    """Paths of several kernel sizes, projected, summed and normalised.

    Source: HR-NAS, Eq. (5), first term. Differs in: the paths are projected
    one by one and summed, which is the same function as one projection of
    their concatenation, and faster.

    Args:
        kernel_sizes: Odd kernel sizes, one path each.
        expand_ratio: Ratio r; each path has round(r * C_in) mid channels.
        memory_efficient: Whether to train in the form that keeps few maps,
            :mod:`hrnas_mm.modules.memory_efficient`; None for on a CPU only,
            where it is faster, too.
        keep: Whether maps of the mid channels that take long to compute are
            kept for that form's backward pass; others are computed again.

    Shape:
        (B, C_in, H, W) -> (B, C_out, ceil(H / stride), ceil(W / stride)), or
        (C_out, 1, 1) when no path is left

    Cost:
        The sum of :func:`path_macs` over the paths

    Raises:
        ValueError: If a kernel size is even or occurs twice, or
            ``expand_ratio`` is not positive.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int = 1,
        kernel_sizes: Sequence[int] = (3, 5, 7),
        expand_ratio: float = 4,
        norm_layer: NormLayer = batch_norm,
        act_layer: ActLayer = relu,
        memory_efficient: bool | None = None,
        keep: bool = True,
    ) -> None:
        super().__init__()
        check_kernel_sizes(kernel_sizes)
        mid_channels = round(expand_ratio * in_channels)
        if mid_channels < 1:
            raise ValueError(
                'expand_ratio must give at least one channel, '
                f'got {expand_ratio} of {in_channels}'
            )
        self.kernel_sizes = {f'k{size}': size for size in kernel_sizes}
        self.unit_names = tuple(self.kernel_sizes)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.stride = stride
        self.paths = nn.ModuleDict(
            {
                f'k{size}': MixConvPath(
                    in_channels,
                    mid_channels,
                    out_channels,
                    size,
                    stride,
                    norm_layer,
                    act_layer,
                )
                for size in kernel_sizes
            }
        )
        self.norm: nn.Module = build_batch_norm(norm_layer, out_channels)
        self.memory_efficient = memory_efficient
        self.keep = keep
        self._may_merge = may_merge([act_layer()])
        self.shared_params = out_channels  # the scale of the norm

    def forward(self, x: Tensor) -> Tensor:
        if isinstance(self.norm, Constant):
            return self.norm()
        paths = self.paths.values()
        if self.saves_memory(x):
            return self.norm(memory_efficient_sum(paths, x, self.keep))
        return self.norm(sum(path(x) for path in paths))

    def saves_memory(self, x: Tensor) -> bool:
        """Return whether few maps of an input are kept for backward()."""
        wanted = self.memory_efficient
        if wanted is None:
            wanted = x.device.type == 'cpu'
        return wanted and can_save_memory(self.paths.values(), x)

    def search_units(self) -> dict[str, SearchUnit]:
        """Return one unit of mid channels per path."""
        return {
            name: path.search_unit(self.norm)
            for name, path in self.paths.items()
            if isinstance(path, MixConvPath)
        }

    def macs(self, counts: Mapping[str, int], size: Size) -> int:
        """Return the sum of :func:`path_macs` over the paths."""
        return sum(
            path_macs(
                counts[name],
                size,
                self.in_channels,
                self.out_channels,
                kernel_size,
                self.stride,
            )
            for name, kernel_size in self.kernel_sizes.items()
        )

    def eq6_macs(self, counts: Mapping[str, int], size: Size) -> int:
        """Return the sum of :func:`depthwise_macs` over the paths."""
        return sum(
            depthwise_macs(counts[name], size, kernel_size, self.stride)
            for name, kernel_size in self.kernel_sizes.items()
        )

    def deployed_counts(
        self, counts: Mapping[str, int], size: Size, form: Form
    ) -> dict[str, int]:
        """Return which deployed path computes how many channels.

        A merged path has the name of its largest kernel size, and the
        channels of all; they are rounded up.
        """
        form = form_of_paths(form, self._may_merge)
        by_size = {
            kernel_size: counts[name]
            for name, kernel_size in self.kernel_sizes.items()
            if counts[name]
        }
        widths = (
            rounded(self.in_channels, form.step),
            rounded(self.out_channels, form.step),
        )
        pixels = math.prod(strided(size, self.stride))
        return {
            f'k{max(group)}': rounded(
                sum(by_size[kernel_size] for kernel_size in group), form.step
            )
            for group in form.groups(by_size, widths, pixels)
        }

    @torch.no_grad()
    def drop_empty_(self) -> None:
        """Delete paths without channels; without paths a constant is left.

        With batch statistics, a norm turns a constant input into its bias. A
        norm in eval mode uses its running statistics instead.
        """
        for name, unit in self.search_units().items():
            if not len(unit):
                del self.paths[name]
        if not self.paths and not isinstance(self.norm, Constant):
            bias = affine(self.norm)[1]
            if not self.norm.training and self.norm.running_mean is not None:
                bias.copy_(eval_affine(self.norm)[1])
            self.norm = Constant(bias)

    def options(self) -> list[Choice]:
        """Return the ways in which its paths may be merged."""
        units = self.search_units() if self._may_merge else {}
        sizes = sorted(self.kernel_sizes[name] for name in units)
        return [
            Choice(division=tuple(map(tuple, groups)))
            for groups in divisions(sizes)
        ]

    def terms(
        self, form: Form, source: ChannelLayout, target: ChannelLayout
    ) -> Terms:
        """Return one path or several, whose sum is that of all paths."""
        if isinstance(self.norm, Constant):
            return Terms({}, self.norm.bias)
        scale, shift = eval_affine(self.norm)
        paths = [
            path.folded(scale)
            for path in self.paths.values()
            if isinstance(path, MixConvPath)
        ]
        size, form = form.sizes.get(self), form.at(self)
        return Terms(deployed_paths(paths, form, source, target, size), shift)
