"""Where ``arch=`` of a backbone comes from."""

import os.path as osp
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from ...search import architecture_in, read_architecture
from ...search.architecture import Architecture

PREFIX = 'backbone.'


def load_architecture(
    arch: str | Mapping[str, int], backbone: nn.Module
) -> Architecture:
    """Return the backbone's part of an architecture.

    Args:
        arch: ``{unit name: count}``, a JSON file of them, or a checkpoint
            ('.pth', '.pt'). Names may be a whole model's, with 'backbone.'
            before those of the backbone.
        backbone: The full supernet.

    Raises:
        ValueError: If a checkpoint has no importance factors of the backbone.
    """
    if not isinstance(arch, str):
        return _of_backbone(arch)
    if arch.endswith('.json'):
        return _of_backbone(read_architecture(arch))
    found = _in_checkpoint(arch, backbone)
    if found is None:
        raise ValueError(
            f'arch={arch!r} has no importance factors of a '
            f'{type(backbone).__name__}: it is a checkpoint of '
            'another network'
        )
    return found


def pretrained_architecture(
    init_cfg: Mapping[str, Any] | None, backbone: nn.Module
) -> Architecture | None:
    """Return the architecture of the weights that ``init_cfg`` will load.

    It has to be known in the constructor: weights are initialised after
    optimizer and averaged model were made. None if they are not a local
    checkpoint of a backbone like this.
    """
    if not isinstance(init_cfg, Mapping):
        return None
    path = init_cfg.get('checkpoint')
    if init_cfg['type'] != 'Pretrained' or not osp.isfile(path):
        return None
    return _in_checkpoint(path, backbone)


def _in_checkpoint(path: str, backbone: nn.Module) -> Architecture | None:
    checkpoint = torch.load(path, map_location='cpu', weights_only=True)
    state_dict = checkpoint.get('state_dict', checkpoint)
    return architecture_in(state_dict, backbone, PREFIX) or architecture_in(
        state_dict, backbone
    )


def _of_backbone(arch: Mapping[str, int]) -> Architecture:
    if not any(name.startswith(PREFIX) for name in arch):
        return dict(arch)
    return {
        name[len(PREFIX) :]: count
        for name, count in arch.items()
        if name.startswith(PREFIX)
    }
