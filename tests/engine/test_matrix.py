"""Every optimizer with every average; any two settings meet somewhere."""

import copy
from itertools import combinations, product
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from test_progressive_shrink_hook import EMA
from torch import Tensor

from hrnas_mm.engine.surgery import averaged_model
from hrnas_mm.runners import bare_model
from hrnas_mm.search import named_search_units

OPTIMIZERS = dict(
    sgd=dict(type='SGD', lr=0.02, momentum=0.9),
    sgd_fused=dict(type='SGD', lr=0.02, momentum=0.9, fused=True),
    adam=dict(type='Adam', lr=0.02),
    adamw=dict(type='AdamW', lr=0.02, amsgrad=True),
    adamw_foreach=dict(type='AdamW', lr=0.02, foreach=True),
    adamw_fused=dict(type='AdamW', lr=0.02, fused=True),
    rmsprop=dict(type='RMSprop', lr=0.02, momentum=0.9, centered=True),
    adagrad=dict(type='Adagrad', lr=0.02),
    nadam=dict(type='NAdam', lr=0.02),
)
PRECISIONS: dict[str, dict[str, Any]] = dict(
    fp32=dict(),
    fp16=dict(
        type='AmpOptimWrapper',
        loss_scale=dict(init_scale=128.0),
        dtype='float16',
    ),
    bf16=dict(type='AmpOptimWrapper', loss_scale=1.0, dtype='bfloat16'),
)
# At 4 a path goes and half of another, at 8 a whole block.
BLOCK, OTHER = 'backbone.stages.0.branches.0.0.', 'backbone.stages.0.fusion.'
DEAD = {
    4: {BLOCK + 'mixconv.k3': 1.0, BLOCK + 'mixconv.k5': 0.5},
    8: {
        BLOCK + 'mixconv.k5': 1.0,
        BLOCK + 'transformer.tokens': 1.0,
        OTHER + 'fuse.0.0.transformer.tokens': 0.5,
    },
}


def tensors_of(runner: Runner) -> dict[tuple[str, str], Tensor]:
    """Parameters and optimizer state of the model, and of its average."""
    found = {}
    state = runner.optim_wrapper.optimizer.state
    for name, param in bare_model(runner).named_parameters():
        found[name, 'value'] = param
        for key, value in state[param].items():
            if value.dim():
                found[name, key] = value
    averaged = averaged_model(runner)
    if averaged is not None:
        for name, param in averaged.module.named_parameters():
            found[name, 'average'] = param
    return {key: value.detach().clone() for key, value in found.items()}


class Kill(Hook):
    """Makes elements useless just before a shrink, and tells what to expect.

    What is expected is cut out of the tensors here, axis by axis.
    """

    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self.expected: dict[tuple[str, str], Tensor] = {}

    def before_train_iter(
        self, runner: Runner, *args: Any, **kwargs: Any
    ) -> None:
        if runner.iter not in DEAD:
            return
        copies = [bare_model(runner)]
        if averaged_model(runner) is not None:
            copies.append(averaged_model(runner).module)
        keep = {}
        for model in copies:
            for name, share in DEAD[runner.iter].items():
                alpha = named_search_units(model)[name].alpha
                alpha.data[: round(share * len(alpha))] = 0
                keep[name] = slice(round(share * len(alpha)), None)
        expected = tensors_of(runner)
        model = bare_model(runner)
        names = {id(m): name for name, m in model.named_modules()}
        units = named_search_units(model)
        for unit, part in keep.items():
            for axis in units[unit].axes:
                name = f'{names[id(axis.module)]}.{axis.name}'
                for key in [key for key in expected if key[0] == name]:
                    index = [slice(None)] * axis.dim + [part]
                    expected[key] = expected[key][tuple(index)]
        self.expected = expected


class Check(Hook):
    """Compares what the shrink has left."""

    priority = 'LOWEST'

    def __init__(self, kill: Kill) -> None:
        self.kill = kill
        self.seen: list[int] = []

    def before_train_iter(
        self, runner: Runner, *args: Any, **kwargs: Any
    ) -> None:
        if runner.iter not in DEAD:
            return
        found = tensors_of(runner)
        gone = self.kill.expected.keys() - found.keys()
        assert not found.keys() - self.kill.expected.keys()
        for key, value in found.items():
            assert torch.equal(value, self.kill.expected[key]), key
        block = f'{BLOCK}mixconv.paths.k3' if runner.iter == 4 else BLOCK
        assert any(name.startswith(block) for name, _ in gone)
        optimized = [
            id(p)
            for group in runner.optim_wrapper.optimizer.param_groups
            for p in group['params']
        ]
        params = list(bare_model(runner).parameters())
        assert sorted(optimized) == sorted(map(id, params))
        self.seen.append(runner.iter)


def config(
    work_dir: Path,
    optimizer: dict[str, Any],
    ema: dict[str, Any] | None,
    precision: dict[str, Any],
    accumulation: int,
) -> Config:
    cfg = tiny.config(
        work_dir,
        max_iters=12,
        ema=ema,
        rho=0.0,
        interval=4,
        threshold=1e-6,
        calibration_batches=1,
    )
    cfg.model.backbone.stages = (dict(num_blocks=(1,), num_channels=(6,)),)
    cfg.model.backbone.fuse_channels = None
    cfg.optim_wrapper = dict(
        optimizer=copy.deepcopy(optimizer),
        accumulative_counts=accumulation,
        # Two groups, as people have them.
        paramwise_cfg=dict(custom_keys={'depthwise': dict(lr_mult=2.0)}),
        **precision,
    )
    cfg.default_hooks.checkpoint = None
    for key in ('val_cfg', 'val_dataloader', 'val_evaluator'):
        cfg.pop(key)
    return cfg


CELLS = [
    (
        optimizer,
        ema,
        list(PRECISIONS)[(i + j) % len(PRECISIONS)],
        (i // len(PRECISIONS) + j) % 2 + 1,
    )
    for i, optimizer in enumerate(OPTIMIZERS)
    for j, ema in enumerate(EMA)
]


def test_any_two_settings_meet_in_a_cell() -> None:
    settings = [OPTIMIZERS, EMA, PRECISIONS, (1, 2)]
    for (i, first), (j, second) in combinations(enumerate(settings), 2):
        assert {(c[i], c[j]) for c in CELLS} == set(product(first, second))


@pytest.mark.parametrize('optimizer, ema, precision, accumulation', CELLS)
def test_shrinks(
    tmp_path: Path,
    cpu_amp: None,
    optimizer: str,
    ema: str,
    precision: str,
    accumulation: int,
) -> None:
    cfg = config(
        tmp_path,
        OPTIMIZERS[optimizer],
        EMA[ema],
        PRECISIONS[precision],
        accumulation,
    )
    runner = Runner.from_cfg(cfg)
    kill = Kill()
    check = Check(kill)
    runner.register_hook(kill)
    runner.register_hook(check)
    runner.train()
    assert check.seen == [4, 8]
    # Everything that is left goes on learning.
    after = tensors_of(runner)
    for name, param in bare_model(runner).named_parameters():
        before = kill.expected[name, 'value']
        assert torch.isfinite(param).all(), name
        assert not torch.equal(param, before) or not param.any(), name
        if EMA[ema] is not None:
            average = after[name, 'average']
            assert torch.isfinite(average).all(), name
