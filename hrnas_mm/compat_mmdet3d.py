"""Work-arounds for mmdet3d, which needs a GPU where there may be none."""

import sys
from types import ModuleType

import numpy as np
import torch
from mmcv.ops import box_iou_rotated


def mend_mmdet3d_() -> None:
    """Let mmdet3d train on KITTI with numpy 1.24 on, and evaluate on a CPU.

    - ObjectSample uses ``np.long``, which numpy 1.24 to 1.26 do not have.
      Upstream: open-mmlab/mmdetection3d#2821.
    - The official KITTI AP computes the overlap of rotated boxes in
      numba.cuda. Upstream: open-mmlab/mmdetection3d#2817.

    Can go when a release has both mended.
    """
    if 'long' not in vars(np):
        np.long = np.int_
    if not torch.cuda.is_available():
        # Its kernels are compiled when it is imported, which needs a GPU.
        name = 'mmdet3d.evaluation.functional.kitti_utils.rotate_iou'
        sys.modules[name] = ModuleType(name, rotate_iou.__doc__)
        sys.modules[name].rotate_iou_gpu_eval = rotate_iou


def rotate_iou(
    boxes: np.ndarray,
    query_boxes: np.ndarray,
    criterion: int = -1,
    device_id: int = 0,
) -> np.ndarray:
    """The numbers of mmdet3d's ``rotate_iou_gpu_eval``, on the CPU.

    Args:
        boxes: (N, 5), centre, size, clockwise angle.
        query_boxes: (K, 5).
        criterion: What the intersection is divided by: -1 the union, 0 the
            area of the query, 1 that of the box, 2 nothing.
        device_id: Does not matter.

    Returns:
        (N, K), float32.
    """
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
