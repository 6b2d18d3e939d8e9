"""Keypoints: annotations in the style of COCO."""

import os
import os.path as osp
from collections.abc import Mapping
from typing import Any

from ..files import read_json
from .found import Found
from .images import SPLITS, Sizes, image_files, split_of

LEFT_RIGHT = (('left', 'right'), ('l_', 'r_'), ('_l', '_r'))


def look(root: str) -> Found | None:
    """Find COCO-style keypoints: JSON of train and val, and the images.

    Args:
        root: The folder.

    Raises:
        ValueError: If a split, an image or a keypoint is missing.
    """
    annotated = annotations_in(root, 'keypoints')
    if not annotated:
        return None
    check_splits(root, annotated)
    files = {split: file for split, (file, _) in annotated.items()}
    content = {split: found for split, (_, found) in annotated.items()}
    (category, *others) = content['train']['categories']
    names = category['keypoints']
    if others:
        raise ValueError(
            f'{files["train"]} must have one category with keypoints, got '
            f'{1 + len(others)}'
        )
    for file, found in annotated.values():
        _check_counts(file, found, len(names))
    folders = {s: image_folder(root, content[s], files[s]) for s in files}
    persons = {
        split: sum(1 for a in content[split]['annotations'] if usable(a))
        for split in files
    }
    sizes = boxes_of(content['train'])
    swaps = {name: _mirrored(name, names) for name in names}
    paired = sum(name != other for name, other in swaps.items())
    notes = [
        f'Keypoints: {len(names)} per {category["name"]}, '
        f'{persons["train"]} of them to train on ({files["train"]}) and '
        f'{persons["val"]} to evaluate on ({files["val"]}), boxes of {sizes}.',
        f'{paired // 2} pairs of left and right, by the names: they change '
        'places when an image is flipped.'
        if paired
        else 'No names of left and right: nothing changes places when an '
        'image is flipped.',
        'Every keypoint gets the same tolerance in OKS, sigma 0.05, and '
        'evaluation takes the annotated boxes.',
    ]
    facts = dict(
        files=files,
        folders=folders,
        names=names,
        swaps=swaps,
        skeleton=[
            [names[a - 1], names[b - 1]]
            for a, b in category.get('skeleton', [])
        ],
    )
    return Found('keypoints', facts, notes, persons['train'], sizes)


def _check_counts(file: str, content: dict[str, Any], count: int) -> None:
    for annotation in content['annotations']:
        if len(annotation['keypoints']) != 3 * count:
            raise ValueError(
                f'{file}: annotation {annotation.get("id")} must have '
                f'{3 * count} numbers, x, y and visibility of {count} '
                f'keypoints, got {len(annotation["keypoints"])}'
            )


def annotations_in(
    root: str, key: str
) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return COCO-style annotations that have a key, and their files.

    Args:
        root: The folder.
        key: What each annotation has.

    Returns:
        By split: the file, relative to the folder, and what is in it.

    Raises:
        ValueError: If such a file is no JSON, or lacks what COCO's have.
    """
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for base, _, names in os.walk(root):
        for name in sorted(names):
            path = osp.relpath(osp.join(base, name), root)
            stem = osp.splitext(name)[0].replace('-', '_')
            split = next(
                filter(None, map(split_of, _words(stem))), split_of(path)
            )
            if not name.endswith('.json') or split is None or split in found:
                continue
            content = read_json(osp.join(root, path))
            annotations = (
                content.get('annotations')
                if isinstance(content, dict)
                else None
            )
            if annotations and key in annotations[0]:
                _check_fields(path, content)
                found[split] = path, content
    return found


def _check_fields(file: str, content: dict[str, Any]) -> None:
    for name in ('images', 'annotations', 'categories'):
        if not content.get(name):
            raise ValueError(f'{file} must have {name}, as COCO files have')


def _words(stem: str) -> list[str]:
    """Return the words of a file's name, without the year behind them."""
    return [word.rstrip('0123456789') for word in stem.split('_')]


def check_splits(root: str, annotated: Mapping[str, tuple[str, Any]]) -> None:
    """Raise ValueError unless there are annotations of every split."""
    for split in SPLITS:
        if split not in annotated:
            files = ', '.join(file for file, _ in annotated.values())
            raise ValueError(
                f'{root} has no annotations of a split named {split!r}; '
                f'found: {files}'
            )


def image_folder(root: str, content: dict[str, Any], file: str) -> str:
    """Return the folder in which all images of a file are."""
    wanted = {image['file_name'] for image in content['images']}
    first = next(iter(wanted))
    for base, _, _ in os.walk(root):
        if osp.isfile(osp.join(base, first)):
            there = set(image_files(base))
            missing = sorted(osp.normpath(name) for name in wanted)
            missing = [name for name in missing if name not in there]
            if missing:
                raise ValueError(
                    f'{file} names {missing[0]!r}, which is not in {base}'
                )
            return osp.relpath(base, root)
    raise ValueError(f'{file} names {first!r}, which is nowhere in {root}')


def usable(annotation: dict[str, Any]) -> bool:
    """Return whether something can be learned of an annotation."""
    seen = any(annotation['keypoints'][2::3])
    return seen and bool(annotation.get('bbox'))


def boxes_of(content: dict[str, Any]) -> Sizes:
    """Return the sizes of the annotated boxes."""
    boxes = (a['bbox'] for a in content['annotations'] if a.get('bbox'))
    return Sizes.over((round(h), round(w)) for _, _, w, h in boxes)


def _mirrored(name: str, names: list[str]) -> str:
    """Return the keypoint that a flip puts in this one's place."""
    for left, right in LEFT_RIGHT:
        for here, there in ((left, right), (right, left)):
            other = name.replace(here, there)
            if here in name and other in names:
                return other
    return name
