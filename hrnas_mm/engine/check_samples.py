"""Checks, before the training, that the data fit the model."""

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
from mmengine.dataset import InfiniteSampler
from torch import Tensor, nn

from ..deploy.dense import dense_part
from ..resume.rng import forked_rng
from ..search import trace
from ..search.trace import image_channels
from ..spelling import counted

CHECKED_SAMPLES = 4
MAX_LABELS = 1000  # of images, read without loading these
# Heads that tell objects from background, or borders from areas.
OTHER_CLASSES = re.compile('rpn|RPN|STDC|Boundary')


def check_fit(loader: Any, model: nn.Module) -> None:
    """Raise ValueError if images or labels do not fit the model.

    Images are checked only where the input of the model is one image tensor.

    Args:
        loader: Dataloader of the training.
        model: Model without its wrapper.

    Raises:
        ValueError: If they do not fit, or if there are no samples; the
            message names the config key.
    """
    dataset = loader.dataset
    if not len(dataset):
        raise ValueError(
            'train_dataloader.dataset is empty: its data_prefix, suffixes or '
            'ann_file name no sample, or filter_cfg leaves none'
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
            _check_size(image, model, loader)
    _check_classes(dataset, model)
    _check_class_weights(model)
    for sample in samples:
        _check_labels(sample, model)


def smallest_batch(loader: Any) -> int:
    """Return the number of images in the smallest batch of a dataloader.

    Raises:
        ValueError: If it has no batch.
    """
    batches = loader.batch_sampler
    size = loader.batch_size or getattr(batches, 'batch_size', 1)
    if isinstance(loader.sampler, InfiniteSampler):
        return int(size)
    whole, rest = divmod(len(loader.sampler), size)
    if not getattr(batches, 'drop_last', True):
        return int(rest or size)
    if not whole:
        raise ValueError(
            f'train_dataloader has no batch: its {len(loader.sampler)} images '
            f'are fewer than batch_size={size}, and drop_last=True leaves '
            'them out'
        )
    return int(size)


def check_end(key: str, loader: Any) -> None:
    """Raise ValueError if an epoch of a dataloader would never end.

    Args:
        key: Name of the dataloader in the config.
        loader: Dataloader; its sampler is run through.
    """
    batches = loader.batch_sampler
    many = 2 * len(batches)  # some samplers only estimate their length
    if sum(1 for _ in islice(batches, many + 1)) > many:
        raise ValueError(
            f'{key}.sampler must come to an end, got '
            f"{type(loader.sampler).__name__}: type='DefaultSampler' does"
        )


def _check_channels(image: Tensor, model: nn.Module) -> None:
    expected = image_channels(getattr(model, 'backbone', nn.Identity()))
    if expected is not None and len(image) != expected:
        raise ValueError(
            f'model.backbone.in_channels is {expected}, but the images of '
            f'train_dataloader.dataset have {len(image)} channels'
        )


def _check_size(image: Tensor, model: nn.Module, loader: Any) -> None:
    """Refuse images that give a batch norm one value: one image, one pixel."""
    if smallest_batch(loader) != 1 or image.dim() != 3:
        return
    sizes = trace(model, image.shape, dense_part(model)).sizes
    smallest = min(size for calls in sizes.values() for size in calls)
    if smallest != (1, 1):
        return
    one = 'train_dataloader.batch_size=1'
    advice = 'Give larger images, or more of them'
    if loader.batch_size != 1:
        one = 'the last batch of an epoch, which is one image'
        advice = 'Set train_dataloader.drop_last=True, or give larger images'
    raise ValueError(
        f'images of {tuple(image.shape[1:])} pixels are too small for {one}: '
        'the lowest resolution is one pixel, of which batch norm makes '
        f'nothing. {advice}'
    )


def _check_classes(dataset: Any, model: nn.Module) -> None:
    classes = _class_count(dataset)
    for key, head in _heads(model):
        if classes > head.num_classes:
            raise ValueError(
                f'{key}.num_classes is {head.num_classes}, but '
                f'train_dataloader.dataset has {counted(classes, "class")}'
            )


def _check_class_weights(model: nn.Module) -> None:
    """Refuse weights of the classes that are not one for each of them."""
    for name, head in model.named_modules():
        classes = getattr(head, 'num_classes', None)
        if not isinstance(classes, int):
            continue
        # mmseg's heads say how many channels they put out; those of mmdet may
        # have one more class, the background.
        channels = getattr(head, 'out_channels', classes + 1)
        for inner, loss in head.named_modules(prefix=name):
            weights = getattr(loss, 'class_weight', None)
            if not isinstance(weights, (list, tuple)):
                continue
            if len(weights) not in (classes, channels):
                raise ValueError(
                    f'{key_of(inner)}.class_weight must have a weight for '
                    f'each of {classes} classes, got {len(weights)}'
                )


def _class_count(dataset: Any) -> int:
    """Return how many classes a dataset names, or has labels of.

    mmpretrain's ImageNet always names 1000, of which a subset has fewer. What
    a panoptic dataset names is shared among several heads.
    """
    meta = getattr(dataset, 'metainfo', {})
    if 'thing_classes' in meta:
        return 0
    if not hasattr(dataset, 'get_gt_labels'):
        return len(meta.get('classes') or ())
    last = len(dataset) - 1
    some = {*range(0, last, max(1, last // MAX_LABELS)), last}
    found = [
        torch.as_tensor(dataset.get_data_info(i).get('gt_label', -1))
        for i in some
    ]
    return 1 + max((int(x.max()) for x in found if x.numel()), default=-1)


def _check_labels(sample: dict[str, Any], model: nn.Module) -> None:
    labels = _labels(sample.get('data_samples'))
    for key, head in _heads(model):
        ignored = getattr(head, 'ignore_index', None)
        largest = max((x for x in labels if x != ignored), default=0)
        if largest >= head.num_classes:
            raise ValueError(
                f'{key}.num_classes is {head.num_classes}, but a sample of '
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


def _heads(model: nn.Module) -> Iterator[tuple[str, Any]]:
    """Yield every head with a number of classes, and its config key."""
    for name, module in model.named_modules():
        key = key_of(name)
        kind = f'{key} {type(module).__name__}'
        if (
            isinstance(getattr(module, 'num_classes', None), int)
            and re.search(r'head(\[\d+\])*$', key)
            and not OTHER_CLASSES.search(kind)
        ):
            yield key, module


def key_of(name: str) -> str:
    """Return the config key of a module of the model, by its name."""
    return 'model.' + re.sub(r'\.(\d+)(?=\.|$)', r'[\1]', name)
