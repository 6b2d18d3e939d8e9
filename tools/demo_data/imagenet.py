"""Ten classes of shapes, in ImageNet's layout with annotation files."""

import os
import os.path as osp

import cv2
import numpy as np

from .canvas import Canvas

# ImageNet names its folders by WordNet ids; these are its first ten classes.
CLASSES = {
    'n01440764': 3,
    'n01443537': 4,
    'n01484850': 5,
    'n01491361': 6,
    'n01494475': 0,
    'n01496331': 3,
    'n01498041': 4,
    'n01514668': 5,
    'n01514859': 6,
    'n01518878': 0,
}


def make_imagenet(
    out: str, counts: dict, size: tuple[int, int], seed: int
) -> None:
    """Write {train,val}/<class>/*.JPEG and meta/{train,val}.txt.

    With fewer than its 1000 folders mmpretrain's ImageNet needs the latter.
    """
    rng = np.random.default_rng(seed)
    os.makedirs(osp.join(out, 'meta'), exist_ok=True)
    for split, count in counts.items():
        lines = []
        for i in range(count):
            label = i % len(CLASSES)
            name = list(CLASSES)[label]
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
    """A BGR image of one shape on clutter.

    A class is a number of corners (a disc has none) and whether the shape is
    filled or an outline; colour, size and place tell nothing.
    """
    canvas = Canvas(height, width, rng)
    canvas.image[:] = canvas.colour((128, 128, 128), 60)
    for _ in range(6):
        a, b = rng.uniform(0, 1, (2, 2)) * (width, height)
        ends = [tuple(int(v) for v in p) for p in (a, b)]
        cv2.line(canvas.image, *ends, canvas.colour((128,) * 3, 60), 1)
    corners = list(CLASSES.values())[label]
    radius = min(width, height) * rng.uniform(0.25, 0.4)
    turns = np.arange(corners or 40) * 2 * np.pi / (corners or 40)
    turns += rng.uniform(0, 2 * np.pi)
    centre = np.array((width, height)) * rng.uniform(0.4, 0.6, 2)
    points = centre + radius * np.stack([np.cos(turns), np.sin(turns)], 1)
    colour = canvas.colour((128, 128, 128), 127)
    if label < len(CLASSES) // 2:
        canvas.polygon(points, colour, 0)
    else:
        thick = max(2, int(radius * 0.2))
        points = points.astype(np.int32)
        cv2.polylines(canvas.image, [points], True, colour, thick)
    return canvas.photograph()
