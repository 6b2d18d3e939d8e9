"""Ten classes of shapes, in ImageNet's layout with annotation files."""

import os
import os.path as osp
from collections.abc import Mapping

import cv2
import numpy as np

from .canvas import Canvas

# ImageNet names its folders by WordNet ids; these are its first ten classes.
CLASSES = (
    'n01440764',
    'n01443537',
    'n01484850',
    'n01491361',
    'n01494475',
    'n01496331',
    'n01498041',
    'n01514668',
    'n01514859',
    'n01518878',
)
SHAPES = ('triangle', 'square', 'star', 'bar', 'disc')


def make_imagenet(
    out: str, counts: Mapping[str, int], size: tuple[int, int], seed: int
) -> None:
    """Write {train,val}/<class>/*.JPEG and meta/{train,val}.txt.

    mmpretrain's ImageNet needs the files in meta if there are fewer than its
    1000 folders.
    """
    rng = np.random.default_rng(seed)
    os.makedirs(osp.join(out, 'meta'), exist_ok=True)
    for split, count in counts.items():
        lines = []
        for i in range(count):
            label = i % len(CLASSES)
            name = CLASSES[label]
            path = osp.join(name, f'{name}_{i}.JPEG')
            os.makedirs(osp.join(out, split, name), exist_ok=True)
            image = shape_scene(label, *size, rng)
            cv2.imwrite(osp.join(out, split, path), image)
            lines.append(f'{path} {label}\n')
        with open(osp.join(out, 'meta', f'{split}.txt'), 'w') as file:
            file.writelines(lines)


def shape_scene(
    label: int, width: int, height: int, rng: np.random.Generator
) -> np.ndarray:
    """Return a BGR image of one shape on clutter.

    A class is one of five shapes, filled or as an outline; colour, size,
    place and tilt do not depend on it.
    """
    canvas = Canvas(height, width, rng)
    canvas.image[:] = canvas.colour((128, 128, 128), 60)
    for _ in range(6):
        ends = rng.uniform(0, 1, (2, 2)) * (width, height)
        start, end = ends.astype(int).tolist()
        colour = canvas.colour((128, 128, 128), 60)
        cv2.line(canvas.image, start, end, colour, 1)
    radius = min(width, height) * rng.uniform(0.25, 0.4)
    centre = np.array((width, height)) * rng.uniform(0.4, 0.6, 2)
    points = outline(SHAPES[label % len(SHAPES)], rng.uniform(-0.3, 0.3))
    points = centre + radius * points
    colour = canvas.colour((128, 128, 128), 127)
    if label < len(SHAPES):
        canvas.polygon(points, colour, 0)
    else:
        thick = max(2, int(radius * 0.2))
        points = points.astype(np.int32)
        cv2.polylines(canvas.image, [points], True, colour, thick)
    return canvas.photograph()


def outline(shape: str, tilt: float) -> np.ndarray:
    """Return the corners (x, y) of a shape inside the unit circle."""
    corners = dict(triangle=3, square=4, star=10, bar=4, disc=40)[shape]
    turns = np.arange(corners) * 2 * np.pi / corners
    if shape == 'bar':
        turns = np.array([-0.25, 0.25, np.pi - 0.25, np.pi + 0.25])
    radii = np.ones(corners)
    if shape == 'star':
        radii[1::2] = 0.4
    turns = turns + tilt
    return radii[:, None] * np.stack([np.cos(turns), np.sin(turns)], 1)
