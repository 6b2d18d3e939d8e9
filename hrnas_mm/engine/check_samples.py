"""Checks, before the training, that the data fit the model."""

from collections.abc import Iterator
from typing import Any

import torch
from mmengine.runner import Runner
from torch import Tensor, nn

from ..deploy.dense import dense_part
from ..resume.rng import forked_rng
from ..search import trace
from ..search.trace import image_channels

CHECKED_SAMPLES = 4
MAX_LABELS = 1000  # of images, read without loading these
HEADS = ('decode_head', 'head', 'bbox_head')


def check_fit(runner: Runner, model: nn.Module) -> None:
    """Raise ValueError if images or labels do not fit the model.

    Images are checked only where the input of the model is one image tensor.

    Args:
        runner: The runner of the training.
        model: The model without its wrapper.

    Raises:
        ValueError: If they do not fit, or if there are no samples; the
            message names the config key.
    """
    dataset: Any = runner.train_dataloader.dataset
    if not len(dataset):
        raise ValueError(
            'train_dataloader.dataset is empty: its data_prefix, suffixes or '
            'ann_file name no sample'
        )
    with forked_rng(0):
        samples = [
            dataset[i] for i in range(min(CHECKED_SAMPLES, len(dataset)))
        ]
    samples = [sample for sample in samples if isinstance(sample, dict)]
    for sample in samples[:1]:
        image = sample.get('inputs')
        if isinstance(image, Tensor):
            _check_channels(image, model)
            _check_size(image, model, runner.train_dataloader.batch_size)
    _check_classes(dataset, model)
    for sample in samples:
        _check_labels(sample, model)


def _check_channels(image: Tensor, model: nn.Module) -> None:
    expected = image_channels(getattr(model, 'backbone', nn.Identity()))
    if expected is not None and len(image) != expected:
        raise ValueError(
            f'model.backbone.in_channels is {expected}, but the images of '
            f'train_dataloader.dataset have {len(image)} channels'
        )


def _check_size(image: Tensor, model: nn.Module, batch_size: int) -> None:
    """Refuse images that give a batch norm one value: one image, one pixel."""
    if batch_size != 1 or image.dim() != 3:
        return
    sizes = trace(model, image.shape, dense_part(model)).sizes
    smallest = min(size for calls in sizes.values() for size in calls)
    if smallest == (1, 1):
        raise ValueError(
            f'images of {tuple(image.shape[1:])} pixels are too small for '
            'train_dataloader.batch_size=1: the lowest resolution is one '
            'pixel, of which batch norm makes nothing. Give larger images, '
            'or more of them'
        )


def _check_classes(dataset: Any, model: nn.Module) -> None:
    classes = _class_count(dataset)
    for key, count in _heads(model):
        if classes > count:
            raise ValueError(
                f'{key}.num_classes is {count}, but train_dataloader.dataset '
                f'has {classes} classes'
            )


def _class_count(dataset: Any) -> int:
    """Return how many classes a dataset names, or has labels of.

    mmpretrain's ImageNet always names 1000, of which a subset has fewer.
    """
    if not hasattr(dataset, 'get_gt_labels'):
        return len(getattr(dataset, 'metainfo', {}).get('classes') or ())
    last = len(dataset) - 1
    some = {*range(0, last, max(1, last // MAX_LABELS)), last}
    labels = (dataset.get_data_info(i).get('gt_label', -1) for i in some)
    return 1 + max(int(torch.as_tensor(label).max()) for label in labels)


def _check_labels(sample: dict[str, Any], model: nn.Module) -> None:
    labels = _labels(sample.get('data_samples'))
    for key, count in _heads(model):
        ignored = getattr(model.get_submodule(key[6:]), 'ignore_index', None)
        largest = max((x for x in labels if x != ignored), default=0)
        if largest >= count:
            raise ValueError(
                f'{key}.num_classes is {count}, but a sample of '
                f'train_dataloader.dataset has the label {largest}: labels '
                'are 0 to num_classes - 1'
            )


def _labels(sample: Any) -> list[int]:
    """Return the distinct labels of an image or of its pixels."""
    for name in ('gt_sem_seg', 'gt_label'):
        labels = getattr(sample, name, None)
        labels = getattr(labels, 'data', labels)
        if isinstance(labels, Tensor):
            return labels.unique().int().tolist()
    return []


def _heads(model: nn.Module) -> Iterator[tuple[str, int]]:
    """Yield config key and number of classes of every head with classes."""
    for name in HEADS:
        count = getattr(getattr(model, name, None), 'num_classes', None)
        if isinstance(count, int):
            yield f'model.{name}', count
