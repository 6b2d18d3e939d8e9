"""Stock backbones lose channels, and compute what is left of them."""

from copy import deepcopy
from typing import Any

import pytest
from stock_checks import check
from stock_networks import STOCK, Stock

# A kind of coupling each; `python benchmarks/stock_checks.py` tries them all.
CASES = [
    ('ResNet-50, mmdet', 'blocks'),
    ('HRNet-W18, mmseg', 'blocks'),
    ('MobileNetV3-L, mmseg', 'all'),
    ('DDRNet-23-slim, mmseg', 'all'),
    ('STDC1 with its context path, mmseg', 'all'),
    ('BiSeNetV2, mmseg', 'blocks'),
    ('Darknet-53, mmdet', 'blocks'),
    ('CSPDarknet-s (YOLOX), mmdet', 'blocks'),
    ('CSPNeXt-s (RTMPose), mmpose', 'all'),
    ('ShuffleNetV2, mmpose', 'blocks'),
    ('ResNet-18, mmpretrain', 'all'),
    ('RepVGG-A0, mmpretrain', 'all'),
    ('SECOND, mmdet3d', 'blocks'),
    ('EfficientNet-Lite0, timm', 'all'),
]


def shallow(stock: Stock) -> Stock:
    """An HRNet with a block in place of four, and a module in each stage."""
    config: Any = deepcopy(stock.config)
    for stage in config['extra'].values():
        count = stage['num_branches']
        stage.update(num_modules=1, num_blocks=(1,) * count)
    return stock._replace(config=config, blocks=0.45)


@pytest.mark.parametrize('name, widths', CASES)
def test_channels_go_without_a_trace(name: str, widths: str) -> None:
    stock = STOCK[name]
    if 'HRNet' in name:
        stock = shallow(stock)
    pytest.importorskip(stock.config['type'].split('.')[0])
    if 'timm' in name:
        pytest.importorskip('timm')
    found = check(stock, widths)
    assert found.share >= getattr(stock, widths)
    assert found.right, found
