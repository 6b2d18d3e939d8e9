"""Where images and their label maps are, in the layouts that people use."""

import os
import os.path as osp
from collections.abc import Iterator, Mapping

from hrnas_mm.image_headers import header_of

from .images import SPLITS, SUFFIXES, image_files, image_folders, split_in
from .pairing import (
    Folders,
    Pairs,
    are_images_and_labels,
    image_and_label,
    is_named_label,
    paired,
)

PHOTOS = ('.jpg', '.jpeg')


def pairs_in(root: str) -> dict[str, Pairs]:
    """Return images and label maps by split; nothing if there are none.

    Raises:
        ValueError: If they are there, but a label map or a split is not.
    """
    found = image_folders(root)  # images/train, masks/train
    if len(found['train']) < 2:
        inside = _inside(found)  # train/images, train/masks
        fused = image_folders(root, fused=True)  # train, trainannot
        for found in (inside, fused):
            if are_images_and_labels(root, found['train']):
                break
        else:
            return _mixed_in(root) or _without_split(root)
    return _both_splits(
        root,
        {
            split: _paired(root, *image_and_label(root, folders), folders)
            for split, folders in found.items()
            if len(folders) > 1
        },
    )


def _paired(root: str, images: str, labels: str, folders: Folders) -> Pairs:
    return paired(root, images, labels, folders[images], folders[labels])


def _both_splits(root: str, pairs: dict[str, Pairs]) -> dict[str, Pairs]:
    if 'train' in pairs and 'val' not in pairs:
        raise ValueError(
            f'{root} has images and labels to train on, but none to evaluate '
            f'on: a folder of each named {" or ".join(SPLITS["val"])} is '
            'expected'
        )
    return pairs if 'train' in pairs else {}


def _inside(found: Mapping[str, Folders]) -> dict[str, dict[str, list[str]]]:
    """Return the folders inside those of the splits, with their images."""
    inside: dict[str, dict[str, list[str]]] = {}
    for split, folders in found.items():
        inside[split] = {}
        for folder, names in folders.items():
            for name in names:
                child, _, rest = name.partition(os.sep)
                if rest:
                    path = osp.join(folder, child)
                    inside[split].setdefault(path, []).append(rest)
    return inside


def _mixed_in(root: str) -> dict[str, Pairs]:
    """Return pairs in one folder per split: train/x.png, train/x_mask.png."""
    mixed = {
        split: _mixed(root, folder, names)
        for split, folders in image_folders(root).items()
        for folder, names in folders.items()
    }
    return _both_splits(root, {s: p for s, p in mixed.items() if p})


def _mixed(root: str, folder: str, names: list[str]) -> Pairs | None:
    """Pair the files of one folder, if all of them are pairs."""
    labels = [name for name in names if is_named_label(name)]
    if not labels:  # perhaps x.jpg and x.png
        labels = [n for n in names if not n.lower().endswith(PHOTOS)]
    images = sorted(set(names) - set(labels))
    if not images or len(images) > len(labels):
        return None
    if not header_of(osp.join(root, folder, labels[0])).grey:
        return None
    try:
        pairs = paired(root, folder, folder, images, labels)
    except ValueError:
        return None
    if any(name.endswith(pairs.suffixes[0]) for name in labels):
        # Without a list, mmseg would take these label maps for images.
        return pairs._replace(lines=tuple(map(pairs.stem_of, images)))
    return pairs


def _without_split(root: str) -> dict[str, Pairs]:
    """Return images and label maps that lists divide: VOC's, for example."""
    folders = _subjects(root)
    if are_images_and_labels(root, folders):
        images, labels = image_and_label(root, folders)
        names, there = folders[images], folders[labels]
    elif len(folders) == 1:
        ((images, there),) = folders.items()
        mixed = _mixed(root, images, there)
        if mixed is None:
            return {}
        labels, names = images, mixed.names
    else:
        return {}
    pairs = dict(_listed(root, images, labels, names, there))
    if len(pairs) < len(SPLITS):
        raise ValueError(
            f'{root} has images ({images}) and label maps ({labels}), but no '
            'split: make a folder train and a folder val in each, or files '
            'train.txt and val.txt with the name of an image per line'
        )
    return pairs


def _subjects(root: str) -> dict[str, list[str]]:
    """Return the folders that divide the images, and what is in each."""
    folder = root
    while True:
        names = image_files(folder)
        first = {name.partition(os.sep)[0] for name in names}
        if len(first) != 1 or names == [*first]:
            break
        folder = osp.join(folder, *first)
    base = osp.relpath(folder, root)
    found: dict[str, list[str]] = {}
    for name in names:
        child, inside, rest = name.partition(os.sep)
        path = osp.join(base, child if inside else '')
        found.setdefault(osp.normpath(path), []).append(rest or child)
    return found


def _listed(
    root: str, images: str, labels: str, names: list[str], there: list[str]
) -> Iterator[tuple[str, Pairs]]:
    """Yield split and pairs of every list that names pairs only."""
    by_stem = {osp.splitext(name)[0]: name for name in names}
    done = set()
    for split, path in _lists(root):
        with open(osp.join(root, path), encoding='utf-8-sig') as file:
            text = file.read()
        stems = [
            osp.splitext(name)[0] if name.lower().endswith(SUFFIXES) else name
            for name in map(str.strip, text.splitlines())
            if name
        ]
        if split in done or not stems or not by_stem.keys() >= set(stems):
            continue
        try:
            pairs = paired(
                root, images, labels, [by_stem[stem] for stem in stems], there
            )
        except ValueError:
            continue
        done.add(split)
        lines = tuple(map(pairs.stem_of, pairs.names))
        as_is = text.split('\n') in ([*lines], [*lines, ''])
        yield (
            split,
            pairs._replace(
                listed=path if as_is else '', lines=() if as_is else lines
            ),
        )


def _lists(root: str) -> list[tuple[str, str]]:
    """Return split and path of text files that are called after a split."""
    found = []
    for base, _, names in os.walk(root, followlinks=True):
        for name in names:
            split, rank = split_in(name)
            if split and name.endswith('.txt') and name[0] != '.':
                path = osp.relpath(osp.join(base, name), root)
                other = 'seg' not in path.lower()  # VOC's are in Segmentation
                found.append((rank, other, path, split))
    return [(split, path) for *_, path, split in sorted(found)]
