"""Boxes: annotations in the style of COCO."""

from collections import Counter
from typing import Any

from .coco import annotations_in, check_splits, image_folder
from .found import Found
from .images import Sizes


def look(root: str) -> Found | None:
    """Find COCO-style boxes: JSON of train and val, and the images.

    Args:
        root: The folder.

    Raises:
        ValueError: If a split, an image or a class is missing.
    """
    annotated = annotations_in(root, 'bbox')
    if not annotated:
        return None
    check_splits(root, annotated)
    files = {split: file for split, (file, _) in annotated.items()}
    content = {split: found for split, (_, found) in annotated.items()}
    classes = _classes(content['train'])
    for file, found in annotated.values():
        if _classes(found) != classes:
            raise ValueError(
                f'{file} must have the categories of {files["train"]}, '
                f'{classes}, got {_classes(found)}'
            )
        _check_annotations(file, found)
    folders = {s: image_folder(root, content[s], files[s]) for s in files}
    images = {
        split: len({a['image_id'] for a in found['annotations']})
        for split, found in content.items()
    }
    sizes = Sizes.over(
        (image['height'], image['width'])
        for image in content['train']['images']
    )
    boxes = Sizes.over(
        (round(h), round(w)) for _, _, w, h in _boxes(content['train'])
    )
    notes = [
        f'Boxes of {len(classes)} classes: {images["train"]} images with '
        f'boxes to train on ({files["train"]}) and {images["val"]} to '
        f'evaluate on ({files["val"]}), {sizes}.',
        f'Height and width of the boxes, in pixels: {boxes}.',
        *_oddities(content['train'], classes),
    ]
    facts = dict(files=files, folders=folders, classes=classes)
    return Found('boxes', facts, notes, images['train'], sizes)


def _classes(content: dict[str, Any]) -> list[str]:
    """Return the names of the classes, by their numbers, as mmdet has them."""
    categories = sorted(content['categories'], key=lambda c: c['id'])
    return [category['name'] for category in categories]


def _boxes(content: dict[str, Any]) -> list[list[float]]:
    return [a['bbox'] for a in content['annotations'] if _is_box(a)]


def _is_box(annotation: dict[str, Any]) -> bool:
    """Return whether mmdet learns from a box: one of at least a pixel."""
    return min(annotation['bbox'][2:]) >= 1


def _check_annotations(file: str, content: dict[str, Any]) -> None:
    known = {category['id'] for category in content['categories']}
    for annotation in content['annotations']:
        if annotation.get('category_id') not in known:
            raise ValueError(
                f'{file}: annotation {annotation.get("id")} must have a '
                f'category_id of {sorted(known)}, got '
                f'{annotation.get("category_id")!r}'
            )
        if len(annotation.get('bbox') or ()) != 4:
            raise ValueError(
                f'{file}: annotation {annotation.get("id")} must have a bbox '
                'of 4 numbers, left, top, width and height, got '
                f'{annotation.get("bbox")!r}'
            )
    if not _boxes(content):
        raise ValueError(f'{file} must have boxes of at least one pixel')


def _oddities(content: dict[str, Any], classes: list[str]) -> list[str]:
    """Return what may surprise, in sentences."""
    number = Counter(a['category_id'] for a in content['annotations'])
    ids = sorted(category['id'] for category in content['categories'])
    unseen = [name for i, name in zip(ids, classes) if not number[i]]
    empty = sum(not _is_box(a) for a in content['annotations'])
    notes = []
    if unseen:
        notes.append(f'No box is of the class {", ".join(unseen)}.')
    if empty:
        notes.append(f'{empty} boxes below a pixel are left out, by mmdet.')
    return notes
