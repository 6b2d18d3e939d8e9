"""Boxes in YOLO's text files, turned into annotations as COCO's."""

import os.path as osp
from collections.abc import Sequence
from typing import Any

import yaml

from hrnas_mm.image_headers import turns

from .class_names import names_in
from .coco import Annotated
from .image_checks import look_at
from .images import image_files, image_folders

DESCRIPTIONS = ('data.yaml', 'data.yml', 'dataset.yaml')
CLASSES = ('classes.txt', 'labels/classes.txt', 'obj.names')
SLACK = 0.01  # of an image, by which a box may lie outside of it


def yolo_in(root: str) -> dict[str, Annotated]:
    """Return YOLO's boxes by split; nothing if there are no such files.

    The labels of images/train/x.jpg are in labels/train/x.txt, those of an
    image without such a folder beside it.

    Args:
        root: Folder of the data.

    Raises:
        ValueError: If a split or the names of the classes are missing, or a
            line is no box; names the file.
    """
    folders = {
        split: [f for f, names in found.items() if _labelled(root, f, names)]
        for split, found in image_folders(root).items()
    }
    if not folders['train']:
        if _labelled(root, '', image_files(root)):
            raise ValueError(
                f"{root} has labels as YOLO's, but no split: make folders "
                'images/train, images/val, labels/train and labels/val'
            )
        return {}
    names = _names(root)
    annotated = {}
    for split, found in folders.items():
        if len(found) != 1:
            raise ValueError(
                f"{root} must have one folder of images with YOLO's labels "
                f'for {split}, got {", ".join(found) or "none"}'
            )
        annotated[split] = _annotated(root, found[0], names)
    return annotated


def _label_of(path: str) -> str:
    """Return the file with the labels of an image."""
    head, images, tail = f'/{osp.splitext(path)[0]}.txt'.rpartition('/images/')
    return (f'{head}/labels/{tail}' if images else tail).removeprefix('/')


def _labelled(root: str, folder: str, names: Sequence[str]) -> list[str]:
    """Return the images in a folder that have labels.

    A text beside an image may be its caption; then no file names classes.
    """
    described = any(
        osp.isfile(osp.join(root, name)) for name in (*DESCRIPTIONS, *CLASSES)
    )
    paths = {name: osp.normpath(osp.join(folder, name)) for name in names}
    return [
        name
        for name, path in paths.items()
        if osp.isfile(osp.join(root, _label_of(path)))
        and (described or osp.dirname(_label_of(path)) != osp.dirname(path))
    ]


def _names(root: str) -> list[str]:
    """Return the names of the classes."""
    for name in DESCRIPTIONS:
        path = osp.join(root, name)
        if osp.isfile(path):
            with open(path, encoding='utf-8-sig') as file:
                content = yaml.safe_load(file)
            if 'kpt_shape' in content:
                raise ValueError(
                    f"{path} describes keypoints, which are read from COCO's "
                    'files only: export them as COCO keypoints'
                )
            names = content.get('names')
            if isinstance(names, dict):  # by number
                names = [names[number] for number in sorted(names)]
            return [str(each) for each in names or ()]
    for name in CLASSES:
        if osp.isfile(osp.join(root, name)):
            return names_in(osp.join(root, name))
    raise ValueError(
        f"{root} has labels as YOLO's, and must have a data.yaml with names, "
        'or a classes.txt with the name of a class per line'
    )


def _annotated(root: str, folder: str, classes: list[str]) -> Annotated:
    """Return the labels of a folder of images as COCO's annotations."""
    names = image_files(osp.join(root, folder))
    headers, notes = look_at(osp.join(root, folder), names)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for name, header in zip(names, headers):
        height, width = header.size if turns(header) else header.stored
        images.append(
            dict(id=len(images), file_name=name, height=height, width=width)
        )
        for label, box in _boxes(root, osp.join(folder, name), len(classes)):
            left, top, w, h = (
                round(value * side, 2)
                for value, side in zip(box, (width, height) * 2)
            )
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=images[-1]['id'],
                    category_id=label,
                    bbox=[left, top, w, h],
                    area=w * h,
                    iscrowd=0,
                )
            )
    content = dict(
        images=images,
        annotations=annotations,
        categories=[dict(id=i, name=name) for i, name in enumerate(classes)],
    )
    labels = osp.dirname(_label_of(osp.join(folder, names[0])))
    return Annotated(labels, content, folder, ["YOLO's as COCO's"], notes)


def _boxes(
    root: str, image: str, classes: int
) -> list[tuple[int, tuple[float, ...]]]:
    """Return classes and boxes, as left, top, width and height of 1."""
    path = osp.join(root, _label_of(image))
    if not osp.isfile(path):
        return []  # an image without objects
    found = []
    for number, line in enumerate(names_in(path), 1):
        try:
            label, *values = map(float, line.split())
            box = _box(values)
            if label not in range(classes) or not _inside(box):
                raise ValueError
        except ValueError:
            raise ValueError(
                f'{path}, line {number}, must have a class below {classes}, '
                'then middle x, middle y, width and height, or the corners of '
                f'a polygon, all of 0 to 1, got {line[:60]!r}'
            ) from None
        found.append((int(label), box))
    return found


def _box(values: Sequence[float]) -> tuple[float, ...]:
    if len(values) == 4:
        x, y, width, height = values
        return x - width / 2, y - height / 2, width, height
    if len(values) < 6 or len(values) % 2:
        raise ValueError
    xs, ys = values[::2], values[1::2]
    return min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)


def _inside(box: Sequence[float]) -> bool:
    left, top, width, height = box
    return (
        min(left, top, width, height) >= -SLACK
        and max(left + width, top + height) <= 1 + SLACK
    )
