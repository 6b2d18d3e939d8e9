"""Check that images and labels fit, as the pipeline of a config loads them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import mmcv
import numpy as np
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope
from torch.utils.data import Dataset

from .files import read_json
from .image_headers import Header, header_of, turned, turns
from .nested import named_dicts
from .resume.rng import forked_rng
from .spelling import like

SAMPLES = 4  # that are loaded, and as many photos that EXIF turns
HEADERS = 300  # that are read to find such photos
DARK = 64  # of 255; below, a picture is almost black


def check_pairs(cfg: Config, loader: str, dataset: Any = None) -> None:
    """Load a few samples, without the random part, and compare.

    The size of an image is compared with that of its label map and that of
    its entry, labels with the classes, and what was loaded with the file.
    Random generators are left as they are.

    Args:
        cfg: Config.
        loader: Name of a dataloader in the config.
        dataset: Its dataset, if it is built already.

    Raises:
        ValueError: If there are no samples, or one does not fit; names the
            config key and the file.
    """
    init_default_scope(cfg.get('default_scope') or 'mmengine')
    with forked_rng(0):
        if dataset is None:
            dataset = _build(cfg, loader)
        for key, part in _parts(dataset, f'{loader}.dataset'):
            if not len(part):
                raise ValueError(_nothing(key))
            _check_names(key, part)
            _check_categories(key, part)
            if hasattr(part, 'get_data_info'):
                _check_part(cfg, key, part)


def _build(cfg: Config, loader: str) -> Any:
    with telling_of_nothing(f'{loader}.dataset'):
        return DATASETS.build(cfg[loader].dataset)


@contextmanager
def telling_of_nothing(key: str) -> Iterator[None]:
    """Tell clearly that a dataset has no samples as it is built.

    Args:
        key: Config key of the dataset.
    """
    try:
        yield
    except ValueError as error:
        if 'need at least one array' in str(error):  # mmengine
            raise ValueError(_nothing(key)) from error
        raise


def _nothing(key: str) -> str:
    return (
        f'{key} must have samples, got none: its data_prefix, suffixes or '
        'ann_file name none, or its filter leaves none'
    )


def _parts(dataset: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Yield the datasets that others repeat or join, with their keys."""
    if hasattr(dataset, 'datasets'):
        for i, part in enumerate(dataset.datasets):
            yield from _parts(part, f'{key}.datasets[{i}]')
    elif isinstance(getattr(dataset, 'dataset', None), Dataset):
        yield from _parts(dataset.dataset, f'{key}.dataset')
    else:
        yield key, dataset


def _check_names(key: str, dataset: Any) -> None:
    """Refuse a name for a tuple of names, whose letters would be counted."""
    classes = getattr(dataset, 'metainfo', {}).get('classes')
    if isinstance(classes, str):
        raise ValueError(
            f'{key}.metainfo.classes must be a tuple of names, got '
            f'{classes!r}: of one, it is ({classes!r},) with a comma'
        )


def _check_categories(key: str, dataset: Any) -> None:
    """Refuse classes that an annotation file of COCO's format lacks.

    mmdet drops them without a word.
    """
    classes = getattr(dataset, 'metainfo', {}).get('classes') or ()
    ids = getattr(dataset, 'cat_ids', None)
    if not isinstance(ids, list) or len(ids) >= len(classes):
        return
    content = read_json(dataset.ann_file)
    there = [category['name'] for category in content['categories']]
    absent = next(name for name in classes if name not in there)
    raise ValueError(
        f'{key}.metainfo.classes must be categories of {dataset.ann_file}, '
        f'{", ".join(there[:20])}, got {absent!r}{like(absent, there)}'
    )


