"""Keypoints: annotations in the style of COCO."""

import json
import os
import os.path as osp
from typing import Any

from .images import Sizes, image_files, split_of

LEFT_RIGHT = (('left', 'right'), ('l_', 'r_'), ('_l', '_r'))


def look(root: str) -> tuple[dict[str, Any], list[str], int, Sizes] | None:
    """Find COCO-style keypoints: JSON of train and val, and the images.

    Args:
        root: The folder.

    Raises:
        ValueError: If a split, an image or a keypoint is missing.
    """
    files = annotation_files(root, 'keypoints')
    if not files:
        return None
    check_splits(root, files)
    content = {split: read(root, file) for split, file in files.items()}
    (category, *others) = content['train']['categories']
    names = category['keypoints']
    if others:
        raise ValueError(
            f'{files["train"]} must have one category with keypoints, got '
            f'{1 + len(others)}'
        )
    for split, file in files.items():
        for annotation in content[split]['annotations']:
            if len(annotation['keypoints']) != 3 * len(names):
                raise ValueError(
                    f'{file}: annotation {annotation.get("id")} must have '
                    f'{3 * len(names)} numbers, x, y and visibility of '
                    f'{len(names)} keypoints, got '
                    f'{len(annotation["keypoints"])}'
                )
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
    return facts, notes, persons['train'], sizes


def annotation_files(root: str, key: str) -> dict[str, str]:
    """Return COCO-style files whose annotations have a key, by split."""
    found: dict[str, str] = {}
    for base, _, names in os.walk(root):
        for name in sorted(names):
            path = osp.relpath(osp.join(base, name), root)
            stem = osp.splitext(name)[0].replace('-', '_')
            split = next(
                filter(None, map(split_of, _words(stem))), split_of(path)
            )
            if not name.endswith('.json') or split is None or split in found:
                continue
            with open(osp.join(root, path)) as file:
                content = json.load(file)
            annotations = (
                content.get('annotations')
                if isinstance(content, dict)
                else None
            )
            if annotations and key in annotations[0]:
                found[split] = path
    return found


def _words(stem: str) -> list[str]:
    """The words of a file's name, without the year behind them."""
    return [word.rstrip('0123456789') for word in stem.split('_')]


def check_splits(root: str, files: dict[str, str]) -> None:
    """Raise ValueError unless there is a file per split."""
    for split in ('train', 'val'):
        if split not in files:
            raise ValueError(
                f'{root} has no annotations of a split named {split!r}; '
                f'found: {", ".join(files.values())}'
            )


def read(root: str, file: str) -> dict[str, Any]:
    """Read annotations; refuse files without what COCO's have."""
    with open(osp.join(root, file)) as opened:
        content = json.load(opened)
    for name in ('images', 'annotations', 'categories'):
        if not content.get(name):
            raise ValueError(f'{file} must have {name}, as COCO files have')
    return content


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
    boxes = [a['bbox'] for a in content['annotations'] if a.get('bbox')]
    heights = sorted(round(box[3]) for box in boxes)
    widths = sorted(round(box[2]) for box in boxes)
    middle = len(boxes) // 2
    return Sizes(
        (heights[0], widths[0]),
        (heights[middle], widths[middle]),
        (heights[-1], widths[-1]),
    )


def _mirrored(name: str, names: list[str]) -> str:
    for left, right in LEFT_RIGHT:
        for here, there in ((left, right), (right, left)):
            other = name.replace(here, there)
            if here in name and other in names:
                return other
    return name
