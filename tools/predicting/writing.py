"""Overlays and raw results of predictions, in files."""

import json
import os
import os.path as osp
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import cv2
import mmcv
import numpy as np
import torch
from mmengine.structures import BaseDataElement, PixelData

from hrnas_mm.files import replacing

OVERLAYS, RESULTS = 'vis', 'preds'  # folders, as mmdet's inferencer has them


def write_overlay(folder: str, name: str, image: np.ndarray) -> None:
    """Write an RGB image as ``vis/NAME.jpg``."""
    path = _path(folder, OVERLAYS, f'{name}.jpg')
    with replacing(path) as new:
        mmcv.imwrite(np.ascontiguousarray(image[..., ::-1]), new)


def write_results(
    folder: str, name: str, sample: BaseDataElement, classes: Sequence[str]
) -> None:
    """Write a prediction as ``preds/NAME.json``, a label map as a .png file.

    Args:
        folder: Folder of all results.
        name: Name of the image.
        sample: The prediction, on the CPU.
        classes: Names of the classes.
    """
    results: dict[str, Any] = {}
    for key, value in sample.items():
        if key.startswith('gt_') or key == 'seg_logits':
            continue
        if isinstance(value, PixelData):
            if key == 'pred_sem_seg':
                labels = value.data[0].numpy().astype(np.uint8)
                with replacing(_path(folder, RESULTS, f'{name}.png')) as new:
                    mmcv.imwrite(labels, new)
        elif key.startswith('pred_'):
            results[key] = _plain(value)
    instances = results.pop('pred_instances', None)
    results |= instances or {}
    labels = results.get('labels', results.get('pred_label'))
    if labels is not None and classes:
        results['classes'] = [classes[label] for label in labels]
    if results:
        path = _path(folder, RESULTS, f'{name}.json')
        with replacing(path) as new, open(new, 'w') as file:
            json.dump(results, file)


def _plain(value: Any) -> Any:
    """Return a prediction in plain types."""
    if isinstance(value, BaseDataElement):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, (torch.Tensor, np.ndarray)):
        return value.tolist()
    tensor = getattr(value, 'tensor', None)  # of boxes
    return _plain(tensor) if tensor is not None else value


@contextmanager
def writing_video(
    folder: str, name: str, fps: float
) -> Iterator[Callable[[np.ndarray], None]]:
    """Yield a function that adds an RGB image to ``vis/NAME.mp4``.

    Args:
        folder: Folder of all results.
        name: Name of the video.
        fps: Frames per second.

    Raises:
        OSError: If this OpenCV cannot write such a file, or no image came.
    """
    path = _path(folder, OVERLAYS, f'{name}.mp4')
    writers: list[Any] = []
    with replacing(path) as new:

        def add(image: np.ndarray) -> None:
            if not writers:  # the first image decides on the size of all
                code = cv2.VideoWriter.fourcc(*'mp4v')
                size = image.shape[1], image.shape[0]
                writers.append(cv2.VideoWriter(new, code, fps, size))
                if not writers[0].isOpened():
                    raise OSError(f'OpenCV cannot write {path}')
            writers[0].write(np.ascontiguousarray(image[..., ::-1]))

        yield add
        if not writers:
            raise OSError(f'no frame of {name} could be read')
        writers[0].release()


def _path(folder: str, *names: str) -> str:
    path = osp.join(folder, *names)
    os.makedirs(osp.dirname(path), exist_ok=True)
    return path
