"""A search to a budget, and a ladder, on real Runners."""

import json
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from hrnas_mm.building import build_model
from hrnas_mm.engine import ProgressiveShrinkHook
from hrnas_mm.runners import bare_model, evaluated_model
from hrnas_mm.search import BudgetController, architecture_of

WHOLE = dict(macs=403_200, params=23_540)
EMA = dict(momentum=0.3)


def config(work_dir: Path, max_iters: int = 24, **hook: Any) -> Config:
    hook = dict(dict(rho=None, interval=None, threshold=0.01), **hook)
    cfg = tiny.config(work_dir, max_iters, ema=EMA, **hook)
    cfg.default_hooks.checkpoint = None
    cfg.log_level = 'INFO'
    return cfg


def run(cfg: Config) -> Runner:
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner


def cost_of(model: nn.Module, resource: str) -> int:
    """Counted on the model as it is, by torch."""
    if resource == 'params':
        return sum(param.numel() for param in model.parameters())
    image = torch.zeros(1, 3, 32, 32, device='meta')
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.to('meta').eval()(image)
    return counter.get_total_flops() // 2


@pytest.mark.parametrize(
    'target, resource, amount',
    [
        (0.7, 'macs', 282_240),
        ('0.15M', 'macs', 150_000),
        (dict(params=0.8), 'params', 18_832),
    ],
)
def test_target_is_met(
    tmp_path: Path, target: Any, resource: str, amount: int
) -> None:
    runner = run(config(tmp_path, target=target))
    history = tiny.history_of(runner)
    assert [facts['iter'] for facts in history] == [0, *range(4, 19)]
    assert len({facts['rho'] for facts in history}) > 3
    assert (
        0.97 * amount <= cost_of(evaluated_model(runner), resource) <= amount
    )
    controller = tiny.search_of(runner).controller
    assert isinstance(controller, BudgetController)
    plan = controller.descent
    assert plan.begin == 3 and plan.start == WHOLE[resource]


def test_target_in_epochs(tmp_path: Path) -> None:
    cfg = tiny.config(
        tmp_path,
        max_iters=36,
        by_epoch=True,
        target=0.5,
        rho=None,
        interval=None,
        begin=1,
        threshold=0.01,
    )
    runner = run(cfg)
    history = tiny.history_of(runner)
    assert [facts['iter'] for facts in history] == [0, 12, 18, 24]
    assert 0.485 * WHOLE['macs'] <= history[-1]['macs'] <= 0.5 * WHOLE['macs']


def test_a_penalty_that_is_far_too_strong(tmp_path: Path) -> None:
    """The released code removes everything then, and crashes."""
    runner = run(config(tmp_path, target=0.4, rho=1e3, threshold=0.5))
    history = tiny.history_of(runner)
    macs = [facts['macs'] for facts in history]
    assert 0.388 * WHOLE['macs'] <= macs[-1] <= 0.4 * WHOLE['macs']
    # No shrink takes more than the plan for two intervals, up to an element.
    share = 0.4 ** (2 / 15)
    assert all(b >= 0.9 * share * a for a, b in zip(macs, macs[1:]))


def test_milestones(tmp_path: Path) -> None:
    hook: dict[str, Any] = dict(
        target=0.4, milestones=[0.8, 0.7999, '0.2M', dict(params=0.9)]
    )
    runner = run(config(tmp_path, **hook))
    log = next(tmp_path.rglob('*.log')).read_text()
    limits = {
        '0.8': ('macs', 0.8 * WHOLE['macs']),
        '0.7999': ('macs', 0.7999 * WHOLE['macs']),  # the same network
        '0.2M': ('macs', 200_000),
        '0.9_params': ('params', 0.9 * WHOLE['params']),
    }
    milestones = tiny.search_of(runner).history.milestones
    assert {milestone.name for milestone in milestones} == set(limits)
    assert {p.name for p in (tmp_path / 'milestones').iterdir()} == set(limits)
    for milestone in milestones:
        folder = tmp_path / 'milestones' / milestone.name
        written = json.loads((folder / 'architecture.json').read_text())
        resource, limit = limits[milestone.name]
        assert 0.95 * limit <= written['costs'][resource] <= limit
        assert milestone.costs == written['costs']
        # What was evaluated is what was saved.
        cfg = tiny.config(tmp_path / 'test', ema=None)
        cfg.custom_hooks = []
        cfg.load_from = str(folder / 'model.pth')
        cfg.experiment_name += milestone.name
        assert Runner.from_cfg(cfg).test() == milestone.metrics
        again = build_model(Config.fromfile(str(folder / 'config.py')))
        assert architecture_of(again) == written['units']
    table = log[log.index('Milestones') :]
    assert all(name in table for name in (*limits, 'searched', 'accuracy'))


