"""The script that export_onnx prints, run without torch and hrnas_mm."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exporting.plain import plain_script
from PIL import Image
from test_onnx import searched
from torch import nn

from hrnas_mm.deploy import Ends, ends_of, export_onnx

pytest.importorskip('onnxruntime')
WITHOUT = ('cv2', 'hrnas_mm', 'mmcv', 'mmengine', 'onnx', 'torch')
SHAPE = (3, 64, 96)
CLASSES = dict(classes=[f'class {i}' for i in range(10)])


def printed(
    model: Any, ends: Ends, folder: Path, width: int, height: int
) -> str:
    """What the script prints for an image, which EXIF turns by 90 degrees."""
    path = str(folder / 'model.onnx')
    export_onnx(model, SHAPE, path, dataset_meta=CLASSES, ends=ends)
    script = plain_script(path, model, ends)
    assert script is not None and script.count('\n') <= 20
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (width, height, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(folder / 'straße.png', exif=exif)
    hidden = f'import sys; sys.modules |= dict.fromkeys({WITHOUT})\n'
    return subprocess.run(
        [sys.executable, '-c', hidden + script, 'straße.png'],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def test_label_map_of_an_image(tmp_path: Path) -> None:
    model = searched('segmentation').eval()
    assert printed(model, Ends(), tmp_path, 90, 60) == ''
    labels = Image.open(tmp_path / 'labels.png')
    assert labels.size == (90, 60) and len(set(labels.tobytes())) > 1


def test_class_of_an_image(tmp_path: Path) -> None:
    model = searched('classification').eval()
    ends = ends_of(model, SHAPE, True, True)
    assert printed(model, ends, tmp_path, 60, 60).strip() in CLASSES['classes']


def test_other_inputs_than_images_have_no_script(tmp_path: Path) -> None:
    model, path = nn.Conv2d(4, 1, 1), str(tmp_path / 'model.onnx')
    export_onnx(model, (4, 8, 8), path)
    assert plain_script(path, model, Ends()) is None
