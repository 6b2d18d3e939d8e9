"""Folded batch norms: the same function, and none of them left."""

import pytest
import tiny
import torch
from counting import random_keep
from mmcv.cnn import ConvModule
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from hrnas_mm.deploy.deployable import folded
from hrnas_mm.search import shrink_

BOTH = dict(tiny.SUPERNET['transformer'], position_in='both')


def with_statistics(model):
    """As after training: no norm is an identity."""
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.1)
    return model


def norms(model):
    return [m for m in model.modules() if isinstance(m, _BatchNorm)]


@pytest.mark.parametrize('transformer', [tiny.SUPERNET['transformer'], BOTH])
@pytest.mark.parametrize('searched', [False, True])
def test_supernet(transformer, searched):
    model = with_statistics(tiny.supernet(transformer=transformer))
    if searched:
        shrink_(model, random_keep(model, share_empty=0.4))
    model = model.double().eval()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    image = torch.randn(2, 3, 40, 56, dtype=torch.double)
    copy = folded(model)
    torch.testing.assert_close(copy(image), model(image))
    assert norms(model) and not norms(copy)
    torch.testing.assert_close(dict(model.state_dict()), before)


def test_other_peoples_modules():
    """Norms where it is known what they follow; others stay."""
    inside = ConvModule(4, 4, 1, norm_cfg=dict(type='BN'))
    before = ConvModule(
        4, 4, 1, norm_cfg=dict(type='BN'), order=('norm', 'act', 'conv')
    )
    # The second norm follows the first convolution in name only.
    plain = nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU(), nn.BatchNorm2d(4))
    model = with_statistics(nn.Sequential(inside, before, plain)).eval()
    image = torch.randn(2, 4, 5, 5)
    copy = folded(model)
    torch.testing.assert_close(copy(image), model(image))
    assert len(norms(copy)) == 2
