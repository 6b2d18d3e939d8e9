"""Boxes in lidar frames: KITTI's layout, with the files of mmdet3d."""

import os
import os.path as osp
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from mmengine.fileio import load

from .images import SPLITS, Sizes
from .summary import DataSummary

# KITTI's classes, by the numbers that mmdet3d gives them.
NUMBERED = (
    'Pedestrian', 'Cyclist', 'Car', 'Van', 'Truck', 'Person_sitting', 'Tram',
    'Misc',
)  # fmt: skip
# What KITTI's evaluation knows.
CLASSES = ('Pedestrian', 'Cyclist', 'Car', 'Van', 'Person_sitting')
POINTS = 'training/velodyne'
PILLAR = 0.16  # metres, of PointPillars on KITTI
BLOCK = 32 * PILLAR  # of what the lowest branch sees as one
MARGIN = 1.0  # metres around the boxes
VEHICLE = 3.0  # square metres; such boxes have to overlap more


class Boxes(NamedTuple):
    """Boxes of one class: bottom centres and sizes, both (N, 3), in metres."""

    centres: np.ndarray
    sizes: np.ndarray


LAYOUT = "lidar frames as KITTI's: *_infos_train.pkl, *_infos_val.pkl"


def detect(root: str) -> DataSummary | None:
    """Summarise lidar frames as KITTI's, if that is what the folder has.

    The info files are pickles, which mmdet3d reads the same way.

    Args:
        root: Folder of the data.

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
    frames = {s: _frames(osp.join(root, file)) for s, file in files.items()}
    points = _points_folder(root, frames['train'][0])
    boxes = _boxes_of(frames['train'])
    if not boxes:
        raise ValueError(
            f'{files["train"]} must have boxes of the classes that '
            f"KITTI's evaluation knows, {CLASSES}"
        )
    area = _area(boxes.values())
    rows, columns = (
        round((area[axis + 3] - area[axis]) / PILLAR) for axis in (1, 0)
    )
    counts = ', '.join(f'{len(b.sizes)} {n}' for n, b in boxes.items())
    notes = [
        f'Lidar frames: {len(frames["train"])} to train on '
        f'({files["train"]}) and {len(frames["val"])} to evaluate on '
        f'({files["val"]}), points in {points}.',
        f'Boxes: {counts}. Their mean sizes and heights are the anchors.',
        f'What is seen: x from {area[0]} to {area[3]} m, y from {area[1]} to '
        f'{area[4]} m, z from {area[2]} to {area[5]} m, which has the middle '
        f'99 % of the boxes along x and y; {rows}x{columns} pillars of '
        f'{PILLAR} m, if that is not too many.',
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
    return DataSummary(
        'lidar_boxes', facts, notes, len(frames['train']), sizes
    )


def _info_files(root: str) -> dict[str, str]:
    return {
        split: name
        for name in sorted(os.listdir(root))
        for split in SPLITS
        if name.endswith(f'_infos_{split}.pkl')
    }


def _frames(path: str) -> list[dict[str, Any]]:
    """Return the frames of an info file, which has to be KITTI's."""
    infos = load(path)
    try:
        numbers = infos['metainfo']['categories']
        frames = infos['data_list']
        for frame in frames:
            frame['lidar_points']['lidar_path']
            np.linalg.inv(frame['images']['CAM2']['lidar2cam'])
            for instance in frame['instances']:
                assert np.isfinite(instance['bbox_3d'][:6]).all()
    except (TypeError, KeyError, AssertionError) as error:
        raise ValueError(
            f'{path} must be what mmdet3d 1.1 or newer writes of KITTI, got '
            f'{type(error).__name__}: {error}: run its tools/create_data.py '
            'kitti again'
        ) from None
    for name, number in numbers.items():
        if number >= 0 and NUMBERED[number : number + 1] != (name,):
            raise ValueError(
                f'{path} must number its categories as KITTI, '
                f'{dict(zip(NUMBERED, range(len(NUMBERED))))}, got '
                f'{name!r}: {number}'
            )
    if not frames:
        raise ValueError(f'{path} must have at least one frame, got none')
    return frames


def _points_folder(root: str, frame: dict[str, Any]) -> str:
    name = frame['lidar_points']['lidar_path']
    for folder in (f'{POINTS}_reduced', POINTS):
        if osp.isfile(osp.join(root, folder, name)):
            return folder
    raise ValueError(
        f'{root} must have the points of {name!r} in {POINTS}_reduced or '
        f'{POINTS}'
    )


def _boxes_of(frames: Iterable[dict[str, Any]]) -> dict[str, Boxes]:
    """Return all boxes of the known classes, as the lidar sees them."""
    found: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for frame in frames:
        to_lidar = np.linalg.inv(frame['images']['CAM2']['lidar2cam'])
        for instance in frame['instances']:
            label = instance['bbox_label_3d']
            name = NUMBERED[label] if label >= 0 else ''
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
    """Return x, y, z of the lower and of the upper corner of what is seen.

    The lidar itself, at x = 0, is seen; x and y are whole blocks.
    """
    centres, sizes = map(np.concatenate, zip(*boxes))
    low, high = (np.percentile(centres, q, axis=0)[:2] for q in (0.5, 99.5))
    low[0] = min(MARGIN, low[0])
    lower = np.floor((low - MARGIN) / BLOCK) * BLOCK
    upper = np.ceil((high + MARGIN) / BLOCK) * BLOCK
    bottom = np.floor(centres[:, 2].min() - MARGIN / 2)
    top = np.ceil((centres + sizes)[:, 2].max() + MARGIN / 2)
    return np.round([*lower, bottom, *upper, top], 2).tolist()


def _mean(values: np.ndarray) -> list[float]:
    return [round(float(value), 2) for value in values.mean(0)]


def _overlaps(boxes: Boxes) -> tuple[float, float]:
    """Return the overlaps with an anchor that are a hit, and none."""
    length, width, _ = boxes.sizes.mean(0)
    return (0.6, 0.45) if length * width > VEHICLE else (0.5, 0.35)
