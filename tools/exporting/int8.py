"""Exported files in 8-bit integers, calibrated on the data of a config."""

from argparse import ArgumentParser
from collections.abc import Sequence

import torch.nn.functional as F
from mmengine.config import Config
from torch import Tensor, nn

from hrnas_mm.building import training_inputs
from hrnas_mm.cli.config import count_of
from hrnas_mm.deploy import Ends, in_float, quantized


def add_int8(parser: ArgumentParser) -> None:
    """Add the options for a file in 8-bit integers."""
    parser.add_argument(
        '--int8',
        action='store_true',
        help='let the file compute in 8-bit integers, whose ranges are found '
        'on training images',
    )
    parser.add_argument(
        '--calibrate',
        type=count_of,
        default=64,
        metavar='N',
        help='with --int8: number of training images, which the seed of the '
        'config draws; default: %(default)s',
    )


def as_read(image: Tensor, ends: Ends) -> Tensor:
    """Return a normalised image as a file reads it."""
    return image if ends.first is None else ends.first.inverse(image)


def quantize_(
    path: str,
    cfg: Config,
    model: nn.Module,
    shape: Sequence[int],
    count: int,
    ends: Ends,
) -> None:
    """Let a file compute in 8-bit integers, and print what stays in float.

    Args:
        path: Path of the file, which is changed.
        cfg: Config with the ``train_dataloader`` to calibrate with.
        model: Model of the config.
        shape: (C, H, W) of the images that the file reads.
        count: Number of training images.
        ends: What stands before and after the dense part in the file.

    Raises:
        FileNotFoundError: If the training data is missing.
    """
    size = tuple(shape[1:])
    images = [
        as_read(F.interpolate(image, size, mode='bilinear'), ends)
        for image in training_inputs(cfg, model, count)
    ]
    with open(path, 'rb') as file:
        content = quantized(file.read(), images)
    with open(path, 'wb') as file:
        file.write(content)
    left = ', '.join(f'{n} {name}' for name, n in in_float(content).items())
    print(
        f'8-bit integers, calibrated on {len(images)} training images; in '
        f'float: {left or "nothing"}'
    )
