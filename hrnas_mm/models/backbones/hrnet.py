"""HRNet's arguments, for HRNet configs in which only ``type`` is replaced."""

import logging
import os.path as osp
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.logging import print_log

Stages = Sequence[Mapping[str, Any]]


def stages_of_hrnet(extra: Mapping[str, Any], stages: Stages) -> Stages:
    """Return the stages with the widths from HRNet's ``extra``.

    Args:
        extra: HRNet's ``extra``; its ``stage4.num_channels`` has one width per
            branch.
        stages: Stages that set the depth. The one branch of the first stage
            keeps its width, as HRNet's first stage is something else.

    Raises:
        ValueError: If the numbers of branches differ.
    """
    branches = len(stages[-1]['num_channels'])
    widths = tuple(extra.get('stage4', {}).get('num_channels', ()))
    if len(widths) != branches:
        raise ValueError(
            f'extra.stage4.num_channels must have {branches} widths, one per '
            f'branch, got {widths}'
        )
    first, *others = stages
    return (
        first,
        *(
            dict(stage, num_channels=widths[: len(stage['num_channels'])])
            for stage in others
        ),
    )


def weights_of_hrnet(init_cfg: Any) -> Any:
    """Drop the weights of an HRNet that come with its ``extra``.

    A local file is kept, because it may hold weights of a supernet.
    """
    if not isinstance(init_cfg, Mapping) or init_cfg['type'] != 'Pretrained':
        return init_cfg
    path = init_cfg['checkpoint']
    if osp.isfile(path):
        return init_cfg
    print_log(
        f'HRNASSupernet starts from scratch: {path!r}, beside extra, are '
        "weights of an HRNet. A supernet's go into init_cfg as a local file",
        'current',
        logging.WARNING,
    )
    return None


def check_conv_cfg(conv_cfg: Mapping[str, Any] | None) -> None:
    """Raise ValueError unless the convolutions can be shrunk."""
    if conv_cfg is not None and conv_cfg.get('type') not in ('Conv2d', 'Conv'):
        raise ValueError(
            f'conv_cfg must be None or Conv2d, got {dict(conv_cfg)}: only '
            'plain convolutions can be shrunk'
        )
