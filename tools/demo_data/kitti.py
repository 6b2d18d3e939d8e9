"""Lidar frames of cars, pedestrians and cyclists, in KITTI's layout."""

import os
import os.path as osp
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from typing import NamedTuple

import cv2
import numpy as np

# Length, width, height in metres; typical sizes, as used for anchors.
SIZES = dict(
    Car=(3.9, 1.6, 1.56),
    Pedestrian=(0.8, 0.6, 1.73),
    Cyclist=(1.76, 0.6, 1.73),
)
COLOURS = dict(
    Car=(200, 120, 60), Pedestrian=(60, 60, 220), Cyclist=(60, 200, 60)
)
GROUND = -1.73  # height relative to the lidar, in metres
IMAGE_SIZE = (1242, 375)  # width, height in pixels
CAMERA = np.array(
    [
        [721.5377, 0, 609.5593, 44.85728],
        [0, 721.5377, 172.854, 0.2163791],
        [0, 0, 1, 0.002745884],
    ]
)
TO_CAMERA = np.array(
    [[0, -1, 0, -0.004], [0, 0, -1, -0.0763], [1, 0, 0, -0.2718]]
)


class Box(NamedTuple):
    """An object on the ground, in lidar coordinates."""

    name: str
    x: float
    y: float
    size: np.ndarray
    yaw: float

    def to_world(self, points: np.ndarray) -> np.ndarray:
        """Transform points from the box's axes to those of the lidar.

        The origin of the box's axes is the centre of its bottom.
        """
        c, s = np.cos(self.yaw), np.sin(self.yaw)
        turned = points @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
        return turned + (self.x, self.y, GROUND)

    def corners(self) -> np.ndarray:
        """Return the eight corners, (8, 3)."""
        signs = np.array(np.meshgrid((-1, 1), (-1, 1), (0, 2))).reshape(3, 8)
        return self.to_world(signs.T * self.size / 2)


def make_kitti(
    out: str, counts: Mapping[str, int], size: None, seed: int
) -> None:
    """Write the raw frames, and run mmdet3d's create_data on them."""
    spec = find_spec('mmdet3d')
    if spec is None or spec.origin is None:
        sys.exit(
            "kitti needs mmdet3d: pip install 'hrnas_mm[det3d]' && "
            'pip install --no-deps mmdet3d==1.4.0'
        )
    rng = np.random.default_rng(seed)
    os.makedirs(osp.join(out, 'ImageSets'), exist_ok=True)
    splits: dict[str, list[str]] = {}
    for split, count in {**counts, 'test': 1}.items():
        start = counts['train'] if split == 'val' else 0
        splits[split] = [f'{start + i:06d}' for i in range(count)]
        folder = 'testing' if split == 'test' else 'training'
        for name in splits[split]:
            _write_frame(osp.join(out, folder), name, rng)
    splits['trainval'] = splits['train'] + splits['val']
    for split, names in splits.items():
        with open(osp.join(out, 'ImageSets', f'{split}.txt'), 'w') as file:
            file.writelines(f'{name}\n' for name in names)
    create_data(out, osp.join(osp.dirname(spec.origin), '.mim'))


def create_data(root: str, mim: str) -> None:
    """Run mmdet3d's own tools/create_data.py on KITTI's raw files.

    Args:
        root: Folder of the raw files.
        mim: Folder of the installed mmdet3d that has its tools.
    """
    # It waits four times five seconds before it overwrites its own files.
    code = (
        'import runpy, sys, time\n'
        'time.sleep = lambda seconds: None\n'
        f'sys.path.insert(0, {mim!r})\n'
        'import hrnas_mm\n'
        'from hrnas_mm.compat_mmdet3d import mend_mmdet3d_\n'
        'mend_mmdet3d_()\n'
        f"runpy.run_path({mim!r} + '/tools/create_data.py', None, '__main__')"
    )
    root = osp.abspath(root)
    command = ['kitti', '--root-path', root, '--out-dir', root]
    command += ['--extra-tag', 'kitti', '--workers', '0']
    result = subprocess.run(
        [sys.executable, '-c', code, *command],
        cwd=mim,
        capture_output=True,
        text=True,
    )
    if result.returncode:
        sys.exit(f"mmdet3d's create_data failed:\n{result.stderr[-2000:]}")


def _write_frame(folder: str, name: str, rng: np.random.Generator) -> None:
    boxes = scene(rng)
    paths = {}
    for kind, suffix in (
        ('velodyne', 'bin'),
        ('image_2', 'png'),
        ('calib', 'txt'),
        ('label_2', 'txt'),
    ):
        os.makedirs(osp.join(folder, kind), exist_ok=True)
        paths[kind] = osp.join(folder, kind, f'{name}.{suffix}')
    points(boxes, rng).astype(np.float32).tofile(paths['velodyne'])
    cv2.imwrite(paths['image_2'], _picture(boxes))
    with open(paths['calib'], 'w') as file:
        file.write(_calibration())
    if folder.endswith('testing'):
        return  # KITTI does not publish those labels
    with open(paths['label_2'], 'w') as file:
        file.writelines(map(_label, boxes))
        file.write('DontCare -1 -1 -10 0 0 20 20 -1 -1 -1 ')
        file.write('-1000 -1000 -1000 -10\n')


