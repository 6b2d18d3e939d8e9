"""Stick figures of people, in the layout of COCO's keypoints."""

import json
import os
import os.path as osp
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike

from .canvas import Canvas

KEYPOINTS = (
    'nose',
    *(
        f'{side}_{part}'
        for part in (
            'eye',
            'ear',
            'shoulder',
            'elbow',
            'wrist',
            'hip',
            'knee',
            'ankle',
        )
        for side in ('left', 'right')
    ),
)
INDEX = {name: i for i, name in enumerate(KEYPOINTS)}
LIMBS = (
    ('shoulder', 'elbow'),
    ('elbow', 'wrist'),
    ('hip', 'knee'),
    ('knee', 'ankle'),
)
SIDES = dict(left=((60, 60, 220), 1), right=((210, 120, 40), -1))
SKELETON = [
    [16, 14], [14, 12], [17, 15], [15, 13], [12, 13], [6, 12], [7, 13],
    [6, 7], [6, 8], [7, 9], [8, 10], [9, 11], [2, 3], [1, 2], [1, 3],
    [2, 4], [3, 5], [4, 6], [5, 7],
]  # fmt: skip
DETECTIONS = 'COCO_val2017_detections_AP_H_56_person.json'


def make_coco(
    out: str, counts: Mapping[str, int], size: tuple[int, int], seed: int
) -> None:
    """Write images, keypoints, instances and detector boxes for val."""
    rng = np.random.default_rng(seed)
    os.makedirs(osp.join(out, 'annotations'), exist_ok=True)
    os.makedirs(osp.join(out, 'person_detection_results'), exist_ok=True)
    for split, count in counts.items():
        folder = osp.join(out, f'{split}2017')
        os.makedirs(folder, exist_ok=True)
        content = _split(folder, count, size, rng)
        for kind in ('person_keypoints', 'instances'):
            name = f'{kind}_{split}2017.json'
            _dump(osp.join(out, 'annotations', name), content)
        if split == 'val':
            _dump(
                osp.join(out, 'person_detection_results', DETECTIONS),
                _detections(content, size, rng),
            )


def _dump(path: str, content: Any) -> None:
    with open(path, 'w') as file:
        json.dump(content, file)


def _split(
    folder: str, count: int, size: tuple[int, int], rng: np.random.Generator
) -> dict[str, Any]:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id in range(1, count + 1):
        image, people = people_scene(*size, rng)
        name = f'{image_id:012d}.jpg'
        cv2.imwrite(osp.join(folder, name), image)
        images.append(
            dict(id=image_id, file_name=name, width=size[0], height=size[1])
        )
        for person in people:
            ids = dict(id=len(annotations) + 1, image_id=image_id)
            annotations.append(ids | _annotation(person, size))
    category = dict(
        id=1,
        name='person',
        supercategory='person',
        keypoints=list(KEYPOINTS),
        skeleton=SKELETON,
    )
    return dict(
        info=dict(description='generated'),
        licenses=[],
        images=images,
        annotations=annotations,
        categories=[category],
    )


def _annotation(person: np.ndarray, size: tuple[int, int]) -> dict[str, Any]:
    """Return COCO's entry of a person; joints outside are not labelled."""
    inside = (person >= 0).all(1) & (person < size).all(1)
    keypoints = np.zeros((len(person), 3))
    keypoints[inside, :2] = person[inside]
    keypoints[inside, 2] = 2
    tall = np.ptp(person[:, 1])
    low = np.maximum(person.min(0) - tall * 0.08, 0)
    high = np.minimum(person.max(0) + tall * 0.08, size)
    width, height = high - low
    return dict(
        category_id=1,
        iscrowd=0,
        keypoints=keypoints.round(2).flatten().tolist(),
        num_keypoints=int(inside.sum()),
        bbox=[round(float(v), 2) for v in (*low, width, height)],
        area=round(float(width * height * 0.6), 2),
        segmentation=[],
    )


