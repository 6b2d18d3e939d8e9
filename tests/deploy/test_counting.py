"""What is counted of a model, whatever framework it is from."""

from typing import Any

import pytest
from counting import counted
from torch import nn

from hrnas_mm.building import build_model
from hrnas_mm.cli.config import prepare_config
from hrnas_mm.deploy import cost_model_of
from hrnas_mm.deploy.dense import DensePart, dense_part
from hrnas_mm.search import Params

CONFIGS = 'configs/'
SEG = CONFIGS + 'mmseg/hrnas_demo_1xb8-300_cityscapes-128x256.py'
POSE = CONFIGS + 'mmpose/td-hm_hrnas-demo_1xb16-8e_coco-192x144.py'
DET3D = CONFIGS + 'mmdet3d/pointpillars_hrnas-demo_1xb2-12e_kitti-3d-3class.py'
BOTH = {
    'model.decode_head.in_channels': 90,
    'model.decode_head.channels': 90,
}
CLS = CONFIGS + 'mmpretrain/hrnas-demo_1xb16-18e_in1k-64x64.py'


def model_of(path: str, **options: Any) -> nn.Module:
    pytest.importorskip(path.removeprefix(CONFIGS).split('/')[0])
    return build_model(prepare_config(path, options))


@pytest.mark.parametrize('path', [SEG, CLS])
def test_a_model_that_takes_an_image_is_itself(path: str) -> None:
    model = model_of(path)
    assert dense_part(model) is model


@pytest.mark.parametrize(
    'path, shape', [(POSE, (3, 192, 144)), (DET3D, (64, 192, 192))]
)
def test_the_part_that_maps_an_image_is_counted(
    path: str, shape: tuple[int, int, int]
) -> None:
    model = model_of(path)
    part = dense_part(model)
    assert isinstance(part, DensePart)
    cost_model = cost_model_of(model, shape)
    assert cost_model.total(cost_model.supernet) == counted(part, shape)
    # Parameters are those of the whole model, voxels' too.
    params = cost_model.counting(Params())
    assert params.total(params.supernet) == sum(
        p.numel() for p in model.parameters()
    )


@pytest.mark.parametrize(
    'path, shape, option, channels',
    [
        (SEG, (128, 256), BOTH, '24,'),
        (POSE, (192, 144), {'model.head.in_channels': 17}, '32,'),
        (DET3D, (64, 192, 192), {'model.bbox_head.feat_channels': 384}, '32,'),
    ],
)
def test_a_head_that_does_not_fit(
    path: str, shape: tuple[int, ...], option: dict[str, Any], channels: str
) -> None:
    model = model_of(path, **option)
    message = rf'do not fit model.backbone, which .* 1 maps of \({channels}\)'
    with pytest.raises(ValueError, match=message):
        cost_model_of(model, shape)
