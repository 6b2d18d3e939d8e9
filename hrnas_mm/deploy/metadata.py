"""Metadata of an ONNX file: how its input is made, and its classes."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor, nn

from ..version import __version__

# Key that a file has if it normalises images itself.
NORMALISES = 'normalises'
# What data_preprocessors call it that they change the order of channels.
CONVERTS = ('_channel_conversion', 'channel_conversion', 'to_rgb')


class Normalisation(NamedTuple):
    """Mean, std and channel order that a data_preprocessor gives to images.

    Attributes:
        mean, std: Of each channel; the mean is subtracted first.
        rgb: Whether the channels are in this order; else they are as loaded,
            which is BGR.
    """

    mean: list[float]
    std: list[float]
    rgb: bool


def normalisation_of(model: nn.Module, channels: int = 3) -> Normalisation:
    """Return the normalisation of a model's images.

    Args:
        model: Model with a data_preprocessor.
        channels: Number of channels of an image.
    """
    preprocessor: Any = getattr(model, 'data_preprocessor', None)
    mean, std = [0.0] * channels, [1.0] * channels
    if getattr(preprocessor, '_enable_normalize', False):
        mean, std = (
            _short(getattr(preprocessor, name)) for name in ('mean', 'std')
        )
    rgb = any(getattr(preprocessor, name, False) for name in CONVERTS)
    return Normalisation(mean, std, rgb)


def _short(numbers: Tensor) -> list[float]:
    """Return the numbers as a config has them: 123.675, not 123.67500305."""
    return [float(f'{number:.7g}') for number in numbers.flatten().tolist()]


def metadata_of(
    model: nn.Module,
    channels: int,
    dataset_meta: Mapping[str, Any],
    takes_pixels: bool = False,
) -> dict[str, str]:
    """Return what an ONNX file says of its model; lists are JSON.

    Args:
        model: Model of any framework.
        channels: Number of channels of the input; only images have a mean.
        dataset_meta: That of the checkpoint.
        takes_pixels: Whether images are normalised in the graph; they come
            as OpenMMLab loads them then.
    """
    content: dict[str, Any] = {}
    if channels in (1, 3):
        mean, std, rgb = normalisation_of(model, channels)
        if takes_pixels:
            mean, std, rgb = [0.0] * channels, [1.0] * channels, False
            content[NORMALISES] = 'true'
        order = ('rgb' if rgb else 'bgr') if channels == 3 else 'grey'
        content.update(mean=mean, std=std, channel_order=order)
    keypoints = dataset_meta.get('keypoint_id2name') or {}
    names = dict(
        classes=dataset_meta.get('classes') or (),
        keypoints=[keypoints[i] for i in sorted(keypoints)],
    )
    for key, found in names.items():
        found = [found] if isinstance(found, str) else found
        if found:
            content[key] = [str(name) for name in found]
    return dict(
        hrnas_mm_version=__version__,
        **{
            key: value if isinstance(value, str) else json.dumps(value)
            for key, value in content.items()
        },
    )
