"""Parameters with the same options share a group, and learn as before."""

from typing import Any

import torch
from mmengine.optim import build_optim_wrapper
from torch import nn


def learned(
    constructor: str,
) -> tuple[list[dict[str, Any]], list[nn.Parameter]]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 2))
    wrapper = build_optim_wrapper(
        model,
        dict(
            constructor=constructor,
            type='OptimWrapper',
            optimizer=dict(type='AdamW', lr=0.1, weight_decay=0.5),
            paramwise_cfg=dict(
                norm_decay_mult=0.0, custom_keys={'2': dict(lr_mult=3)}
            ),
        ),
    )
    for _ in range(3):
        wrapper.update_params(model(torch.randn(8, 4)).square().sum())
    return wrapper.optimizer.param_groups, [*model.parameters()]


def test_steps_are_the_same_with_few_groups() -> None:
    before, expected = learned('DefaultOptimWrapperConstructor')
    groups, found = learned('MergedGroupsConstructor')
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert len(before) == len(found) == 6
    options = [(g['lr'], g['weight_decay']) for g in groups]
    assert options == [(0.1, 0.5), (0.1, 0.0), (0.1 * 3, 0.5)]
    in_groups = [p for group in groups for p in group['params']]
    assert {*map(id, in_groups)} == {*map(id, found)}
