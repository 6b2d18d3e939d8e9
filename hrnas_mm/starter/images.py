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


def sizes_of(paths: Iterable[str]) -> Sizes:
    """Return the sizes of images, of which the heads alone are read."""
    found = []
    for path in paths:
        with Image.open(path) as image:
            found.append((image.height, image.width))
    heights, widths = zip(*found)
    return Sizes(
        (min(heights), min(widths)),
        (
            int(statistics.median(heights)),
            int(statistics.median(widths)),
        ),
        (max(heights), max(widths)),
    )


def split_of(path: str) -> str | None:
    """Return the split that a path's parts name, the last of them first."""
    for part in reversed(path.replace('\\', '/').split('/')):
        for split, names in SPLITS.items():
            if part.lower() in names:
                return split
    return None


def image_folders(root: str) -> dict[str, list[str]]:
    """Return the folders that name a split and hold images, by split."""
    found: dict[str, list[str]] = {split: [] for split in SPLITS}
    for base, folders, _ in os.walk(root, followlinks=True):
        for name in list(folders):
            split = split_of(name)
            folder = osp.relpath(osp.join(base, name), root)
            if split and image_files(osp.join(root, folder)):
                found[split].append(folder)
                folders.remove(name)
    return {split: sorted(folders) for split, folders in found.items()}
