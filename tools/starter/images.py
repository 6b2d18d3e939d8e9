"""Folders of images: their files, names and sizes."""

import os
import os.path as osp
import re
import statistics
from collections.abc import Iterable
from typing import NamedTuple

SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp')
SPLITS = dict(
    train=('train', 'training', 'trainset'),
    val=('val', 'validation', 'valid', 'valset', 'test', 'testing'),
)


class Sizes(NamedTuple):
    """Heights and widths of images, in pixels."""

    smallest: tuple[int, int]
    median: tuple[int, int]
    largest: tuple[int, int]

    @classmethod
    def over(cls, sizes: Iterable[tuple[float, float]]) -> 'Sizes':
        """Summarise heights and widths."""
        heights, widths = zip(*sizes)
        low, middle, high = (
            (int(summary(heights)), int(summary(widths)))
            for summary in (min, statistics.median, max)
        )
        return cls(low, middle, high)

    def __str__(self) -> str:
        if self.smallest == self.largest:
            return 'x'.join(map(str, self.median))
        low, middle, high = ('x'.join(map(str, size)) for size in self)
        return f'{low} to {high}, {middle} in the middle'


def image_files(folder: str) -> list[str]:
    """Return the images under a folder, sorted, relative to it.

    Hidden files are none, for the frameworks as well: macOS leaves ``._*``.
    """
    found = []
    for base, _, names in os.walk(folder, followlinks=True):
        inside = osp.relpath(base, folder)
        found += [
            osp.normpath(osp.join(inside, name))
            for name in names
            if name.lower().endswith(SUFFIXES) and not name.startswith('.')
        ]
    return sorted(found)


def split_of(name: str, fused: bool = False) -> tuple[str | None, int]:
    """Return the split that a file or folder is named after, and a rank.

    Of several names of a split, the one with the lowest rank is meant: a test
    split stands in for val only where there is no val.

    Args:
        name: Name without folders.
        fused: Whether a split's name may also begin the name, or end it as a
            word: 'trainannot', 'masks_train'.
    """
    name = name.lower()
    for split, words in SPLITS.items():
        for word in sorted(words, key=len, reverse=True):
            if (
                name == word
                or fused
                and (
                    name.startswith(word) or re.search(rf'[\W_]{word}$', name)
                )
            ):
                return split, words.index(word)
    return None, 0


def split_in(path: str) -> tuple[str | None, int]:
    """Return the split that a word of a path names, the last of them first."""
    for part in reversed(osp.splitext(path)[0].split(os.sep)):
        for word in re.split('[-_.]', part):
            split, rank = split_of(word.rstrip('0123456789'))
            if split:
                return split, rank
    return None, 0


def image_folders(
    root: str, fused: bool = False
) -> dict[str, dict[str, list[str]]]:
    """Return folders that name a split, with their images, by split.

    Of several names of a split, as val and test, only the first in SPLITS is
    taken.

    Args:
        root: Folder of the data.
        fused: See :func:`split_of`.
    """
    ranked: dict[str, dict[int, dict[str, list[str]]]]
    ranked = {split: {} for split in SPLITS}
    for base, folders, _ in os.walk(root, followlinks=True):
        for name in sorted(folders):
            split, rank = split_of(name, fused)
            images = image_files(osp.join(base, name)) if split else []
            if split and images:
                path = osp.relpath(osp.join(base, name), root)
                ranked[split].setdefault(rank, {})[path] = images
                folders.remove(name)
    return {
        split: found[min(found)] if found else {}
        for split, found in ranked.items()
    }