def _check_part(cfg: Config, key: str, dataset: Any) -> None:
    pipeline = getattr(dataset, 'pipeline', None)
    loading = [
        transform
        for transform in getattr(pipeline, 'transforms', ())
        if type(transform).__name__.startswith('Load')
    ]
    classes = len(getattr(dataset, 'metainfo', {}).get('classes') or ())
    ignored = {255, getattr(dataset, 'ignore_index', None)} | {
        node.get('ignore_index')
        for _, node in named_dicts(cfg.get('model'), 'model')
    }
    dark = []
    for info, header in _samples(dataset):
        path = info.get('img_path')
        try:
            for transform in loading:
                info = transform(info) or {}
        except (OSError, AssertionError, SyntaxError) as error:  # of readers
            raise ValueError(
                f'{key} must have samples that can be loaded, but {path} '
                f'gives {type(error).__name__}: {error}'
            ) from error
        except Exception:  # it needs what a transform before it makes
            return
        image, labels = info.get('img'), info.get('gt_seg_map')
        if not isinstance(image, np.ndarray) or not isinstance(path, str):
            return  # points, say
        dark.append(_is_darkened(path, image))
        if header is None:  # some data sets have a few that EXIF turns
            _check_size(key, info, image)
        if isinstance(labels, np.ndarray):
            if header is not None and _is_turned(header, image, labels):
                raise ValueError(turned(header))
            _check_labels(key, info, image, labels, classes, ignored)
    if dark and all(dark):
        raise ValueError(
            f'{key} has {path}, which has more than 8 bits per value, and is '
            f'almost black as it is loaded, below {DARK} of 255: '
            'stretch the values of all images alike to 0 to 255, and write '
            'them in 8 bits'
        )


def _samples(dataset: Any) -> Iterator[tuple[dict[str, Any], Header | None]]:
    """Yield samples from all over a dataset, and some that EXIF turns."""
    some = dict.fromkeys(np.linspace(0, len(dataset) - 1, HEADERS, dtype=int))
    odd: dict[int, Header] = {}
    for i in map(int, some):
        try:
            header = header_of(dataset.get_data_info(i)['img_path'])
        except (KeyError, TypeError, ValueError):
            continue  # not an image; loading tells
        if header.orientation != 1:
            odd[i] = header
    plain = np.linspace(0, len(dataset) - 1, SAMPLES, dtype=int)
    for i in dict.fromkeys([*map(int, plain), *[*odd][:SAMPLES]]):
        yield dataset.get_data_info(i), odd.get(i)


def _is_darkened(path: str, image: np.ndarray) -> bool:
    """Return whether 8 bits leave little of an image of more."""
    if image.max() >= DARK or (image % 1).any():  # or scaled, to 1 say
        return False
    try:
        stored = mmcv.imread(path, 'unchanged', backend='cv2')
    except OSError:  # of a file that is somewhere else
        return False
    return (
        stored is not None
        and stored.dtype.itemsize > 1
        and stored.max() > image.max()
    )


def _check_size(key: str, info: dict[str, Any], image: np.ndarray) -> None:
    """Refuse an entry that is of another size than its image."""
    size = info.get('height'), info.get('width')
    if None not in size and size != image.shape[:2]:
        raise ValueError(
            f'{key} has {info["img_path"]}, whose entry must have its height '
            f'and width, {image.shape[:2]}, got {size}: annotations have to '
            'be of the image as it is'
        )


def _is_turned(header: Header, image: np.ndarray, labels: np.ndarray) -> bool:
    """Return whether a photo was turned as it was loaded, its labels not.

    Where the turn leaves the size as it is, that cannot be seen, and they
    are not: no reader of label maps turns them.
    """
    if not turns(header):
        return False
    if header.size != header.stored:
        return image.shape[:2] == header.size and (
            labels.shape[:2] == header.stored
        )
    upright, stored = (
        mmcv.imread(header.path, flag, backend='cv2')
        for flag in ('color', 'color_ignore_orientation')
    )
    return _distance(image, upright) < _distance(image, stored)


def _distance(image: np.ndarray, other: np.ndarray) -> float:
    if image.shape != other.shape:
        return float('inf')
    return float(np.abs(image.astype(float) - other).mean())


def _check_labels(
    key: str,
    info: dict[str, Any],
    image: np.ndarray,
    labels: np.ndarray,
    classes: int,
    ignored: set[Any],
) -> None:
    """Refuse a label map of another size, or of labels without a class."""
    path = info.get('seg_map_path')
    if labels.shape[:2] != image.shape[:2]:
        raise ValueError(
            f'{key} has {path}, which must have the size of its image, '
            f'{image.shape[:2]}, got {labels.shape[:2]}'
        )
    highest = max(
        (v for v in np.unique(labels) if v not in ignored), default=0
    )
    if classes and highest >= classes:
        raise ValueError(
            f'{key} has {path}, whose labels must be below the {classes} '
            f'classes of its metainfo, got {highest}'
        )
