"""MixConv for inference: paths of several kernel sizes in one."""

from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import replace
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ...search.formulas import strided
from ..primitives.kernels import stacked_kernels
from .channel_layout import ChannelLayout
from .convs import conv_of
from .form import Form


class Path(NamedTuple):
    """Weights of a MixConv path of N channels, batch norms folded in.

    Attributes:
        expand: Weight (N, C_in) and bias (N,).
        depthwise: Weight (N, 1, k, k) and bias (N,).
        project: Weight (C_out, N).
        activations: Those after ``expand`` and ``depthwise``.
        stride: Stride of ``depthwise``.
    """

    expand: tuple[Tensor, Tensor]
    depthwise: tuple[Tensor, Tensor]
    project: Tensor
    activations: tuple[nn.Module, nn.Module]
    stride: int

    @property
    def kernel_size(self) -> int:
        return self.depthwise[0].shape[-1]


def deployed_paths(
    paths: Sequence[Path],
    form: Form,
    source: ChannelLayout,
    target: ChannelLayout,
    size: tuple[int, int] | None,
) -> dict[str, nn.Sequential]:
    """Return modules whose sum is that of the paths, by name.

    Paths whose activation has parameters, which differ, stay apart.

    Args:
        size: Input size (h, w), None if it is not known.
    """
    if not paths:
        return {}
    merge = may_merge(act for path in paths for act in path.activations)
    form = form_of_paths(form, merge)
    by_size = {path.kernel_size: path for path in paths}
    groups = form.groups(
        {path.kernel_size: path.project.shape[1] for path in paths},
        widths=(source.width, target.width),
        pixels=None if size is None else prod(strided(size, paths[0].stride)),
    )
    return {
        'k' + '_'.join(map(str, group)): path_module(
            merged([by_size[kernel_size] for kernel_size in group]),
            form.step,
            source,
            target,
        )
        for group in groups
    }


def form_of_paths(form: Form, merge: bool) -> Form:
    """Return the form for paths that may become one, or may not."""
    return form if merge else replace(form, fuse='never')


def may_merge(activations: Iterable[nn.Module]) -> bool:
    """Return whether paths with these activations may become one.

    Those with parameters differ, and keep their paths apart.
    """
    return not any(list(act.parameters()) for act in activations)


def merged(paths: Sequence[Path]) -> Path:
    """Return one path that computes the sum of several.

    Its channels are those of all of them. Kernels lie in the centre of the
    largest one.
    """
    return paths[0]._replace(
        expand=_stacked([path.expand for path in paths]),
        depthwise=(
            stacked_kernels([path.depthwise[0] for path in paths]),
            torch.cat([path.depthwise[1] for path in paths]),
        ),
        project=torch.cat([path.project for path in paths], dim=1),
    )


def path_module(
    path: Path, step: int, source: ChannelLayout, target: ChannelLayout
) -> nn.Sequential:
    """Build a path from its weights, its channels rounded up with zeros.

    What the source has still to add goes into the bias of the expansion.
    """
    channels = path.project.shape[1]
    mid = ChannelLayout.of(channels, step)
    weight, bias = path.expand
    bias = bias + source.after(weight)
    kernels, shift = path.depthwise
    return nn.Sequential(
        conv_of(mid.rows(source.columns(weight)), mid.rows(bias)),
        deepcopy(path.activations[0]),
        conv_of(
            mid.rows(kernels), mid.rows(shift), path.stride, groups=mid.width
        ),
        deepcopy(path.activations[1]),
        conv_of(
            target.rows(mid.columns(path.project)),
            weight.new_zeros(target.width),
        ),
    )


def _stacked(
    layers: Sequence[tuple[Tensor, Tensor]],
) -> tuple[Tensor, Tensor]:
    weights, biases = zip(*layers)
    return torch.cat(weights), torch.cat(biases)
