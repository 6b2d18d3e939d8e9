"""Torch-Pruning in a run: its network, optimizer and average stay one."""

import logging
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from mmengine.hooks import EMAHook
from mmengine.registry import DefaultScope

pytest.importorskip('torch_pruning', reason='a peer, for comparisons only')
pytest.importorskip('mmseg.models')
BN = dict(type='BN')
HEAD = dict(type='mmseg.FCNHead', channels=8, num_classes=3, norm_cfg=BN)
MODEL = dict(
    type='mmseg.EncoderDecoder',
    backbone=dict(
        type='mmseg.ResNetV1c',
        depth=18,
        base_channels=8,
        stem_channels=8,
        norm_cfg=BN,
    ),
    decode_head=dict(in_channels=64, **HEAD),
    auxiliary_head=dict(in_channels=32, in_index=2, **HEAD),
)


@pytest.mark.parametrize('reg', [0.0, 1e-2])
def test_cuts(reg: float) -> None:
    from torch_pruning_hook import TorchPruningHook

    from hrnas_mm.registry import MODELS

    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmseg'):
        model: Any = MODELS.build(MODEL)
    optimizer = torch.optim.AdamW(
        [dict(params=model.backbone.parameters(), lr=1e-3)]
        + [dict(params=model.decode_head.parameters(), lr=4e-3)]
        + [dict(params=model.auxiliary_head.parameters(), lr=4e-3)]
    )
    average = EMAHook(update_buffers=True)
    runner: Any = SimpleNamespace(
        model=model,
        iter=0,
        hooks=[average],
        optim_wrapper=SimpleNamespace(optimizer=optimizer),
        logger=logging.getLogger(__name__),
    )
    average.before_run(runner)
    hook = TorchPruningHook(0.5, [1, 2], reg, (3, 64, 64))
    hook.before_train(runner)
    whole = hook._macs(model)
    for runner.iter in range(4):
        hook.before_train_iter(runner, 0)
        model.train()
        maps = model.extract_feat(torch.randn(2, 3, 64, 64))
        loss = model.decode_head(maps).square().mean()
        (loss + model.auxiliary_head(maps).square().mean()).backward()
        before = [p.detach().clone() for p in model.parameters()]
        optimizer.step()
        for old, new in zip(before, model.parameters(), strict=True):
            assert not torch.equal(old, new)
        optimizer.zero_grad()
        average.ema_model.update_parameters(model)
    assert 0.4 * whole < hook._macs(model) <= 0.5 * whole
    averaged = average.ema_model.module.state_dict()
    for name, value in model.state_dict().items():
        assert averaged[name].shape == value.shape
    assert [g['lr'] for g in optimizer.param_groups] == [1e-3, 4e-3, 4e-3]
