"""Overlays and raw results of predictions, in files."""

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

from hrnas_mm.files import replacing, write_json

OVERLAYS, RESULTS = 'vis', 'preds'  # folders, as mmdet's inferencer has them
LABEL_MAP, HEAT_MAPS = 'pred_sem_seg', 'pred_fields'


def write_overlay(folder: str, name: str, image: np.ndarray) -> None:
    """Write an RGB image as ``vis/NAME.jpg``."""
    path = _path(folder, OVERLAYS, f'{name}.jpg')
    with replacing(path) as new:
        mmcv.imwrite(np.ascontiguousarray(image[..., ::-1]), new)


def write_results(
    folder: str, name: str, sample: BaseDataElement, classes: Sequence[str]
) -> None:
    """Write a prediction as ``preds/NAME.json``, a label map as a .png file.

    Label maps have 16 bits where there are more than 256 classes. Other maps
    are written as ``preds/NAME.KEY.npy``.

    Args:
        folder: Folder of all results.
        name: Name of the image.
        sample: The prediction, on the CPU.
        classes: Names of the classes.
    """
    results: dict[str, Any] = {}
    for key, value in sample.items():
        if not key.startswith('pred_') or key == HEAT_MAPS:
            continue
        if isinstance(value, PixelData):
            _write_map(folder, name, key, value.data.numpy())
        elif key == 'pred_instances':
            results |= _plain(value)
        else:
            results[key] = _plain(value)
    labels = results.get('labels', results.get('pred_label'))
    if labels and max(labels) < len(classes):
        results['classes'] = [classes[label] for label in labels]
    if results:
        write_json(_path(folder, RESULTS, f'{name}.json'), results)


def _write_map(folder: str, name: str, key: str, pixels: np.ndarray) -> None:
    if key == LABEL_MAP:
        kind = np.uint8 if pixels.max(initial=0) < 256 else np.uint16
        with replacing(_path(folder, RESULTS, f'{name}.png')) as new:
            mmcv.imwrite(pixels[0].astype(kind), new)
        return
    with replacing(_path(folder, RESULTS, f'{name}.{key}.npy')) as new:
        np.save(new, pixels)


def _plain(value: Any) -> Any:
    """Return a prediction in plain types, masks as COCO has them."""
    if isinstance(value, BaseDataElement):
        return {key: _plain(each) for key, each in value.items()}
    tensor = getattr(value, 'tensor', value)  # of boxes
    if isinstance(tensor, torch.Tensor):
        tensor = tensor.numpy()
    if isinstance(tensor, np.ndarray) and tensor.dtype == bool:
        from mmdet.structures.mask import encode_mask_results  # only there

        return [
            {**mask, 'counts': mask['counts'].decode()}
            for mask in encode_mask_results(tensor)
        ]
    return tensor.tolist() if isinstance(tensor, np.ndarray) else tensor


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
