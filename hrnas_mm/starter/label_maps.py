"""Semantic segmentation: images, and maps of class numbers beside them."""

import os.path as osp
from typing import Any

import numpy as np
from PIL import Image

from .images import SPLITS, image_files, image_folders, sample, sizes_of

IGNORED = 255
LABEL_WORDS = ('ann', 'label', 'mask', 'gt', 'seg')


def look(root: str) -> tuple[dict[str, Any], list[str], int, Any] | None:
    """Find label maps: img_dir/{train,val} and ann_dir/{train,val}.

    Any names will do, if images and labels have a folder per split each.

    Args:
        root: The folder.

    Raises:
        ValueError: If labels are missing or out of range; names the file.
    """
    folders = image_folders(root)
    pairs = {
        split: _pair(root, found)
        for split, found in folders.items()
        if len(found) >= 2
    }
    if 'train' not in pairs:
        return None
    if 'val' not in pairs:
        raise ValueError(
            f'{root} has images and labels to train on, but none to evaluate '
            f'on: a folder of each named {" or ".join(SPLITS["val"])} is '
            'expected'
        )
    facts: dict[str, Any] = dict(folders=pairs)
    names = {s: image_files(osp.join(root, i)) for s, (i, _) in pairs.items()}
    facts['img_suffix'], facts['seg_map_suffix'] = _suffixes(
        root, pairs, names
    )
    values = {
        split: _values(root, pairs[split][1], names[split], facts)
        for split in pairs
    }
    facts['classes'], notes = _classes(root, values)
    sizes = sizes_of(
        osp.join(root, pairs['train'][0], name)
        for name in sample(names['train'])
    )
    notes = [
        f'Semantic segmentation: {len(names["train"])} images to train on '
        f'({pairs["train"][0]}) and {len(names["val"])} to evaluate on '
        f'({pairs["val"][0]}), {sizes}; labels in {pairs["train"][1]}.',
        *notes,
    ]
    return facts, notes, len(names['train']), sizes


def _pair(root: str, folders: list[str]) -> tuple[str, str]:
    """Which of two folders has the images, which the labels."""

    def is_labels(folder: str) -> bool:
        words = [word in folder.lower() for word in LABEL_WORDS]
        first = osp.join(root, folder, image_files(osp.join(root, folder))[0])
        with Image.open(first) as image:
            return any(words) or image.mode in ('P', 'L', 'I', 'I;16', '1')

    labels = [folder for folder in folders if is_labels(folder)]
    images = [folder for folder in folders if folder not in labels]
    if len(images) != 1 or len(labels) != 1:
        raise ValueError(
            f'{root} must have one folder of images and one of label maps per '
            f'split, got {", ".join(folders)}'
        )
    return images[0], labels[0]


def _suffixes(
    root: str,
    pairs: dict[str, tuple[str, str]],
    names: dict[str, list[str]],
) -> tuple[str, str]:
    """What image names end in, and what the labels' end in instead."""
    images, labels = pairs['train']
    first = names['train'][0]
    stem = osp.splitext(first)[0]
    there = set(image_files(osp.join(root, labels)))
    near = sorted(there, key=lambda n: (-len(osp.commonprefix([stem, n])), n))
    candidates = []
    for name in near[:20]:
        shared = len(osp.commonprefix([stem, name]))
        suffixes = first[shared:], name[shared:]
        missing = _missing(there, names['train'], suffixes)
        candidates.append((len(missing), missing, suffixes))
    _, missing, suffixes = min(candidates)
    if missing:
        raise ValueError(
            f'{osp.join(root, images, missing[0])} has no label map of its '
            f'name in {osp.join(root, labels)}'
        )
    return suffixes


def _missing(
    there: set[str], names: list[str], suffixes: tuple[str, str]
) -> list[str]:
    """The images that have no label map by these suffixes."""
    image, label = suffixes
    return [
        name
        for name in names
        if not name.endswith(image)
        or name[: len(name) - len(image)] + label not in there
    ]


def _values(
    root: str, folder: str, names: list[str], facts: dict[str, Any]
) -> dict[int, str]:
    """The labels that occur, each with a file that has it."""
    found: dict[int, str] = {}
    image, label = facts['img_suffix'], facts['seg_map_suffix']
    for name in sample(names):
        path = osp.join(root, folder, name[: len(name) - len(image)] + label)
        with Image.open(path) as opened:
            array = np.asarray(opened)
        if array.ndim != 2:
            raise ValueError(
                f'{path} must have one channel, the number of the class of '
                f'each pixel, got {array.shape[-1]} channels: colours have to '
                'be turned into numbers first'
            )
        for value in np.unique(array):
            found.setdefault(int(value), path)
    return found


def _classes(
    root: str, values: dict[str, dict[int, str]]
) -> tuple[list[str], list[str]]:
    """The names of the classes, and what was assumed."""
    found = {v: path for each in values.values() for v, path in each.items()}
    labels = sorted(value for value in found if value != IGNORED)
    if labels == [0] and IGNORED in found:
        raise ValueError(
            f'{found[IGNORED]} has the labels 0 and {IGNORED} only, and '
            f'{IGNORED} means a pixel that is ignored: write 1 for the '
            'foreground'
        )
    notes = []
    if IGNORED in found:
        notes.append(f'Pixels of label {IGNORED} are ignored.')
    path = osp.join(root, 'classes.txt')
    if osp.isfile(path):
        with open(path) as file:
            names = [line.strip() for line in file if line.strip()]
        for label in labels:
            if label >= len(names):
                raise ValueError(
                    f'{found[label]} has the label {label}, but {path} has '
                    f'{len(names)} names, for 0 to {len(names) - 1}'
                )
        return names, [*notes, f'{len(names)} classes, named in {path}.']
    count = labels[-1] + 1
    gaps = [label for label in range(count) if label not in found]
    notes.append(
        f'{count} classes, as labels go from {labels[0]} to {labels[-1]} in '
        f'the files looked at; a classes.txt with a name per line would name '
        'them.'
    )
    if gaps:
        notes.append(f'No pixel has the label {", ".join(map(str, gaps))}.')
    return [f'class {label}' for label in range(count)], notes
