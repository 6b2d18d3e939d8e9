"""A model predicts by an exported file as it does by its own weights."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from mmengine.config import Config
from tiny import with_statistics
from torch import Tensor, nn

from hrnas_mm.building import build_model
from hrnas_mm.deploy import ends_of, export_onnx, quantized
from hrnas_mm.deploy.onnx import write_onnx
from hrnas_mm.runtimes import RUNTIMES
from hrnas_mm.runtimes.exported import predict_by_file_
from hrnas_mm.runtimes.file_facts import read_facts

pytest.importorskip('mmseg')
pytest.importorskip('onnxruntime')
ON_FILES = [name for name, each in RUNTIMES.items() if each.onnx]
HEIGHT, WIDTH = 32, 48
CONFIG = Config(
    dict(
        default_scope='mmseg',
        model=dict(
            type='EncoderDecoder',
            data_preprocessor=dict(
                type='SegDataPreProcessor', mean=[100.0, 110.0, 120.0],
                std=[50.0, 60.0, 70.0], bgr_to_rgb=True,
            ),
            backbone=dict(type='HRNASSupernet', **tiny.SUPERNET),
            decode_head=dict(
                type='FCNHead', in_channels=6, in_index=0, channels=6,
                num_convs=0, concat_input=False, num_classes=4,
            ),
            test_cfg=dict(mode='whole'),
        ),
    )
)  # fmt: skip


@pytest.fixture(scope='module')
def model() -> Any:
    return with_statistics(build_model(CONFIG)).eval()


@pytest.fixture(scope='module', params=[False, True], ids=['one', 'any'])
def path(
    request: Any, model: nn.Module, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """A file that reads one image at a time, or any number."""
    path = str(tmp_path_factory.mktemp('file') / 'model.onnx')
    export_onnx(model, (3, HEIGHT, WIDTH), path, dynamic_batch=request.param)
    return path


def assert_near(found: Tensor, expected: Tensor) -> None:
    bound = 1e-5 * expected.abs().max().item()
    torch.testing.assert_close(found, expected, rtol=0, atol=bound)


def logits(model: Any, images: Tensor) -> Tensor:
    """What a segmentor resizes to the size of the image."""
    meta = dict(img_shape=tuple(images.shape[2:]))
    with torch.no_grad():
        return model.encode_decode(images, [meta] * len(images))


@pytest.mark.parametrize('name', ON_FILES)
def test_logits_are_those_of_the_model(
    name: str, model: nn.Module, path: str
) -> None:
    pytest.importorskip(name)
    images = torch.randn(2, 3, HEIGHT, WIDTH)
    other = build_model(CONFIG).eval()  # of other weights
    predict_by_file_(other, path, RUNTIMES[name])
    expected = logits(model, images)
    assert_near(logits(other, images), expected)


@pytest.mark.parametrize('argmax', [False, True])
def test_ends_of_the_file_change_nothing(
    argmax: bool, model: Any, tmp_path: Path
) -> None:
    """Also where an image is filled up."""
    shape, path = (3, HEIGHT, WIDTH), str(tmp_path / 'model.onnx')
    export_onnx(model, shape, path, ends=ends_of(model, shape, True, argmax))
    image = torch.randn(1, *shape)
    image[:, :, -5:], image[..., -8:] = 0.0, 0.0
    expected = logits(model, image)[..., :-5, :-8]
    other = build_model(CONFIG).eval()
    predict_by_file_(other, path, RUNTIMES['onnxruntime'])
    found = logits(other, image[..., :-5, :-8])
    if argmax:
        assert (found.argmax(1) == expected.argmax(1)).float().mean() > 0.99
    else:
        assert_near(found, expected)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / 'model.onnx'
    path.write_bytes(b'no model')
    with pytest.raises(ValueError, match='model.onnx must be an ONNX file'):
        read_facts(str(path))
    write_onnx(nn.Linear(4, 2), torch.zeros(1, 4), str(path))
    with pytest.raises(ValueError, match=r'\(B, C, H, W\), got \[\(1, 4\)'):
        read_facts(str(path))


def test_smaller_images_are_filled_up(model: nn.Module, path: str) -> None:
    image = torch.randn(1, 3, HEIGHT - 5, WIDTH - 8)
    filled = torch.zeros(1, 3, HEIGHT, WIDTH)
    filled[..., :-5, :-8] = image
    other = build_model(CONFIG).eval()
    predict_by_file_(other, path, RUNTIMES['onnxruntime'])
    expected = logits(model, filled)[..., :-5, :-8]
    assert_near(logits(other, image), expected)
    message = (
        r'model.onnx reads images of 3x32x48, .* 3x33x48: .*--shape 33 48'
    )
    with pytest.raises(ValueError, match=message):
        logits(other, torch.randn(1, 3, HEIGHT + 1, WIDTH))


def test_files_that_do_not_fit_are_refused(
    model: nn.Module, path: str, tmp_path: Path
) -> None:
    runtime = RUNTIMES['onnxruntime']
    cfg = deepcopy(CONFIG)
    cfg.model.decode_head.num_classes = 7
    message = r'outputs of shapes \[\(4, .* returns \[\(7, '
    with pytest.raises(ValueError, match=message):
        predict_by_file_(build_model(cfg), path, runtime)
    other: Any = build_model(CONFIG)
    integers = tmp_path / 'int8.onnx'
    names = 'onnxruntime', 'openvino'
    for own, given in (names, names[::-1]):
        content = quantized(Path(path).read_bytes(), None, own)
        integers.write_bytes(content)
        message = f'for {own}, got .* {given}: give --backend {own}, or'
        with pytest.raises(ValueError, match=message):
            predict_by_file_(other, str(integers), RUNTIMES[given])
    other.roi_head = nn.Identity()
    with pytest.raises(ValueError, match='one head that .* EncoderDecoder'):
        predict_by_file_(other, path, runtime)
