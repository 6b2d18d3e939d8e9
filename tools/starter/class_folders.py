"""Classification: a folder of images for every class."""

import os
import os.path as osp

from hrnas_mm.spelling import counted

from .image_checks import look_at
from .images import SPLITS, SUFFIXES, Sizes, image_files, split_of
from .summary import DataSummary

LAYOUT = 'class folders: train/<class>/*.jpg and val/<class>/*.jpg'


def detect(root: str) -> DataSummary | None:
    """Summarise class folders, if that is what the folder has.

    Args:
        root: Folder of the data.

    Raises:
        ValueError: If the two splits have other classes, or one has no images.
    """
    folders = _split_folders(root)
    train, val = folders['train'], folders['val']
    classes = _classes(osp.join(root, train or ''))
    if train is None:
        if val is None and len(classes) > 1:
            raise ValueError(
                f'{root} has folders of images, {classes[0]!r} and others, '
                'but no split: if each is a class, make folders train and '
                'val, and move some images of each into train/<class> and '
                'val/<class>'
            )
        return None
    if not classes:
        return None
    if val is None:
        raise ValueError(
            f'{root} has class folders to train on, but none to evaluate on: '
            f'a folder named {" or ".join(SPLITS["val"])} is expected'
        )
    _check_classes(root, train, val)
    files = {
        split: image_files(osp.join(root, folder or ''))
        for split, folder in folders.items()
    }
    headers, odd = look_at(osp.join(root, train), files['train'])
    odd += look_at(osp.join(root, val), files['val'])[1]
    sizes = Sizes.over(header.size for header in headers)
    notes = [
        f'Classification: {counted(len(classes), "class")}, '
        f'{counted(len(files["train"]), "image")} to train on ({train}) '
        f'and {len(files["val"])} to evaluate on '
        f'({val}), {sizes}.',
        *dict.fromkeys(odd),
    ]
    facts = dict(folders=folders, classes=classes, extensions=SUFFIXES)
    return DataSummary(
        'class_folders', facts, notes, len(files['train']), sizes
    )


def _check_classes(root: str, train: str, val: str) -> None:
    """Raise ValueError if the splits do not have the same two classes."""
    classes = _classes(osp.join(root, train))
    others = _classes(osp.join(root, val))
    if len(classes) < 2:
        raise ValueError(
            f'{osp.join(root, train)} must have a folder for each of two or '
            f'more classes, got {classes[0]!r} alone'
        )
    if others != classes:
        odd = sorted(set(classes) ^ set(others))
        raise ValueError(
            f'{train} and {val} in {root} must have the same class folders, '
            f'got {odd[0]!r} in one of them only'
        )
    for split in (train, val):
        for name in sorted(_folders(osp.join(root, split)) - set(classes)):
            raise ValueError(
                f'{osp.join(root, split, name)} has no images, and must be '
                'removed: mmpretrain takes every folder for a class'
            )


def _split_folders(root: str) -> dict[str, str | None]:
    """Return the folder of each split, of several the foremost."""
    found = sorted(
        (rank, split, name)
        for name in _folders(root)
        for split, rank in [split_of(name)]
        if split
    )
    return {
        split: next((name for _, s, name in found if s == split), None)
        for split in SPLITS
    }


def _classes(folder: str) -> list[str]:
    """Return the folders in a folder that have images."""
    return sorted(
        name
        for name in _folders(folder)
        if image_files(osp.join(folder, name))
    )


def _folders(folder: str) -> set[str]:
    return {entry.name for entry in os.scandir(folder) if entry.is_dir()}
