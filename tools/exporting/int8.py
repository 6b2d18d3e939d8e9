"""Exported files in 8-bit integers, calibrated on the data of a config."""

from argparse import ArgumentParser
from collections.abc import Sequence

import torch.nn.functional as F
from mmengine.config import Config
from torch import Tensor, nn

from hrnas_mm.building import training_inputs
from hrnas_mm.check_files import check_data
from hrnas_mm.cli.config import count_of
from hrnas_mm.deploy import Ends, in_float, quantized
from hrnas_mm.runtimes import RUNTIMES

IMAGES = 64


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
        metavar='N',
        help='with --int8: number of training images, which the seed of the '
        f'config draws; default: {IMAGES}',
    )


def check_int8(cfg: Config) -> None:
    """Check that there is training data to calibrate with.

    Raises:
        FileNotFoundError: If it is missing.
        ValueError: If the config has none.
    """
    if not cfg.get('train_dataloader'):
        raise ValueError(
            '--int8 calibrates on training images, and the config has no '
            'train_dataloader'
        )
    check_data(cfg, 'train_dataloader')


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
    runtime: str,
) -> None:
    """Let a file compute in 8-bit integers, and print how it differs.

    Args:
        path: Path of the file, which is changed.
        cfg: Config with the ``train_dataloader`` to calibrate with.
        model: Model of the config.
        shape: (C, H, W) of the images that the file reads.
        count: Number of training images.
        ends: What stands before and after the dense part in the file.
        runtime: What will run the file.

    Raises:
        FileNotFoundError: If the training data is missing.
    """
    size = tuple(shape[1:])
    images = [
        as_read(F.interpolate(image, size, mode='bilinear'), ends)
        for image in training_inputs(cfg, model, count)
    ]
    with open(path, 'rb') as file:
        content = file.read()
    found = quantized(content, images, runtime)
    with open(path, 'wb') as file:
        file.write(found)
    left = ', '.join(f'{n} {name}' for name, n in in_float(found).items())
    difference = _difference(content, found, images[0])
    print(
        f'8-bit integers, calibrated on {len(images)} training images; in '
        f'float: {left or "nothing"}; '
        f'in onnxruntime {difference}'
    )


def _difference(before: bytes, after: bytes, image: Tensor) -> str:
    """Return how far the outputs of two files are from each other."""
    session = RUNTIMES['onnxruntime'].session
    worst, same = [0.0], [1.0]
    for a, b in zip(session(before)(image), session(after)(image)):
        if a.is_floating_point():
            largest = a.abs().max().item() or 1.0
            worst.append((a - b).abs().max().item() / largest)
        else:  # labels
            same.append((a == b).float().mean().item())
    if len(same) > 1:
        return f'{min(same):.1%} of the labels are those of float'
    return f'up to {max(worst):.2g} of the largest output from float'