def scene(rng: np.random.Generator) -> list[Box]:
    """Return objects that the camera sees and that do not overlap."""
    boxes: list[Box] = []
    for name in rng.permutation(['Car'] * 4 + ['Pedestrian', 'Cyclist'] * 2):
        far = rng.uniform(6, 28)
        side = far * rng.uniform(-0.5, 0.5)
        size = np.array(SIZES[name]) * rng.uniform(0.95, 1.05, 3)
        box = Box(str(name), far, side, size, rng.uniform(-np.pi, np.pi))
        if all(np.hypot(b.x - far, b.y - side) > 5 for b in boxes):
            boxes.append(box)
    return boxes


def points(boxes: list[Box], rng: np.random.Generator) -> np.ndarray:
    """Return points (N, 4) of the ground and of sides that the lidar sees."""
    far = 6 / rng.uniform(0.1, 1, 12000)
    side = far * rng.uniform(-0.9, 0.9, len(far))
    ground = np.stack([far, side, np.full_like(far, GROUND)], 1)
    found = [np.concatenate([ground, rng.uniform(0, 0.3, (len(far), 1))], 1)]
    for box in boxes:
        ground = found[0]
        distance = np.hypot(*(ground[:, :2] - (box.x, box.y)).T)
        found[0] = ground[distance > box.size[0] / 2 + 0.1]
        found.append(_surface(box, rng))
    every = np.concatenate(found)
    every[:, :3] += rng.normal(0, 0.015, (len(every), 3))
    return every


def _surface(box: Box, rng: np.random.Generator) -> np.ndarray:
    """Return points on sides that face the lidar, fewer on distant boxes."""
    length, width, height = box.size
    found = []
    for axis, sign in ((0, 1), (0, -1), (1, 1), (1, -1)):
        normal = np.zeros(3)
        normal[axis] = sign
        outward = box.to_world(normal) - box.to_world(np.zeros(3))
        facing = -(outward @ (box.x, box.y, 0)) / np.hypot(box.x, box.y)
        if facing <= 0:
            continue
        along = width if axis == 0 else length
        area = along * height * facing
        count = int(60 * area * (20 / np.hypot(box.x, box.y)) ** 2)
        count = int(np.clip(count, 12, 600))
        local = rng.uniform(-0.5, 0.5, (count, 3)) * (length, width, 0)
        local[:, axis] = sign * box.size[axis] / 2 * 0.98
        local[:, 2] = rng.uniform(0.05, 0.98, count) * height
        found.append(box.to_world(local))
    every = np.concatenate(found)
    return np.concatenate([every, rng.uniform(0.3, 1, (len(every), 1))], 1)


def _project(box: Box) -> np.ndarray:
    """Return the box's corners in pixels of the image, (8, 2)."""
    corners = np.concatenate([box.corners(), np.ones((8, 1))], 1)
    camera = np.concatenate([corners @ TO_CAMERA.T, np.ones((8, 1))], 1)
    image = camera @ CAMERA.T
    return image[:, :2] / image[:, 2:]


def _label(box: Box) -> str:
    pixels = _project(box).clip(0, np.array(IMAGE_SIZE) - 1)
    (left, top), (right, bottom) = pixels.min(0), pixels.max(0)
    length, width, height = box.size
    x, y, z = TO_CAMERA @ (box.x, box.y, GROUND, 1)
    turn = _wrapped(-box.yaw - np.pi / 2)
    alpha = _wrapped(turn - np.arctan2(x, z))
    numbers = [alpha, left, top, right, bottom, height, width, length]
    numbers += [x, y, z, turn]
    return f'{box.name} 0.00 0 ' + ' '.join(f'{v:.2f}' for v in numbers) + '\n'


def _wrapped(angle: float) -> float:
    return (angle + np.pi) % (2 * np.pi) - np.pi


def _picture(boxes: list[Box]) -> np.ndarray:
    width, height = IMAGE_SIZE
    image = np.full((height, width, 3), 170, np.uint8)
    image[180:] = 110
    for box in sorted(boxes, key=lambda box: -box.x):
        hull = cv2.convexHull(_project(box).astype(np.int32))
        cv2.fillConvexPoly(image, hull, COLOURS[box.name])
    return image


def _calibration() -> str:
    """Return calibration for four equal cameras, without any rotations.

    All of them are KITTI's left colour camera.
    """
    rows = {f'P{i}': CAMERA for i in range(4)}
    rows['R0_rect'] = np.eye(3)
    rows['Tr_velo_to_cam'] = TO_CAMERA
    rows['Tr_imu_to_velo'] = np.eye(3, 4)
    return ''.join(
        f'{name}: ' + ' '.join(f'{v:.12e}' for v in matrix.flatten()) + '\n'
        for name, matrix in rows.items()
    )
