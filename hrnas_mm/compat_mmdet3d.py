"""Workarounds for mmdet3d: it needs a GPU and does not save some state."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
import torch


def mend_mmdet3d_() -> None:
    """Make mmdet3d train on KITTI with numpy >= 1.24, and evaluate on a CPU.

    - ObjectSample uses ``np.long``, which numpy 1.24 to 1.26 do not have.
      Upstream: open-mmlab/mmdetection3d#2821.
    - The official KITTI AP computes the overlap of rotated boxes with
      numba.cuda. Upstream: open-mmlab/mmdetection3d#2817.
    - The rest of the AP runs in numba's threads. numba's OpenMP layer also
      sets the number of torch's threads, so that a run continues differently
      after an evaluation than without one. Upstream: numba's threading layers.
    - KittiMetric fails with ``KeyError: -1`` if the last frame of a dataset
      has no DontCare object but another frame has one, because create_data
      only names what is ignored in the last frame. Upstream:
      open-mmlab/mmdetection3d#2701.

    Can be removed when a release has fixed these issues.
    """
    os.environ.setdefault('NUMBA_THREADING_LAYER', 'workqueue')
    if 'long' not in vars(np):
        vars(np)['long'] = np.int_
    if not torch.cuda.is_available():
        # Importing the module compiles its kernels, which needs a GPU.
        name = 'mmdet3d.evaluation.functional.kitti_utils.rotate_iou'
        module = ModuleType(name, rotate_iou.__doc__)
        vars(module)['rotate_iou_gpu_eval'] = rotate_iou
        sys.modules[name] = module
    metric = import_module('mmdet3d.evaluation.metrics').KittiMetric
    if not hasattr(metric.convert_annos_to_kitti_annos, '__wrapped__'):
        metric.convert_annos_to_kitti_annos = _name_dont_care(
            metric.convert_annos_to_kitti_annos
        )


def _name_dont_care(convert: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(convert)
    def convert_all(self: Any, data_infos: dict[str, Any]) -> Any:
        data_infos['metainfo']['categories'].setdefault('DontCare', -1)
        return convert(self, data_infos)

    return convert_all


def rotate_iou(
    boxes: np.ndarray,
    query_boxes: np.ndarray,
    criterion: int = -1,
    device_id: int = 0,
) -> np.ndarray:
    """Compute what mmdet3d's ``rotate_iou_gpu_eval`` does, on the CPU.

    Args:
        boxes: Boxes, shape (N, 5): centre, size, clockwise angle.
        query_boxes: Query boxes in the same format, shape (K, 5).
        criterion: Divisor of the intersection: -1 for the union, 0 for the
            area of the query, 1 for that of the box, 2 for none.
        device_id: Ignored.

    Returns:
        Overlaps, shape (N, K), float32.
    """
    from mmcv.ops import box_iou_rotated  # compiled; only KITTI needs it

    tensors = [
        torch.as_tensor(b.astype(np.float32)) for b in (boxes, query_boxes)
    ]
    area, query_area = (t[:, 2] * t[:, 3] for t in tensors)
    covered = box_iou_rotated(*tensors, mode='iof', clockwise=False)
    intersection = covered * area[:, None]
    divisors = {
        -1: area[:, None] + query_area - intersection,
        0: query_area.expand_as(intersection),
        1: area[:, None].expand_as(intersection),
    }
    divisor = divisors.get(criterion, torch.ones_like(intersection))
    return (intersection / divisor).numpy()


def shuffle_samplers_(dataset: Any) -> None:
    """Restart ground-truth sampling in an order from numpy's generator.

    ObjectSample goes through its database in an order that it shuffles after
    each pass. Checkpoints do not save its position.

    Upstream: mmdet3d/datasets/transforms/dbsampler.py. Can be removed when its
    draws depend only on a random generator.
    """
    for sampler in _samplers(dataset):
        sampler._indices.sort()
        sampler._reset()


@contextmanager
def own_samplers(dataset: Any) -> Iterator[None]:
    """Restart ground-truth sampling; restore its position afterwards."""
    before = [
        (sampler, sampler._indices.copy(), sampler._idx)
        for sampler in _samplers(dataset)
    ]
    shuffle_samplers_(dataset)
    try:
        yield
    finally:
        for sampler, indices, idx in before:
            sampler._indices, sampler._idx = indices, idx


def _samplers(dataset: Any) -> Iterator[Any]:
    """Yield the BatchSamplers of a dataset and of the datasets inside it."""
    inner = [getattr(dataset, 'dataset', None)]
    inner += getattr(dataset, 'datasets', [])
    for part in inner:
        if part is not None:
            yield from _samplers(part)
    pipeline = getattr(dataset, 'pipeline', None)
    for transform in getattr(pipeline, 'transforms', []):
        db_sampler = getattr(transform, 'db_sampler', None)
        yield from getattr(db_sampler, 'sampler_dict', {}).values()
