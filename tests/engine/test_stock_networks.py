"""Whole searches in stock backbones."""

from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import tiny
import torch
from killing import broken_off_and_resumed, everything
from milliseconds import table_of_formula
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import Runner, load_checkpoint

from hrnas_mm.building import build_model
from hrnas_mm.deploy import cost_model_of
from hrnas_mm.engine.history import _warn_if_tight
from hrnas_mm.engine.options import SearchOptions
from hrnas_mm.engine.plan import with_defaults
from hrnas_mm.latency import write_latency_table
from hrnas_mm.runners import bare_model, evaluated_model
from hrnas_mm.search import (
    Budget,
    CostModel,
    Params,
    architecture_of,
    trace,
)

pytest.importorskip('mmseg')
BN = dict(type='BN')
RESNET = dict(
    type='mmseg.ResNetV1c',
    depth=18,
    base_channels=8,
    stem_channels=8,
    out_indices=(3,),
    norm_cfg=BN,
)
BOTTLENECKS = dict(
    RESNET,
    depth=50,
    num_stages=2,
    strides=(1, 2),
    dilations=(1, 1),
    out_indices=(1,),
)
MOBILENET = dict(
    type='mmseg.MobileNetV2',
    widen_factor=0.25,
    out_indices=(1, 6),
    norm_cfg=BN,
)
TINY = dict(type='TinyStock')
CHANNELS = {18: 64, 50: 64, 'mmseg.MobileNetV2': 80, 'TinyStock': 6}
EMA = dict(
    ema_type='MomentumAnnealingEMA',
    momentum=1e-2,
    gamma=9,
    update_buffers=True,
)


def config(
    work_dir: Path, module: dict[str, Any], widths: str, **hook: Any
) -> Config:
    plan = dict(
        rho=None, threshold=1e-3, warmup=0, interval=2, begin=2, end=10
    )
    cfg = tiny.config(work_dir, ema=EMA, **{**plan, **hook})
    cfg.log_level = 'INFO'
    cfg.model = dict(
        type='TinyModel',
        backbone=dict(type='Searchable', module=module, widths=widths),
        channels=CHANNELS[module.get('depth', module['type'])],
    )
    return cfg


def run(cfg: Config) -> Runner:
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner


@pytest.mark.parametrize(
    'module, widths, hook',
    [
        (RESNET, 'blocks', dict(target=0.4)),
        (TINY, 'all', dict(target=0.4, rho=1e-3)),
        (MOBILENET, 'blocks', dict(target=dict(params=0.5))),
        (BOTTLENECKS, 'blocks', dict(target=dict(latency=0.4))),
        (TINY, 'all', dict(target=dict(latency=0.81))),
    ],
)
def test_search_ends_in_its_budget_and_resumes_exactly(
    tmp_path: Path, module: dict[str, Any], widths: str, hook: dict[str, Any]
) -> None:
    if 'latency' in str(hook):
        file = str(tmp_path / 'table.json')
        whole_model = build_model(config(tmp_path, module, widths))
        cost_model = cost_model_of(whole_model, (3, 32, 32))
        write_latency_table(table_of_formula(cost_model), file)
        hook = {**hook, 'latency': file}
    whole = run(config(tmp_path / 'whole', module, widths, **hook))
    model, search = bare_model(whole), tiny.search_of(whole)
    counts = architecture_of(model)
    assert search.budget is not None
    # Cuts alone, by what the loss would lose, unless told otherwise.
    assert search.importance.name == 'taylor'
    assert bool(search.controller.rho) == ('rho' in hook)
    spent = search.budget.spent(counts)
    assert 0.97 * search.budget.amount <= spent <= search.budget.amount
    # Blocks go where they have a price of their own.
    gone = 'latency' in hook and widths == 'blocks'
    assert (0 in counts.values()) == gone
    shape = (3, 32, 32)
    cost_model = CostModel(model, shape)
    assert cost_model.total(counts) == trace(model, shape).macs['']
    assert cost_model.counting(Params()).total(counts) == sum(
        p.numel() for p in model.parameters()
    )

    cfg = config(tmp_path / 'broken', module, widths, **hook)
    again = broken_off_and_resumed(cfg, run, 8)
    torch.testing.assert_close(
        everything(again), everything(whole), rtol=0, atol=0
    )

    # The stock config with an architecture, and the checkpoint, are enough.
    folder = tmp_path / 'whole/searched'
    found = Config.fromfile(folder / 'config.py').model
    assert found.backbone.module == module
    rebuilt = MODELS.build(found)
    assert architecture_of(rebuilt) == counts
    path = str(folder / 'model.pth')
    load_checkpoint(rebuilt, path, map_location='cpu', strict=True)
    averaged = evaluated_model(whole).eval()
    x = torch.randn(2, *shape)
    assert torch.equal(rebuilt.eval()(x), averaged(x))
    log = ''.join(p.read_text() for p in tmp_path.rglob('*.log'))
    assert 'Search: backbone: a search can remove ' in log


def test_targets_that_leave_nearly_nothing_are_warned_of() -> None:
    cost_model = CostModel(MODELS.build(tiny.STOCK), (3, 32, 32))
    least = cost_model.cost.cut.least(cost_model)
    for share, warned in ((0.5, False), (0.9, True)):
        runner = Mock()
        _warn_if_tight(Budget(least / share, cost_model), runner)
        assert runner.logger.warning.called == warned
    (text,) = runner.logger.warning.call_args.args
    assert f'takes {cost_model.cost.format(least)} of ' in text


def test_options_that_are_given_stay() -> None:
    given = SearchOptions(target=0.5, importance='alpha', rho=0.1)
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(dict(type='Searchable', module=MOBILENET))
    assert with_defaults(given, model) == given
    free = SearchOptions(target=0.5)
    assert with_defaults(free, model).rho == 0
    assert with_defaults(free, tiny.supernet()) == free


def test_search_in_bf16(tmp_path: Path, cpu_amp: None) -> None:
    cfg = tiny.config(
        tmp_path, rho=None, interval=2, begin=2, end=10, target=0.5
    )
    cfg.model.backbone = tiny.STOCK
    cfg.optim_wrapper.update(
        type='AmpOptimWrapper', loss_scale=1.0, dtype='bfloat16'
    )
    runner = run(cfg)
    budget = tiny.search_of(runner).budget
    assert budget is not None
    spent = budget.spent(architecture_of(bare_model(runner)))
    assert 0.9 * budget.amount <= spent <= budget.amount
    assert all(p.isfinite().all() for p in bare_model(runner).parameters())
