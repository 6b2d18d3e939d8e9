"""What can be wrong between model and data, found before training."""

from collections.abc import Sequence

import torch
from mmengine.runner import Runner
from torch import nn

from .rng import forked_rng


def input_shape_of(
    model: nn.Module, shape: Sequence[int] | None = None
) -> tuple[int, ...]:
    """Return (C, H, W), the image at which multiply-adds are counted.

    Args:
        model: Asked for what ``shape`` leaves open.
        shape: (C, H, W), (H, W), or None for ``data_preprocessor.size``.

    Raises:
        ValueError: If the height and width are nowhere to be found.
    """
    shape = shape or getattr(
        getattr(model, 'data_preprocessor', None), 'size', None
    )
    if shape is None or len(shape) not in (2, 3):
        raise ValueError(
            'input_shape must be given as (H, W) or (C, H, W): the model has '
            f'no data_preprocessor.size to take it from, got {shape}'
        )
    if len(shape) == 3:
        return tuple(shape)
    backbone = getattr(model, 'backbone', model)
    return (getattr(backbone, 'in_channels', 3), *shape)


def check_images(runner: Runner, model: nn.Module) -> None:
    """Raise ValueError if the images do not fit the backbone's in_channels.

    Data sets whose input is not one image tensor are not looked at.
    """
    expected = getattr(getattr(model, 'backbone', None), 'in_channels', None)
    with forked_rng(0):
        sample = runner.train_dataloader.dataset[0]
    image = sample.get('inputs') if isinstance(sample, dict) else None
    if not isinstance(image, torch.Tensor) or expected is None:
        return
    if len(image) != expected:
        raise ValueError(
            f'model.backbone.in_channels is {expected}, but the images of '
            f'train_dataloader.dataset have {len(image)} channels'
        )
