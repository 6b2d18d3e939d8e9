"""The script that export_onnx prints, run without torch and hrnas_mm."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from exporting.plain import plain_script
from PIL import Image
from test_onnx import searched
from torch import nn

from hrnas_mm.deploy import Ends, dense_part, ends_of, export_onnx
from hrnas_mm.deploy.ends import Normalise, WithEnds
from hrnas_mm.deploy.metadata import normalisation_of

pytest.importorskip('onnxruntime')
WITHOUT = ('cv2', 'hrnas_mm', 'mmcv', 'mmengine', 'onnx', 'torch')
SHAPE = (3, 64, 96)
CLASSES = dict(classes=[f'class {i}' for i in range(10)])


def printed(
    model: Any, ends: Ends, folder: Path, width: int, height: int
) -> tuple[str, np.ndarray]:
    """What the script prints for an image, which EXIF turns by 90 degrees.

    And what the model puts out for it.
    """
    path = str(folder / 'model.onnx')
    export_onnx(model, SHAPE, path, dataset_meta=CLASSES, ends=ends)
    script = plain_script(path, model, ends)
    assert script is not None and script.count('\n') <= 20
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (width, height, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(folder / 'straße.png', exif=exif)
    turned = Image.fromarray(np.rot90(pixels, -1)).resize(SHAPE[:0:-1])
    image = torch.from_numpy(np.array(turned, np.float32)[..., ::-1].copy())
    expected = WithEnds(dense_part(model), Ends(None, ends.last))
    first = Normalise(normalisation_of(model, 3), 3)
    with torch.no_grad():
        answer = expected.eval()(first(image.permute(2, 0, 1)[None]))
    hidden = f'import sys; sys.modules |= dict.fromkeys({WITHOUT})\n'
    told = subprocess.run(
        [sys.executable, '-c', hidden + script, 'straße.png'],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return told.strip(), answer[0][0].numpy()


def test_label_map_of_an_image(tmp_path: Path) -> None:
    model = searched('segmentation').eval()
    told, logits = printed(model, Ends(), tmp_path, 90, 60)
    labels = np.array(Image.open(tmp_path / 'labels.png'))
    expected = Image.fromarray(logits.argmax(0).astype(np.uint8))
    same = labels == np.array(
        expected.resize((90, 60), Image.Resampling.NEAREST)
    )
    assert not told and same.mean() > 0.99 and len(np.unique(labels)) > 1


def test_class_of_an_image(tmp_path: Path) -> None:
    model = searched('classification').eval()
    ends = ends_of(model, SHAPE, True, True)
    told, label = printed(model, ends, tmp_path, 60, 60)
    assert told == CLASSES['classes'][int(label)]


def test_other_inputs_than_images_have_no_script(tmp_path: Path) -> None:
    model, path = nn.Conv2d(4, 1, 1), str(tmp_path / 'model.onnx')
    export_onnx(model, (4, 8, 8), path)
    assert plain_script(path, model, Ends()) is None
