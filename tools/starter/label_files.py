"""Files of label maps: the numbers of the classes that are in them."""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain
from typing import NamedTuple

import cv2
import numpy as np

from hrnas_mm.latency.on_all_cores import on_all_cores

from .headers import PILLOW_PIXELS, Image
from .progress import counted

IGNORED = 255
CHUNK = 32  # files that a process reads at a time
LOSSY = ('JPEG', 'MPO')


class Labels(NamedTuple):
    """What a label map has, or what is wrong with it.

    Attributes:
        path: File.
        size: Height and width.
        values: Numbers that occur, sorted.
        problem: Sentence without its subject, the file; '' if all is well.
    """

    path: str
    size: tuple[int, int] = (0, 0)
    values: tuple[int, ...] = ()
    problem: str = ''


def labels_in(paths: Sequence[str]) -> Iterator[Labels]:
    """Read label maps, on all cores if they are many.

    Raises:
        ValueError: If one is no map of class numbers; names it.
    """
    calls = [
        partial(_read_each, paths[first : first + CHUNK])
        for first in range(0, len(paths), CHUNK)
    ]
    results = chain.from_iterable(on_all_cores(calls))
    for labels in counted(results, paths, 'label maps'):
        if labels.problem:
            raise ValueError(f'{labels.path} {labels.problem}')
        yield labels


def _read_each(paths: Sequence[str]) -> list[Labels]:
    return list(map(_read, paths))


def _read(path: str) -> Labels:
    """Read one label map; an error of another process has no line of ours."""
    try:
        with Image.open(path) as image:
            if image.width * image.height > PILLOW_PIXELS:
                return Labels(path, problem=_too_large(*image.size))
            kind, array = image.format, np.asarray(image)
    except Exception as error:  # Pillow raises many types for damaged files
        return Labels(path, problem=f'cannot be read to its end: {error}')
    problem = _problem(kind, array)
    if problem:
        return Labels(path, problem=problem)
    # np.unique would sort all pixels.
    grey = array.astype(np.uint8, copy=False)
    values = np.flatnonzero(cv2.calcHist([grey], [0], None, [256], [0, 256]))
    height, width = array.shape
    return Labels(path, (height, width), tuple(values.tolist()))


def _too_large(width: int, height: int) -> str:
    return (
        f'must have at most {PILLOW_PIXELS} pixels, as mmseg reads it with '
        f'Pillow, got {height}x{width}: cut image and label map into tiles'
    )


def _problem(kind: str | None, array: np.ndarray) -> str:
    if array.ndim != 2:
        return (
            'must have one channel, the number of the class of each pixel, '
            f'got {array.shape[-1]} channels: colours have to be turned into '
            'numbers first'
        )
    if kind in LOSSY:
        return (
            'must not be a JPEG, which changes the numbers of classes: save '
            'label maps as PNG, from where they come from'
        )
    low, high = array.min(), array.max()
    if high > IGNORED or low < 0:
        return (
            f'must have labels of at most {IGNORED}, which is what mmseg '
            f'reads, got {high if high > IGNORED else low}'
        )
    if array.dtype.kind == 'f' and (array % 1).any():
        return 'must have whole numbers, of classes, got fractions'
    return ''
