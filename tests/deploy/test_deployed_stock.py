"""The deployed form of stock networks whose channels were searched."""

from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from mmengine.registry import MODELS
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from hrnas_mm.deploy import DeployableModel, export_onnx
from hrnas_mm.search import named_search_units, shrink_

BN = dict(type='BN')
BACKBONES: dict[str, tuple[dict[str, Any], str, int]] = {
    'resnet': (
        dict(
            type='mmseg.ResNet', depth=50, base_channels=8, out_indices=(2, 3)
        ),
        'blocks',
        256,
    ),
    'mobilenet': (
        dict(type='mmseg.MobileNetV2', widen_factor=0.25, out_indices=(1, 6)),
        'all',
        80,
    ),
    'csp': (
        dict(type='mmdet.CSPDarknet', deepen_factor=0.33, widen_factor=0.125),
        'all',
        128,
    ),
}


def searched(name: str) -> nn.Module:
    module, widths, channels = BACKBONES[name]
    pytest.importorskip(module['type'].split('.')[0])
    torch.manual_seed(0)
    model = tiny.TinyModel(
        dict(
            type='Searchable', module={**module, 'norm_cfg': BN}, widths=widths
        ),
        channels=channels,
    )
    tiny.with_statistics(model)
    units = named_search_units(model)
    shrink_(
        model,
        {
            n: torch.arange(len(u))[:: 3 if i % 2 else 1]
            for i, (n, u) in enumerate(units.items())
        },
    )
    return model.eval()


@pytest.mark.parametrize(
    'runtime, round', [('torch', 8), ('onnxruntime', 16), ('torch', 1)]
)
@pytest.mark.parametrize('name', BACKBONES)
def test_computes_the_same(name: str, runtime: str, round: int) -> None:
    model = searched(name)
    deployed = DeployableModel(model, runtime, round=round)
    x = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        torch.testing.assert_close(
            deployed(x)[0], model(x), rtol=1e-4, atol=1e-4
        )
    assert not any(isinstance(m, _BatchNorm) for m in deployed.modules())
    assert not named_search_units(deployed)
    inner = {'resnet': 'layer1.0.conv2', 'mobilenet': 'layer2.0.conv.1.conv'}
    if name in inner:
        conv: Any = deployed.get_submodule(f'model.backbone.{inner[name]}')
        assert conv.out_channels % round == 0
    assert named_search_units(model)  # which is left as it was


def test_onnx(tmp_path: Path) -> None:
    pytest.importorskip('onnxruntime')
    export_onnx(searched('csp'), (3, 64, 64), str(tmp_path / 'csp.onnx'))
    assert (tmp_path / 'csp.onnx').stat().st_size > 0


def test_norm_with_an_activation_stays() -> None:
    class NormAct(nn.BatchNorm2d):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x).relu()

    MODELS.register_module('TwoConvs', module=two_convs(NormAct), force=True)
    model = tiny.TinyModel(
        dict(type='Searchable', module=dict(type='TwoConvs')), channels=4
    )
    model = tiny.with_statistics(model).eval()
    x = torch.randn(1, 3, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(DeployableModel(model)(x)[0], model(x))


def two_convs(norm: type[nn.Module]) -> Any:
    class TwoConvs(nn.Sequential):
        def __init__(self) -> None:
            super().__init__(
                nn.Conv2d(3, 6, 1), norm(6), nn.Conv2d(6, 4, 1), norm(4)
            )

        def forward(self, x: torch.Tensor) -> Any:
            return (super().forward(x),)

    return TwoConvs