def test_milestones_with_a_fixed_rho(tmp_path: Path) -> None:
    """They change nothing where they are not crossed, nor after."""
    plain = run(tiny.config(tmp_path / 'plain'))
    ladder = run(tiny.config(tmp_path / 'ladder', milestones=[0.9]))
    assert architecture_of(bare_model(ladder)) == architecture_of(
        bare_model(plain)
    )
    for (name, a), b in zip(
        bare_model(plain).state_dict().items(),
        bare_model(ladder).state_dict().values(),
    ):
        assert torch.equal(a, b), name
    (milestone,) = tiny.search_of(ladder).history.milestones
    assert (
        0.873 * WHOLE['macs'] <= milestone.costs['macs'] <= 0.9 * WHOLE['macs']
    )


def test_milestones_leave_no_checkpoints_of_their_own(tmp_path: Path) -> None:
    """One in the middle of a shrink could not be resumed from."""
    cfg = config(tmp_path, target=0.4, milestones=[0.8])
    cfg.default_hooks.checkpoint = dict(
        type='CheckpointHook', by_epoch=False, save_best='accuracy',
        rule='greater', interval=100, save_last=False,
    )  # fmt: skip
    runner = run(cfg)
    (milestone,) = tiny.search_of(runner).history.milestones
    assert milestone.iter not in (6, 12, 18, 24)
    assert not list(tmp_path.glob(f'*iter_{milestone.iter}.pth'))
    assert list(tmp_path.glob('best*.pth'))


def test_training_then_testing(tmp_path: Path) -> None:
    cfg = config(tmp_path, target='0.2M')
    cfg.custom_hooks.pop()  # mmengine's EMAHook would start anew
    runner = run(cfg)
    logged = tiny.search_of(runner).history.evaluations[-1]
    assert runner.test() == logged.metrics


def test_the_log_tells_the_penalty_while_there_is_one(tmp_path: Path) -> None:
    runner = run(config(tmp_path, 16, target=0.5, begin=2, end=10))
    log = next(tmp_path.rglob('*.log')).read_text()
    assert 'until then loss_resource, rho times the resource penalty' in log
    told = {
        int(line.split('Iter(train) [')[1].split('/')[0]): 'resource' in line
        for line in log.splitlines()
        if 'Iter(train) [' in line
    }
    assert told == {i: 2 < i <= 10 for i in range(2, 17, 2)}
    # Evaluated on the way down: the table says with what.
    (evaluation, *_) = tiny.search_of(runner).history.evaluations
    macs = evaluation.costs['macs'] / 1e9
    assert evaluation.iter == 6 and macs < WHOLE['macs'] / 1e9
    assert f'iteration 6, {macs:.4g} G' in ' '.join(log.split())


class EndsEarly(Hook):
    def after_train_iter(
        self, runner: Runner, *args: Any, **kwargs: Any
    ) -> None:
        runner.train_loop.stop_training = runner.iter == 4


def test_run_that_ends_too_early_says_so(tmp_path: Path) -> None:
    cfg = config(tmp_path, target=0.5)
    runner = Runner.from_cfg(cfg)
    runner.register_hook(EndsEarly())
    runner.train()
    log = next(tmp_path.rglob('*.log')).read_text()
    assert 'before the network was down to 0.0002016 G multiply-adds' in log


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(), 'target must be given, or rho and interval'),
        (dict(rho=0.1), 'target must be given, or rho and interval'),
        (dict(target=0.5, begin=-1), 'begin must be finite and not negative'),
        (dict(target=0.5, threshold='x'), "threshold must be a number, .*'x'"),
        (dict(target=0.5, rho=float('inf')), 'rho must be finite .* got inf'),
        (dict(target=0.5, begin=2.5), 'begin must be a whole number, got 2.5'),
        (dict(target=0.5, warmup=True), 'warmup must be a whole number'),
        (dict(target=0.5, interval=0), 'interval must be at least 1'),
        (dict(target=0.5, by_epoch='yes'), 'by_epoch must be True or False'),
        (dict(target=0.5, milestones='0.6'), "must be a list .* got '0.6'"),
        (dict(target=0.5, milestones=0.6), 'must be a list .* got 0.6'),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ProgressiveShrinkHook(**options)


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(target='900G'), "target must be at least .* got '900G'"),
        (dict(target=0.001), 'target must be at least'),
        (dict(target=0.5, milestones=['5X']), r'milestones\[0\] must be a'),
        (dict(target=0.5, milestones=[0.8, 0.8]), 'must be different'),
        (dict(target=0.5, milestones=[0.4]), 'is below the target'),
        (dict(target=0.5, end=24), 'end must be after begin=3 and at most 23'),
        (dict(target=0.5, begin=23), 'end must be after begin=23'),
        (
            dict(rho=0.1, interval=1, begin=99),
            'begin must be before .* got 99',
        ),
        (dict(target=0.5, input_shape=32), 'input shape must be .* got 32'),
        (dict(target=0.5, input_shape='ab'), 'input shape must be .* got a b'),
    ],
)
def test_bad_targets_are_found_before_training(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        run(config(tmp_path, **options))
    assert not list(tmp_path.rglob('*.pth'))
