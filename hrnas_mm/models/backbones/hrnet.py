"""HRNet's arguments, for configs in which only ``type`` is replaced."""

import logging
import os.path as osp
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.logging import print_log

Stages = Sequence[Mapping[str, Any]]


def stages_of_hrnet(extra: Mapping[str, Any], stages: Stages) -> Stages:
    """Give the branches the widths that HRNet's ``extra`` says.

    Args:
        extra: ``stage4.num_channels`` has one width per branch.
        stages: Have the depth, and the one branch of the first stage, which
            is another thing in HRNet: it stays as wide as it is.

    Raises:
        ValueError: If there are not as many branches.
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
    """Leave out the weights that come with an HRNet's ``extra``.

    A file on this machine is kept: it may be a supernet's.
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
    """Raise ValueError unless convolutions are what can be shrunk."""
    if conv_cfg is not None and conv_cfg.get('type') not in ('Conv2d', 'Conv'):
        raise ValueError(
            f'conv_cfg must be None or Conv2d, got {dict(conv_cfg)}: only '
            'plain convolutions can be shrunk'
        )
