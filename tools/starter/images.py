"""Folders of images: their files, names and sizes."""

import os
import os.path as osp
import statistics
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from PIL import Image

SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp')
SPLITS = dict(
    train=('train', 'training', 'trainset'),
    val=('val', 'validation', 'valid', 'valset', 'test', 'testing'),
)
LOOKED_AT = 200  # images


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
    """Return the images under a folder, sorted, relative to it."""
    found = []
    for base, _, names in os.walk(folder, followlinks=True):
        inside = osp.relpath(base, folder)
        found += [
            osp.normpath(osp.join(inside, name))
            for name in names
            if name.lower().endswith(SUFFIXES)
        ]
    return sorted(found)


def sample(items: Sequence[str]) -> list[str]:
    """Return some items, from all over a sequence."""
    step = max(1, len(items) // LOOKED_AT)
    return list(items[::step])


def sizes_of(root: str, names: Sequence[str]) -> Sizes:
    """Return the sizes of some images, of which the heads alone are read."""
    found = []
    for name in sample(names):
        with Image.open(osp.join(root, name)) as image:
            found.append((image.height, image.width))
    return Sizes.over(found)


def split_of(path: str) -> str | None:
    """Return the split that a path's parts name, the last of them first."""
    for part in reversed(path.replace('\\', '/').split('/')):
        for split, names in SPLITS.items():
            if part.lower() in names:
                return split
    return None


def image_folders(root: str) -> dict[str, dict[str, list[str]]]:
    """Return folders that name a split, with their images, by split.

    Of several names of a split, as val and test, only the first in SPLITS is
    taken.
    """
    found: dict[str, dict[str, list[str]]] = {split: {} for split in SPLITS}
    for base, folders, _ in os.walk(root, followlinks=True):
        for name in sorted(folders):
            split = split_of(name)
            images = image_files(osp.join(base, name)) if split else []
            if split and images:
                found[split][osp.relpath(osp.join(base, name), root)] = images
                folders.remove(name)
    return {split: _foremost(split, each) for split, each in found.items()}


def _foremost(
    split: str, folders: dict[str, list[str]]
) -> dict[str, list[str]]:
    """Return the folders whose name comes first among those of a split."""
    ranks = {
        path: SPLITS[split].index(osp.basename(path).lower())
        for path in folders
    }
    return {
        path: images
        for path, images in folders.items()
        if ranks[path] == min(ranks.values())
    }
