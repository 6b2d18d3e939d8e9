"""Checks of the arguments of a supernet."""

from collections.abc import Mapping, Sequence
from typing import Any


def check_stem(channels: Sequence[int], strides: Sequence[int]) -> None:
    """Raise ValueError unless each convolution has one stride, 1 or 2."""
    if not channels or len(channels) != len(strides):
        raise ValueError(
            'stem_channels and stem_strides must have the same '
            f'length, at least 1, got {tuple(channels)} and '
            f'{tuple(strides)}'
        )
    if not set(strides) <= {1, 2}:
        raise ValueError(f'stem_strides must be 1 or 2, got {tuple(strides)}')


def check_stages(stages: Sequence[Mapping[str, Any]]) -> None:
    """Raise ValueError unless the stages are complete and fit together.

    Each stage needs a depth and a width for every branch, and as many
    branches as the stage before it or one more.
    """
    if not stages:
        raise ValueError('stages must not be empty')
    before = 1
    for i, stage in enumerate(stages):
        if set(stage) != {'num_blocks', 'num_channels'}:
            raise ValueError(
                f'stages[{i}] must have num_blocks and '
                f'num_channels, got {sorted(stage)}'
            )
        blocks, channels = stage['num_blocks'], stage['num_channels']
        if len(blocks) != len(channels):
            raise ValueError(
                f'stages[{i}] must have as many num_blocks as num_channels, '
                f'got {tuple(blocks)} and {tuple(channels)}'
            )
        if min(blocks, default=-1) < 0 or min(channels) < 1:
            raise ValueError(
                f'stages[{i}] must have at least one branch of at least one '
                f'channel, got {tuple(blocks)} and {tuple(channels)}'
            )
        if not before <= len(blocks) <= before + 1:
            raise ValueError(
                f'stages[{i}] must have {before} or {before + 1} branches, '
                f'the same as the stage before or one more, got {len(blocks)}'
            )
        before = len(blocks)


def check_outputs(
    out_indices: Sequence[int] | None,
    fuse_channels: int | None,
    multiscale_output: bool,
    multi_branch: bool,
    branches: int,
) -> tuple[int, ...]:
    """Return the indices of the branches to return, or raise ValueError."""
    if not multi_branch:
        if out_indices is not None or not multiscale_output:
            raise ValueError(
                'multi_branch=False gives the last branch: neither '
                'out_indices nor multiscale_output=False can be given with it'
            )
        return (branches - 1,)
    if not multiscale_output:
        if out_indices is not None or fuse_channels is not None:
            raise ValueError(
                'multiscale_output=False gives the first branch: neither '
                'out_indices nor fuse_channels can be given with it'
            )
        return (0,)
    if out_indices is None:
        if fuse_channels is not None and fuse_channels < 1:
            raise ValueError(
                f'fuse_channels must be positive, got {fuse_channels}'
            )
        return tuple(range(branches))
    if fuse_channels is not None:
        raise ValueError(
            'out_indices and fuse_channels must not both be given: '
            'fuse_channels joins all branches into one map'
        )
    known = [i for i in range(branches) if i in out_indices]
    if not known or known != list(out_indices):
        raise ValueError(
            'out_indices must be branches of the last stage, 0 '
            f'to {branches - 1}, ascending, got {tuple(out_indices)}'
        )
    return tuple(out_indices)


def check_frozen(frozen_stages: int, num_stages: int) -> None:
    """Raise ValueError unless that many stages can be frozen."""
    if not -1 <= frozen_stages <= num_stages:
        raise ValueError(
            f'frozen_stages must be -1 to {num_stages}, got {frozen_stages}'
        )


def weights_to_load(
    pretrained: str | None, init_cfg: dict[str, Any] | None
) -> dict[str, Any] | None:
    """Return the ``init_cfg``, or one of ``pretrained``; not of both."""
    if pretrained is None:
        return init_cfg
    if init_cfg is not None:
        raise ValueError(
            'pretrained and init_cfg must not both be given; '
            'pretrained is deprecated'
        )
    return dict(type='Pretrained', checkpoint=pretrained)
