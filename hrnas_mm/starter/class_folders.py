"""Classification: a folder of images for every class."""

import os
import os.path as osp

from .found import Found
from .images import SPLITS, image_files, sizes_of


def look(root: str) -> Found | None:
    """Find class folders: train/<class>/*.jpg and val/<class>/*.jpg.

    Args:
        root: The folder.

    Raises:
        ValueError: If the two splits have other classes.
    """
    folders = {
        split: next((n for n in names if osp.isdir(osp.join(root, n))), None)
        for split, names in SPLITS.items()
    }
    train = folders['train']
    if train is None:
        return None
    classes = _classes(osp.join(root, train))
    if len(classes) < 2:
        return None
    val = folders['val']
    if val is None:
        raise ValueError(
            f'{root} has class folders to train on, but none to evaluate on: '
            f'a folder named {" or ".join(SPLITS["val"])} is expected'
        )
    others = _classes(osp.join(root, val))
    if others != classes:
        odd = sorted(set(classes) ^ set(others))
        raise ValueError(
            f'{train} and {val} in {root} must have the same class folders, '
            f'got {odd[0]!r} in one of them only'
        )
    files = {
        split: image_files(osp.join(root, folder or ''))
        for split, folder in folders.items()
    }
    sizes = sizes_of(osp.join(root, train), files['train'])
    notes = [
        f'Classification: {len(classes)} classes, {len(files["train"])} '
        f'images to train on ({train}) and {len(files["val"])} to evaluate on '
        f'({val}), {sizes}.'
    ]
    facts = dict(folders=folders, classes=classes)
    return Found('class_folders', facts, notes, len(files['train']), sizes)


def _classes(folder: str) -> list[str]:
    """Return the folders in a folder that have images."""
    return sorted(
        entry.name
        for entry in os.scandir(folder)
        if entry.is_dir() and image_files(entry.path)
    )
