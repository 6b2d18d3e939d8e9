"""Where ``arch=`` of a backbone comes from."""
from typing import Mapping, Union

import torch
from torch import nn

from ...search import architecture_in, read_architecture
from ...search.architecture import Architecture

PREFIX = 'backbone.'


def load_architecture(arch: Union[str, Mapping[str, int]],
                      backbone: nn.Module) -> Architecture:
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
    checkpoint = torch.load(arch, map_location='cpu', weights_only=True)
    state_dict = checkpoint.get('state_dict', checkpoint)
    found = architecture_in(state_dict, backbone, PREFIX) or architecture_in(
        state_dict, backbone)
    if found is None:
        raise ValueError(f'arch={arch!r} has no importance factors of a '
                         f'{type(backbone).__name__}: it is a checkpoint of '
                         'another network')
    return found


def _of_backbone(arch: Mapping[str, int]) -> Architecture:
    if not any(name.startswith(PREFIX) for name in arch):
        return dict(arch)
    return {
        name[len(PREFIX):]: count
        for name, count in arch.items() if name.startswith(PREFIX)
    }
