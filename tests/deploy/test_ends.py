"""What stands before and after the dense part in a file."""

from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.model import ImgDataPreprocessor
from test_onnx import searched
from torch import Tensor, nn

from hrnas_mm.deploy import (
    check_onnx,
    dense_part,
    ends_of,
    export_onnx,
)
from hrnas_mm.deploy.ends import MOST_CLASSES, Maxima, Normalise, Top1
from hrnas_mm.deploy.metadata import normalisation_of
from hrnas_mm.runtimes import RUNTIMES
from hrnas_mm.runtimes.exported import predict_by_file_

onnxruntime = pytest.importorskip('onnxruntime')
SHAPE = (3, 64, 48)
RUNTIME = RUNTIMES['onnxruntime']


class Conv(nn.Module):
    """A segmentor of one layer.

    Args:
        classes: Number of classes.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        head: Any = nn.Conv2d(3, classes, 1)
        head.align_corners = False
        self.decode_head = head

    def forward(self, image: Tensor) -> Tensor:
        return self.decode_head(image)


def outputs(model: nn.Module, pixels: Tensor, path: str) -> list[Tensor]:
    """What a file with both ends puts out for some pixels."""
    ends = ends_of(model, SHAPE, True, True)
    export_onnx(model, SHAPE, path, ends=ends)
    assert check_onnx(path, model, pixels, ends) < 1e-4
    with open(path, 'rb') as file:
        return RUNTIME.session(file.read())(pixels)


def maps_of(model: Any, pixels: Tensor) -> Tensor:
    """What the head makes of pixels that the framework prepares."""
    images = [pixels[0].to(torch.uint8)]
    data = model.data_preprocessor(dict(inputs=images), training=False)
    with torch.no_grad():
        return dense_part(model)(data['inputs'])


@pytest.fixture
def pixels() -> Tensor:
    return torch.randint(0, 256, (1, *SHAPE)).float()


def test_labels_are_those_of_a_segmentor(
    pixels: Tensor, tmp_path: Path
) -> None:
    path = str(tmp_path / 'model.onnx')
    model: Any = searched('segmentation').eval()
    model.data_preprocessor.size = SHAPE[1:]  # nothing is filled up
    (labels,) = outputs(model, pixels, path)
    assert labels.dtype == torch.uint8 and labels.unique().numel() > 1
    logits = F.interpolate(
        maps_of(model, pixels),
        SHAPE[1:],
        mode='bilinear',
        align_corners=model.decode_head.align_corners,
    )
    same = labels == logits.argmax(1)
    assert same.float().mean() > 0.999
    # And the framework makes the same label map of the file's.
    predict_by_file_(model, path, RUNTIME)
    sample = dict(inputs=[pixels[0].to(torch.uint8)])
    (found,) = model.test_step(sample)
    assert torch.equal(found.pred_sem_seg.data, labels.long())


def test_class_is_that_of_a_classifier(pixels: Tensor, tmp_path: Path) -> None:
    model = searched('classification').eval()
    ends = ends_of(model, SHAPE, True, True)
    path = str(tmp_path / 'model.onnx')
    export_onnx(model, SHAPE, path, ends=ends)
    with open(path, 'rb') as file:
        label, score = RUNTIME.session(file.read())(pixels)
    images = pixels.to(torch.uint8)
    data: Any = model.data_preprocessor
    inputs = data(dict(inputs=images), training=False)['inputs']
    with torch.no_grad():
        expected = model(inputs)[0].softmax(0)
    assert label.item() == expected.argmax()
    assert score.item() == pytest.approx(expected.max().item(), rel=1e-4)


def test_keypoints_are_those_of_the_codec() -> None:
    pytest.importorskip('mmpose')
    from mmpose.codecs.utils import get_heatmap_maximum, get_simcc_maximum

    maps = torch.rand(1, 17, 12, 9)
    points, scores = Maxima((4.0, 4.0))(maps)
    expected, best = get_heatmap_maximum(maps[0].numpy())
    np.testing.assert_allclose(points[0], 4 * expected)
    np.testing.assert_allclose(scores[0], best)
    x, y = torch.rand(1, 17, 96), torch.rand(1, 17, 128)
    points, scores = Maxima((0.5, 0.5))(x, y)
    expected, best = get_simcc_maximum(x[0].numpy(), y[0].numpy())
    np.testing.assert_allclose(points[0], expected / 2)
    np.testing.assert_allclose(scores[0], best)


@pytest.mark.parametrize('mean', [[127.5], [123.675, 116.28, 103.53]])
def test_pixels_are_normalised_as_the_framework_does(
    mean: list[float], pixels: Tensor
) -> None:
    data = ImgDataPreprocessor(mean=mean, std=[57.375] * len(mean),
                               bgr_to_rgb=True)  # fmt: skip
    model = Mock(data_preprocessor=data)
    normalise = Normalise(normalisation_of(model, 3), 3)
    given = [pixels[0].to(torch.uint8)]
    expected: Any = data(dict(inputs=given))
    torch.testing.assert_close(normalise(pixels), expected['inputs'])
    torch.testing.assert_close(normalise.inverse(normalise(pixels)), pixels)


def test_other_maxima_and_nan_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = searched('classification').eval()
    ends = ends_of(model, SHAPE, False, True)
    path = str(tmp_path / 'model.onnx')
    export_onnx(model, SHAPE, path, ends=ends)
    image = torch.randn(1, *SHAPE)
    assert check_onnx(path, model, image, ends) < 1e-4
    put_out = onnxruntime.InferenceSession.run
    wrong: dict[str, float] = {}

    def run(*args: Any) -> list[Any]:
        label, score = put_out(*args)
        return [label + wrong['label'], score * wrong['score']]

    monkeypatch.setattr(onnxruntime.InferenceSession, 'run', run)
    for message, label, score in (
        ('maxima', 1, 1),
        ('differs', 0, 0.3),
        ('by nan', 0, np.nan),
    ):
        wrong |= dict(label=label, score=score)
        with pytest.raises(ValueError, match=message):
            check_onnx(path, model, image, ends)


def test_ends_that_a_model_has() -> None:
    model = searched('pose')
    assert isinstance(ends_of(model, SHAPE, False, True).last, Maxima)
    model = searched('classification')
    assert isinstance(ends_of(model, SHAPE, False, True).last, Top1)
    with pytest.raises(ValueError, match='--argmax is for .*VoxelNet'):
        ends_of(searched('pointpillars'), (64, 32, 32), False, True)
    many = Conv(MOST_CLASSES + 1)
    with pytest.raises(ValueError, match='at most 256 classes, got 257'):
        ends_of(many, SHAPE, False, True)
    with pytest.raises(ValueError, match='of 1 or 3 channels, got 64'):
        ends_of(model, (64, 32, 32), True, False)
