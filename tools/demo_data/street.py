"""Street scenes, in the layouts of Cityscapes and ADE20K."""

import os
import os.path as osp
from collections.abc import Mapping

import cv2
import numpy as np

from .canvas import Canvas

ROAD, SIDEWALK, BUILDING, POLE, SIGN = 0, 1, 2, 5, 7
VEGETATION, SKY, PERSON, CAR = 8, 10, 11, 13
# The same classes in ADE20K, where 0 is none of its 150 classes.
ADE20K = {
    ROAD: 7,
    SIDEWALK: 12,
    BUILDING: 2,
    POLE: 94,
    SIGN: 44,
    VEGETATION: 5,
    SKY: 3,
    PERSON: 13,
    CAR: 21,
}


def street_scene(
    height: int, width: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return one street scene: BGR image (H, W, 3), train ids (H, W)."""
    canvas = Canvas(height, width, rng)
    canvas.label[:] = SKY
    horizon = int(height * rng.uniform(0.4, 0.55))
    vanish = width * rng.uniform(0.35, 0.65)
    _sky(canvas, horizon)
    _buildings(canvas, horizon)
    _ground(canvas, horizon, vanish)
    _trees(canvas, horizon)
    _poles(canvas, horizon)
    _people(canvas, horizon)
    _cars(canvas, horizon, vanish)
    return canvas.photograph(), canvas.label


def _sky(canvas: Canvas, horizon: int) -> None:
    top = np.array(canvas.colour((220, 180, 130)), float)
    bottom = np.array(canvas.colour((235, 220, 200)), float)
    t = np.linspace(0, 1, horizon)[:, None, None]
    canvas.image[:horizon] = (1 - t) * top + t * bottom


def _buildings(canvas: Canvas, horizon: int) -> None:
    rng, x = canvas.rng, 0
    while x < canvas.width:
        w = int(canvas.width * rng.uniform(0.08, 0.22))
        if rng.random() < 0.75:
            top = int(horizon * rng.uniform(0.1, 0.7))
            canvas.box(
                x,
                top,
                x + w,
                horizon,
                canvas.colour((110, 125, 145), 40),
                BUILDING,
            )
            _windows(canvas, x, top, w, horizon)
        x += w


def _windows(canvas: Canvas, x: int, top: int, w: int, bottom: int) -> None:
    step = max(4, canvas.width // 40)
    shade = canvas.colour((70, 60, 55), 20)
    for wx in range(x + step // 2, x + w - step // 2, step):
        for wy in range(top + step // 2, bottom - step, step):
            canvas.box(wx, wy, wx + step // 3, wy + step // 3, shade, BUILDING)


def _ground(canvas: Canvas, horizon: int, vanish: float) -> None:
    h, w = canvas.height, canvas.width
    canvas.box(0, horizon, w, h, canvas.colour((135, 140, 150)), SIDEWALK)
    reach = w * canvas.rng.uniform(0.3, 0.5)
    road = [
        (vanish - w * 0.03, horizon),
        (vanish + w * 0.03, horizon),
        (vanish + reach, h),
        (vanish - reach, h),
    ]
    canvas.polygon(road, canvas.colour((85, 82, 80), 15), ROAD)
    for t in np.arange(0.15, 1, 0.2):
        y = horizon + (h - horizon) * t**1.5
        half = max(1, w * 0.008 * t)
        canvas.box(
            vanish - half,
            y,
            vanish + half,
            y + h * 0.04 * t,
            (210, 210, 210),
            ROAD,
        )


def _trees(canvas: Canvas, horizon: int) -> None:
    rng = canvas.rng
    for _ in range(rng.integers(1, 5)):
        x = rng.uniform(0, canvas.width)
        size = canvas.height * rng.uniform(0.06, 0.16)
        for _ in range(6):
            dx, dy = rng.normal(0, size * 0.5, 2)
            canvas.disc(
                x + dx,
                horizon - size * 0.7 + dy * 0.6,
                size * 0.5,
                canvas.colour((50, 110, 60), 30),
                VEGETATION,
            )


def _poles(canvas: Canvas, horizon: int) -> None:
    rng = canvas.rng
    for _ in range(rng.integers(1, 4)):
        x = rng.uniform(0, canvas.width)
        near = rng.uniform(0.3, 1)
        half = max(1, canvas.width * 0.005 * near)
        foot = horizon + (canvas.height - horizon) * 0.5 * near
        top = horizon - canvas.height * 0.3 * near
        canvas.box(
            x - half,
            top,
            x + half,
            foot,
            canvas.colour((105, 105, 105), 20),
            POLE,
        )
        if rng.random() < 0.6:
            hues = ((30, 30, 200), (200, 90, 30), (30, 200, 220))
            canvas.disc(
                x,
                top,
                canvas.height * 0.04 * near,
                canvas.colour(hues[rng.integers(3)]),
                SIGN,
            )


def _people(canvas: Canvas, horizon: int) -> None:
    rng = canvas.rng
    for _ in range(rng.integers(1, 5)):
        near = rng.uniform(0.2, 0.8)
        side = rng.choice([rng.uniform(0, 0.25), rng.uniform(0.75, 1)])
        x, foot = (
            canvas.width * side,
            horizon + (canvas.height - horizon) * near,
        )
        tall = canvas.height * 0.3 * near
        clothes = canvas.colour((90, 60, 130), 60)
        canvas.box(
            x - tall * 0.13,
            foot - tall * 0.8,
            x + tall * 0.13,
            foot,
            clothes,
            PERSON,
        )
        canvas.disc(
            x,
            foot - tall * 0.88,
            tall * 0.12,
            canvas.colour((120, 150, 200)),
            PERSON,
        )


def _cars(canvas: Canvas, horizon: int, vanish: float) -> None:
    rng = canvas.rng
    for near in np.sort(rng.uniform(0.15, 0.9, rng.integers(1, 4))):
        foot = horizon + (canvas.height - horizon) * near
        x = vanish + canvas.width * rng.uniform(-0.3, 0.3) * near
        half, tall = canvas.width * 0.11 * near, canvas.height * 0.22 * near
        paint = canvas.colour((120, 80, 80), 80)
        canvas.box(
            x - half,
            foot - tall * 0.6,
            x + half,
            foot - tall * 0.1,
            paint,
            CAR,
        )
        canvas.box(
            x - half * 0.7,
            foot - tall,
            x + half * 0.7,
            foot - tall * 0.6,
            (60, 50, 45),
            CAR,
        )
        for wheel in (-0.6, 0.6):
            canvas.disc(
                x + half * wheel,
                foot - tall * 0.12,
                tall * 0.14,
                (25, 25, 25),
                CAR,
            )


def make_cityscapes(
    out: str, counts: Mapping[str, int], size: tuple[int, int], seed: int
) -> None:
    """Write leftImg8bit and gtFine (labelTrainIds) for each split."""
    width, height = size
    rng = np.random.default_rng(seed)
    for split, count in counts.items():
        for kind in ('leftImg8bit', 'gtFine'):
            os.makedirs(osp.join(out, kind, split, 'demo'), exist_ok=True)
        for i in range(count):
            image, label = street_scene(height, width, rng)
            name = osp.join(split, 'demo', f'demo_{i:06d}_000019_')
            cv2.imwrite(
                osp.join(out, 'leftImg8bit', name + 'leftImg8bit.png'), image
            )
            cv2.imwrite(
                osp.join(out, 'gtFine', name + 'gtFine_labelTrainIds.png'),
                label,
            )


def make_ade20k(
    out: str, counts: Mapping[str, int], size: tuple[int, int], seed: int
) -> None:
    """Write images and annotations (1 to 150) for each split."""
    width, height = size
    rng = np.random.default_rng(seed)
    ids = np.zeros(256, np.uint8)
    ids[list(ADE20K)] = list(ADE20K.values())
    names = dict(train='training', val='validation')
    for split, count in counts.items():
        images = osp.join(out, 'images', names[split])
        labels = osp.join(out, 'annotations', names[split])
        os.makedirs(images, exist_ok=True)
        os.makedirs(labels, exist_ok=True)
        for i in range(count):
            image, label = street_scene(height, width, rng)
            name = f'ADE_{split}_{i + 1:08d}'
            cv2.imwrite(osp.join(images, name + '.jpg'), image)
            cv2.imwrite(osp.join(labels, name + '.png'), ids[label])