def _detections(
    content: Mapping[str, Any],
    size: tuple[int, int],
    rng: np.random.Generator,
) -> list[dict[str, Any]]:
    """Return the boxes of a good detector.

    These are the true ones, jittered, and in each image a wrong one with a
    low score.
    """
    found = []
    for annotation in content['annotations']:
        x, y, w, h = annotation['bbox']
        jitter = rng.normal(0, 0.02, 4) * [w, h, w, h]
        box = (np.array([x, y, w, h]) + jitter).round(2).tolist()
        score = float(rng.uniform(0.8, 1))
        found.append((annotation['image_id'], box, score))
    for image in content['images']:
        corner = rng.uniform(0, 0.6, 2) * size
        box = [*corner.round(2).tolist(), size[0] * 0.2, size[1] * 0.4]
        found.append((image['id'], box, float(rng.uniform(0.01, 0.1))))
    return [
        dict(image_id=image_id, category_id=1, bbox=box, score=score)
        for image_id, box, score in found
    ]


def people_scene(
    width: int, height: int, rng: np.random.Generator
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return a BGR image and the 17 joints (x, y) of each person in it."""
    canvas = Canvas(height, width, rng)
    canvas.image[:] = canvas.colour((140, 150, 140), 60)
    for _ in range(8):
        x, y = rng.uniform(0, 1, 2) * (width, height)
        w, h = rng.uniform(0.05, 0.3, 2) * (width, height)
        canvas.box(x, y, x + w, y + h, canvas.colour((130, 130, 130), 60), 0)
    count = rng.integers(1, 3)
    people = [
        pose(width * (i + rng.uniform(0.35, 0.65)) / count, height, rng)
        for i in range(count)
    ]
    for person in people:
        _paint(canvas, person)
    return canvas.photograph(), people


def pose(x: float, height: int, rng: np.random.Generator) -> np.ndarray:
    """Return the joints (17, 2) of a person who stands around ``x``."""
    tall = height * rng.uniform(0.55, 0.95)
    top = height * rng.uniform(0.02, 0.98) - tall / 2
    top = np.clip(top, 0, height - tall * 0.9)
    joints = np.zeros((len(KEYPOINTS), 2))
    joints[INDEX['nose']] = 0, 0.1
    for side, (_, sign) in SIDES.items():

        def put(part: str, at: ArrayLike, side: str = side) -> None:
            joints[INDEX[f'{side}_{part}']] = at

        put('eye', (sign * 0.02, 0.08))
        put('ear', (sign * 0.045, 0.09))
        shoulder = np.array((sign * 0.1, 0.2))
        put('shoulder', shoulder)
        elbow = shoulder + _limb(rng.uniform(0.1, 2.6) * sign, 0.16)
        put('elbow', elbow)
        put('wrist', elbow + _limb(rng.uniform(-0.3, 2.8) * sign, 0.15))
        hip = np.array((sign * 0.07, 0.5))
        put('hip', hip)
        knee = hip + _limb(rng.uniform(-0.1, 0.6) * sign, 0.23)
        put('knee', knee)
        put('ankle', knee + _limb(rng.uniform(-0.2, 0.3) * sign, 0.23))
    return joints * tall + (x, top)


def _limb(angle: float, length: float) -> np.ndarray:
    """Return the vector from a joint to the next; angle 0 points down."""
    return length * np.array((np.sin(angle), np.cos(angle)))


def _paint(canvas: Canvas, joints: np.ndarray) -> None:
    tall = np.ptp(joints[:, 1])
    thick = max(2, int(tall * 0.045))
    torso = [
        joints[INDEX[f'{side}_{part}']]
        for side, part in (
            ('left', 'shoulder'),
            ('right', 'shoulder'),
            ('right', 'hip'),
            ('left', 'hip'),
        )
    ]
    canvas.polygon(torso, canvas.colour((90, 160, 90), 30), 0)
    for side, (hue, _) in SIDES.items():
        for i, ends in enumerate(LIMBS):
            shade = tuple(int(v * (0.6 + 0.13 * i)) for v in hue)
            start, stop = (
                joints[INDEX[f'{side}_{end}']].astype(int).tolist()
                for end in ends
            )
            cv2.line(canvas.image, start, stop, shade, thick)
    x, y = joints[INDEX['nose']]
    canvas.disc(x, y, tall * 0.06, canvas.colour((150, 180, 220), 20), 0)
    canvas.disc(x, y, tall * 0.012, (60, 60, 160), 0)
    for side, (hue, _) in SIDES.items():
        for part in ('eye', 'ear'):
            x, y = joints[INDEX[f'{side}_{part}']]
            canvas.disc(x, y, tall * 0.014, hue, 0)
