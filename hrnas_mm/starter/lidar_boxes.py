"""Boxes in lidar frames: KITTI's layout, with the files of mmdet3d."""

import math
import os
import os.path as osp
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from mmengine.fileio import load

from .found import Found
from .images import SPLITS, Sizes

# What KITTI's evaluation knows.
CLASSES = ('Pedestrian', 'Cyclist', 'Car', 'Van', 'Person_sitting')
POINTS = 'training/velodyne'
PILLAR = 0.16  # metres, of PointPillars on KITTI
BLOCK = 32 * PILLAR  # of what the lowest branch sees as one
VEHICLE = 3.0  # square metres; such boxes have to overlap more


class Boxes(NamedTuple):
    """Boxes of one class: bottom centres and sizes, both (N, 3), in metres."""

    centres: np.ndarray
    sizes: np.ndarray


def look(root: str) -> Found | None:
    """Find lidar frames as KITTI's: *_infos_train.pkl, *_infos_val.pkl.

    Args:
        root: The folder.

    Raises:
        ValueError: If mmdet3d has not been here, or a split, the points or
            the classes that KITTI's evaluation knows are missing.
    """
    files = _info_files(root)
    if not files:
        if osp.isdir(osp.join(root, POINTS)):
            raise ValueError(
                f'{root} has lidar frames in {POINTS}, but no '
                '*_infos_train.pkl and *_infos_val.pkl: run '
                "mmdet3d's tools/create_data.py kitti on it first"
            )
        return None
    for split in SPLITS:
        if split not in files:
            raise ValueError(f'{root} must have a file *_infos_{split}.pkl')
    infos = {split: load(osp.join(root, files[split])) for split in files}
    boxes = _boxes_of(infos['train'])
    if not boxes:
        raise ValueError(
            f'{files["train"]} must have boxes of the classes that '
            f"KITTI's evaluation knows, {CLASSES}"
        )
    reduced = f'{POINTS}_reduced'
    points = reduced if osp.isdir(osp.join(root, reduced)) else POINTS
    area = _area(boxes.values())
    rows, columns = (
        round((high - low) / PILLAR)
        for low, high in ((area[1], area[4]), (area[0], area[3]))
    )
    frames = {split: len(info['data_list']) for split, info in infos.items()}
    used = sum(_has_any(frame, infos['train']) for frame in _frames(infos))
    counts = ', '.join(f'{len(b.sizes)} {n}' for n, b in boxes.items())
    notes = [
        f'Lidar frames: {frames["train"]} to train on ({files["train"]}), '
        f'{used} of them with boxes, and {frames["val"]} to evaluate on '
        f'({files["val"]}), points of {points}.',
        f'Boxes: {counts}. Their mean sizes and heights are the anchors.',
        f'What is seen: x from {area[0]} to {area[3]} m, y from {area[1]} to '
        f'{area[4]} m, z from {area[2]} to {area[5]} m, around 99 % of the '
        f'boxes; {rows}x{columns} pillars of {PILLAR} m, if that is not too '
        'many.',
    ]
    facts = dict(
        files=files,
        points=points,
        area=area,
        classes=list(boxes),
        anchors=[_mean(b.sizes) for b in boxes.values()],
        bottoms=[_mean(b.centres)[2] for b in boxes.values()],
        overlaps=[_overlaps(b) for b in boxes.values()],
    )
    sizes = Sizes.over([(rows, columns)])
    return Found('lidar_boxes', facts, notes, used, sizes)


def _info_files(root: str) -> dict[str, str]:
    return {
        split: name
        for name in sorted(os.listdir(root))
        for split in SPLITS
        if name.endswith(f'_infos_{split}.pkl')
    }


def _frames(infos: dict[str, Any]) -> list[dict[str, Any]]:
    return infos['train']['data_list']


def _names(info: dict[str, Any]) -> dict[int, str]:
    categories = info['metainfo']['categories']
    return {number: name for name, number in categories.items()}


def _has_any(frame: dict[str, Any], info: dict[str, Any]) -> bool:
    names = _names(info)
    return any(
        names.get(instance['bbox_label_3d']) in CLASSES
        for instance in frame['instances']
    )


def _boxes_of(info: dict[str, Any]) -> dict[str, Boxes]:
    """Return all boxes of the known classes, as the lidar sees them."""
    names = _names(info)
    found: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for frame in info['data_list']:
        to_camera = np.array(frame['images']['CAM2']['lidar2cam'])
        to_lidar = np.linalg.inv(to_camera)
        for instance in frame['instances']:
            name = names.get(instance['bbox_label_3d'])
            if name in CLASSES:
                x, y, z, length, height, width = instance['bbox_3d'][:6]
                centre = to_lidar @ (x, y, z, 1)
                size = np.array([length, width, height])
                found.setdefault(name, []).append((centre[:3], size))
    return {
        name: Boxes(*map(np.stack, zip(*found[name])))
        for name in CLASSES
        if name in found
    }


def _area(boxes: Iterable[Boxes]) -> list[float]:
    """Return x, y, z of the lower and of the upper corner of what is seen."""
    centres, sizes = map(np.concatenate, zip(*boxes))
    (left, right, _), (near, far, _) = (
        np.percentile(centres, share, axis=0) for share in (0.5, 99.5)
    )
    low = math.floor(min(0, left) / BLOCK), math.floor(right / BLOCK)
    high = math.ceil((near + 1) / BLOCK), math.ceil((far + 1) / BLOCK)
    corners = [round(edge * BLOCK, 2) for edge in (*low, *high)]
    bottom, top = centres[:, 2].min(), (centres + sizes)[:, 2].max()
    return [
        *corners[:2],
        float(math.floor(bottom - 0.5)),
        *corners[2:],
        float(math.ceil(top + 0.5)),
    ]


def _mean(values: np.ndarray) -> list[float]:
    return [round(float(value), 2) for value in values.mean(0)]


def _overlaps(boxes: Boxes) -> tuple[float, float]:
    """Return the overlaps with an anchor that are a hit, and none."""
    length, width, _ = boxes.sizes.mean(0)
    return (0.6, 0.45) if length * width > VEHICLE else (0.5, 0.35)
