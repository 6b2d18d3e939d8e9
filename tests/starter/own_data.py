"""Data sets as people have them: odd sizes, names of their own."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from kitti import copy_data

Content = dict[str, Any]
Change = Callable[[Content], object]
SPLITS = ('train', 'val')
# Options of a config that loads the data in one process.
NO_WORKERS = [
    f'{split}_dataloader.{option}'
    for split in ('train', 'val', 'test')
    for option in ('num_workers=0', 'persistent_workers=False')
]


def grouped(tasks: Iterable[str]) -> list[Any]:
    """Tasks to test, those that compile KITTI's metric in one process."""
    return [
        pytest.param(task, marks=pytest.mark.xdist_group('kitti'))
        if task == 'lidar_boxes'
        else task
        for task in tasks
    ]


def picture(
    rng: np.random.Generator, height: int, width: int
) -> tuple[np.ndarray, tuple[int, int, int]]:
    """A bright square on a dark ground, and where it is."""
    image = rng.integers(0, 60, (height, width, 3), np.uint8)
    side = min(height, width) // 2
    y, x = rng.integers(0, height - side), rng.integers(0, width - side)
    image[y : y + side, x : x + side] += 150
    return image, (int(x), int(y), int(side))


def sizes(rng: np.random.Generator, count: int) -> list[tuple[int, ...]]:
    return [tuple(rng.integers(65, 131, 2).tolist()) for _ in range(count)]


def splits(
    seed: int = 0, train: int = 18, val: int = 5
) -> Iterator[tuple[str, np.random.Generator, list[tuple[int, ...]]]]:
    rng = np.random.default_rng(seed)
    for split, count in (('train', train), ('val', val)):
        yield split, rng, sizes(rng, count)


def write(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


def label_maps(
    root: Path, images: str = 'pictures', labels: str = 'masks'
) -> None:
    """Three classes, the second in no image, 255 at the border."""
    for split, rng, shapes in splits():
        for i, (height, width) in enumerate(shapes):
            image, (x, y, side) = picture(rng, height, width)
            label = np.zeros((height, width), np.uint8)
            label[y : y + side, x : x + side] = 2
            label[:2] = 255
            write(root / images / split / f'{i}_photo.jpg', image)
            write(root / labels / split / f'{i}_ids.png', label)


IMAGE = np.full((8, 12, 3), 200, np.uint8)
LABEL = np.zeros((8, 12), np.uint8)
LABEL[:4] = 1


def pairs(
    root: Path, image: str, label: str, count: int = 4, splits: bool = True
) -> None:
    """Small label maps, by names with a place for the split and the number.

    Without splits, those of val are numbered on.
    """
    for split in ('train', 'val'):
        for i in range(count):
            number = i if splits else i + count * (split == 'val')
            write(root / image.format(split, number), IMAGE)
            write(root / label.format(split, number), LABEL)


def class_folders(root: Path) -> None:
    """Two classes: a square, or none."""
    for split, rng, shapes in splits(train=24, val=7):
        for i, (height, width) in enumerate(shapes):
            image, _ = picture(rng, height, width)
            kind = ('a square', 'empty')[i % 2]
            image = image if i % 2 == 0 else image // 4
            write(root / split / kind / f'{i}.png', image)


def coco(
    root: Path,
    folder: str,
    categories: list[dict[str, Any]],
    more: Callable[..., dict[str, Any]] = lambda *box: {},
) -> None:
    """Squares in the files of COCO, with more of each than its box.

    Annotations are numbered from 0, as some tools do, so that a repaired copy
    is what a search trains on.
    """
    for split, rng, shapes in splits(train=20, val=6):
        images, annotations = [], []
        for i, (height, width) in enumerate(shapes):
            image, (x, y, side) = picture(rng, height, width)
            write(root / folder / split / f'{i}.jpg', image)
            images.append(
                dict(id=i, file_name=f'{i}.jpg', height=height, width=width)
            )
            box: dict[str, Any] = dict(
                id=i, image_id=i, category_id=1, iscrowd=0
            )
            box |= dict(bbox=[x, y, side, side], area=side * side)
            annotations.append(box | more(x, y, side))
        content = dict(
            info={}, images=images, annotations=annotations,
            categories=categories,
        )  # fmt: skip
        (root / f'squares_{split}2020.json').write_text(json.dumps(content))


def keypoints(root: Path) -> None:
    """The corners of the square; two of them are left and right."""
    names = ['left_top', 'right_top', 'bottom']
    category = dict(
        id=1, name='square', keypoints=names, skeleton=[[1, 2], [1, 3]]
    )
    coco(
        root, 'frames', [category],
        lambda x, y, side: dict(
            keypoints=[x, y, 2, x + side, y, 2, x, y + side, 1],
            num_keypoints=3,
        ),
    )  # fmt: skip


def boxes(root: Path) -> None:
    """The square, and a class of which there is none; a test split too."""
    coco(root, 'photos', [dict(id=7, name='disc'), dict(id=1, name='square')])
    content = (root / 'squares_val2020.json').read_text()
    (root / 'squares_test2020.json').write_text(content)


def lidar_boxes(root: Path) -> None:
    """Generated frames, in files with a name of their own."""
    copy_data(root)
    for path in root.glob('kitti_infos_*.pkl'):
        path.rename(path.with_name(path.name.replace('kitti', 'yard')))


def change_all(root: Path, change: Change) -> None:
    """Change both files, after numbering annotations as COCO does."""
    for split in SPLITS:
        path = root / f'squares_{split}2020.json'
        content = json.loads(path.read_text())
        for i, annotation in enumerate(content['annotations'], 1):
            annotation['id'] = i
        change(content)
        path.write_text(json.dumps(content))


def each(kind: str, **fields: Any) -> Change:
    """Set a field of all entries, or remove it."""

    def change(content: Content) -> None:
        for entry in content[kind]:
            entry.update(fields)
            for name in [n for n, value in fields.items() if value is ...]:
                del entry[name]

    return change


def smaller(text: str) -> str:
    """Leave a block in the lowest branch of each stage, for a quick test."""
    text = re.sub(
        r'num_blocks=\((.*?),?\)',
        lambda match: f'num_blocks=({"0, " * match[1].count(",")}1,)',
        text,
    )
    return text.replace('num_tokens=16', 'num_tokens=2')
