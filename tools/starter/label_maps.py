"""Semantic segmentation: images, and maps of class numbers beside them."""

import os
import os.path as osp
import re

import numpy as np
from PIL import Image

from .images import SPLITS, image_folders, sample, sizes_of
from .summary import DataSummary

IGNORED = 255
LABEL_WORDS = ('ann', 'label', 'mask', 'gt', 'seg')

LAYOUT = 'label maps: img_dir/{train,val} and ann_dir/{train,val}'


def detect(root: str) -> DataSummary | None:
    """Summarise label maps, if that is what the folder has.

    Any names will do, if images and labels have a folder per split each.

    Args:
        root: Folder of the data.

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
    names = {split: folders[split][pairs[split][0]] for split in pairs}
    suffixes = _suffixes(root, pairs['train'], folders['train'])
    values = [
        _values(osp.join(root, pairs[split][1]), names[split], suffixes)
        for split in pairs
    ]
    classes, notes = _classes(root, values)
    images, labels = pairs['train']
    sizes = sizes_of(osp.join(root, images), names['train'])
    notes = [
        f'Semantic segmentation: {len(names["train"])} images to train on '
        f'({images}) and {len(names["val"])} to evaluate on '
        f'({pairs["val"][0]}), {sizes}; labels in {labels}.',
        *notes,
    ]
    facts = dict(
        folders=pairs,
        classes=classes,
        img_suffix=suffixes[0],
        seg_map_suffix=suffixes[1],
    )
    return DataSummary('label_maps', facts, notes, len(names['train']), sizes)


def _pair(root: str, folders: dict[str, list[str]]) -> tuple[str, str]:
    """Return the folder of images and that of labels."""
    paths = {folder: folder.lower().split(os.sep) for folder in folders}
    shared = set.intersection(*map(set, paths.values()))

    def is_named_so(folder: str) -> bool:
        own = '/'.join(part for part in paths[folder] if part not in shared)
        return any(
            word.startswith(LABEL_WORDS) for word in re.split('[^a-z]+', own)
        )

    def has_one_channel(folder: str) -> bool:
        with Image.open(osp.join(root, folder, folders[folder][0])) as image:
            return image.mode in ('P', 'L', 'I', 'I;16', '1')

    labels = sorted(filter(is_named_so, folders))
    if len(labels) != 1:
        labels = sorted(filter(has_one_channel, folders))
    images = sorted(set(folders) - set(labels))
    if len(images) != 1 or len(labels) != 1:
        raise ValueError(
            f'{root} must have one folder of images and one of label maps per '
            f'split, got {", ".join(sorted(folders))}'
        )
    return images[0], labels[0]


def _suffixes(
    root: str, pair: tuple[str, str], folders: dict[str, list[str]]
) -> tuple[str, str]:
    """Return what names of images end in, and names of labels instead."""
    images, labels = pair
    names, there = folders[images], set(folders[labels])
    first = names[0]
    stem = osp.splitext(first)[0]
    near = sorted(there, key=lambda n: (-len(osp.commonprefix([stem, n])), n))
    candidates = []
    for name in near[:20]:
        shared = len(osp.commonprefix([stem, name]))
        suffixes = first[shared:], name[shared:]
        missing = _missing(there, names, suffixes)
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
    """Return the images that have no label map by these suffixes."""
    image, label = suffixes
    return [
        name
        for name in names
        if not name.endswith(image)
        or name[: len(name) - len(image)] + label not in there
    ]


def _values(
    folder: str, names: list[str], suffixes: tuple[str, str]
) -> dict[int, str]:
    """Return the labels that occur, each with a file that has it."""
    found: dict[int, str] = {}
    image, label = suffixes
    for name in sample(names):
        path = osp.join(folder, name[: len(name) - len(image)] + label)
        with Image.open(path) as opened:
            array = np.asarray(opened)
        if array.ndim != 2:
            raise ValueError(
                f'{path} must have one channel, the number of the class of '
                f'each pixel, got {array.shape[-1]} channels: colours have to '
                'be turned into numbers first'
            )
        if array.max() > IGNORED:
            raise ValueError(
                f'{path} must have labels of at most {IGNORED}, which is what '
                f'mmseg reads, got {array.max()}'
            )
        for value in np.unique(array):
            found.setdefault(int(value), path)
    return found


def _classes(
    root: str, values: list[dict[int, str]]
) -> tuple[list[str], list[str]]:
    """Return the names of the classes, and what was assumed."""
    found = {v: path for each in values for v, path in each.items()}
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
