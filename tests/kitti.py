"""Make annotations, data and metric of KITTI once for several tests."""

import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from command_line import checked

from hrnas_mm.compat_mmdet3d import mend_mmdet3d_

CLASSES = ['Pedestrian', 'Cyclist', 'Car']


@cache
def _data() -> str:
    folder = tempfile.mkdtemp()
    counts = ('--train', 3, '--val', 1)
    checked('tools/make_demo_data.py', 'kitti', folder, *counts)
    return folder


def copy_data(folder: Path) -> None:
    """Write three generated frames to train on, and one to evaluate on."""
    shutil.copytree(_data(), folder, dirs_exist_ok=True)


@cache
def compile_metric() -> None:
    """Compile the AP in this process, for all that are forked from it."""
    mend_mmdet3d_()
    from mmdet3d.evaluation.functional.kitti_utils.eval import kitti_eval

    kitti_eval(*frames(np.random.default_rng(0)), CLASSES)


def frame(rng: np.random.Generator, scores: bool) -> dict[str, Any]:
    """One frame of KITTI's annotations: cars, a pedestrian, a cyclist."""
    names = np.array(['Car', 'Car', 'Pedestrian', 'Cyclist', 'Car'])
    count = len(names)
    left = rng.uniform(0, 900, (count, 2)) * [1, 0.2]
    where = rng.uniform([-10, 1, 8], [10, 2, 40], (count, 3))
    sizes = np.array([[3.9, 1.5, 1.6]] * 2 + [[0.8, 1.7, 0.6]])
    sizes = np.concatenate([sizes, [[1.8, 1.7, 0.6]], [[3.9, 1.5, 1.6]]])
    annotation = dict(
        name=names,
        truncated=np.zeros(count),
        occluded=np.zeros(count, int),
        alpha=rng.uniform(-3, 3, count),
        bbox=np.concatenate([left, left + rng.uniform(45, 90, (count, 2))], 1),
        dimensions=sizes,
        location=where,
        rotation_y=rng.uniform(-3, 3, count),
        difficulty=np.zeros(count, int),
    )
    return annotation | (
        dict(score=rng.uniform(0, 1, count)) if scores else {}
    )


def frames(
    rng: np.random.Generator,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    truth = [frame(rng, scores=False) for _ in range(4)]
    found = []
    for annotation in truth:
        guess = {k: np.copy(v) for k, v in annotation.items()}
        for key, spread in (('location', 0.1), ('rotation_y', 0.1)):
            guess[key] += rng.normal(0, spread, guess[key].shape)
        guess['bbox'] += rng.normal(0, 2, guess['bbox'].shape)
        wrong = frame(rng, scores=True)
        guess['score'] = rng.uniform(0, 1, len(guess['name']))
        found.append({k: np.concatenate([guess[k], wrong[k]]) for k in guess})
    return truth, found
