"""The hook on real Runners."""

import copy
import json
import logging
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from counting import counted
from killing import broken_off_and_resumed, everything
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from records import make_record
from torch import Tensor, nn

from hrnas_mm.engine import ProgressiveShrinkHook
from hrnas_mm.engine.state import numbers
from hrnas_mm.report.record import Evaluation
from hrnas_mm.report.tables import evaluations_table
from hrnas_mm.runners import bare_model, evaluated_model
from hrnas_mm.search import CostModel, architecture_of

EMA = dict(
    plain=None,
    ema=dict(momentum=0.5),
    buffers=dict(momentum=0.5, update_buffers=True),
    annealing=dict(
        ema_type='MomentumAnnealingEMA',
        momentum=0.5,
        gamma=9,
        update_buffers=True,
    ),
    average=dict(ema_type='StochasticWeightAverage'),
)


def run(cfg: Config) -> Runner:
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner


@pytest.mark.parametrize(
    'ema, by_epoch',
    [
        ('plain', True),
        ('ema', False),
        ('annealing', True),
        ('average', False),
    ],
)
def test_search_shrinks_and_an_interrupted_one_ends_the_same(
    tmp_path: Path, ema: str, by_epoch: bool
) -> None:
    options: dict[str, Any] = dict(
        by_epoch=by_epoch, ema=EMA[ema], max_iters=18
    )
    whole = run(tiny.config(tmp_path / 'whole', **options))
    history = tiny.history_of(whole)
    macs = [facts['macs'] for facts in history]
    assert len(macs) >= 3 and macs[0] > macs[-2] > macs[-1]
    assert macs[-1] == CostModel(bare_model(whole), (3, 32, 32)).total(
        architecture_of(bare_model(whole))
    )

    cfg = tiny.config(tmp_path / 'broken', **options)
    again = broken_off_and_resumed(cfg, run, 14)
    torch.testing.assert_close(
        everything(again), everything(whole), rtol=0, atol=0
    )
    ends = [tiny.search_of(r).history.evaluations[-1] for r in (again, whole)]
    assert ends[0] == ends[1]


class Draws(Hook):
    """Notes what the epochs' first images look like."""

    def __init__(self) -> None:
        self.images: list[Tensor] = []

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None
    ) -> None:
        if batch_idx == 0:
            self.images.append(data_batch['inputs'].clone())


@pytest.mark.parametrize('persistent', [False, True])
def test_epochs_are_augmented_differently(
    tmp_path: Path, persistent: bool
) -> None:
    cfg = tiny.config(tmp_path, max_iters=18, by_epoch=True)
    cfg.train_dataloader.update(
        num_workers=1, persistent_workers=persistent, batch_size=1
    )
    cfg.train_dataloader.dataset.count = 1
    cfg.custom_hooks[0].calibration_batches = 0
    cfg.model.backbone.norm_eval = True
    runner = Runner.from_cfg(cfg)
    draws = Draws()
    runner.register_hook(draws)
    runner.train()
    first, second, third = draws.images
    assert not first.equal(second) and not second.equal(third)


@pytest.mark.parametrize('ema', ['plain', 'ema', 'buffers'])
def test_what_is_evaluated_is_what_is_saved(tmp_path: Path, ema: str) -> None:
    cfg = tiny.config(tmp_path, ema=EMA[ema])
    runner = run(cfg)
    logged = tiny.search_of(runner).history.evaluations
    for name, facts in (
        ('iter_12.pth', logged[1]),
        ('searched/model.pth', logged[1]),
    ):
        cfg = tiny.config(tmp_path / 'test', ema=None)
        cfg.custom_hooks = []
        cfg.load_from = str(tmp_path / name)
        cfg.experiment_name += name
        assert Runner.from_cfg(cfg).test() == facts.metrics, name
    assert facts.iter == 12


def test_a_table_has_the_last_of_many_metrics() -> None:
    metrics = {f'm{i}': float(i) for i in range(30)} | dict(text='a')
    evaluation = Evaluation(40, {}, numbers(metrics))
    table = evaluations_table(make_record(evaluations=[evaluation]))
    names = [name for name, *_ in table.rows]
    assert names == [f'm{i}' for i in range(20, 30)]


def test_results(tmp_path: Path) -> None:
    runner = run(tiny.config(tmp_path, ema=EMA['ema']))
    folder = tmp_path / 'searched'
    written = json.loads((folder / 'architecture.json').read_text())
    model = evaluated_model(runner)
    assert written['units'] == architecture_of(model)
    params = sum(p.numel() for p in model.parameters())
    macs = counted(copy.deepcopy(model), (3, 32, 32))
    assert written['costs'] == dict(macs=macs, params=params)
    assert macs < tiny.history_of(runner)[0]['macs']
    saved = torch.load(folder / 'model.pth', weights_only=True)
    torch.testing.assert_close(
        dict(saved['state_dict']), dict(model.state_dict())
    )
    cfg = Config.fromfile(str(folder / 'config.py'))
    assert not any('Shrink' in h['type'] for h in cfg.custom_hooks)
    cfg.work_dir = str(tmp_path / 'again')
    again = Runner.from_cfg(cfg)
    again.model.load_state_dict(saved['state_dict'])


def test_checkpoints_hold_tensors_and_plain_types(tmp_path: Path) -> None:
    run(tiny.config(tmp_path, ema=EMA['ema']))
    checkpoint = torch.load(tmp_path / 'iter_8.pth', weights_only=True)
    assert {'ema_state_dict', 'optimizer', 'message_hub'} <= set(checkpoint)


class Spy(Hook):
    """Records what the losses and the optimizer saw."""

    priority = 'VERY_LOW'

    def __init__(self) -> None:
        self.losses: list[dict[str, float]] = []

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any,
        outputs: dict[str, Tensor],
    ) -> None:
        self.losses.append({k: v.item() for k, v in outputs.items()})


def test_penalty_is_a_loss_with_warmup_begin_and_end(tmp_path: Path) -> None:
    cfg = tiny.config(
        tmp_path, rho=0.5, warmup=4, begin=2, end=9, threshold=0, max_iters=12
    )
    cfg.optim_wrapper.optimizer.lr = 1e-12  # importance stays at 1
    cfg.optim_wrapper.optimizer.weight_decay = 0
    runner = Runner.from_cfg(cfg)
    spy = Spy()
    runner.register_hook(spy)
    runner.train()
    elements = sum(architecture_of(bare_model(runner)).values())
    seen = [loss.get('loss_resource', 0) for loss in spy.losses]
    factor = [0, 0, 0.25, 0.5, 0.75, 1, 1, 1, 1, 0, 0, 0]
    assert seen == pytest.approx(
        [0.5 * f * elements for f in factor], rel=1e-5
    )
    assert spy.losses[5]['loss'] == pytest.approx(
        spy.losses[5]['loss_ce'] + spy.losses[5]['loss_resource']
    )


def test_shrinks_at_the_interval_and_at_the_end(tmp_path: Path) -> None:
    runner = run(
        tiny.config(tmp_path, interval=4, begin=1, end=11, max_iters=13)
    )
    history = tiny.history_of(runner)
    assert [facts['iter'] for facts in history] == [0, 5, 9, 11]


def test_curves_reach_the_visualizer(tmp_path: Path) -> None:
    cfg = tiny.config(tmp_path)
    cfg.vis_backends = [dict(type='TensorboardVisBackend')]
    cfg.visualizer = dict(
        type='Visualizer',
        vis_backends=cfg.vis_backends,
        save_dir=str(tmp_path / 'vis'),
    )
    runner = run(cfg)
    from tensorboard.backend.event_processing import event_accumulator

    (folder,) = (tmp_path).rglob('events.out*')
    runner.visualizer.close()
    events = event_accumulator.EventAccumulator(str(folder)).Reload()
    curve = [(e.step, e.value) for e in events.Scalars('search/macs')]
    history = tiny.history_of(runner)
    assert curve == [(f['iter'], f['macs']) for f in history]
    assert {'search/params', 'search/k3', 'search/tokens'} <= set(
        events.Tags()['scalars']
    )


def test_a_network_that_would_vanish_stops_the_run(tmp_path: Path) -> None:
    cfg = tiny.config(tmp_path, threshold=100.0, interval=5)
    with pytest.raises(RuntimeError, match='iteration 5: every element'):
        run(cfg)
    torch.load(tmp_path / 'iter_4.pth', weights_only=True)
    assert not (tmp_path / 'searched').exists()


def test_recalibration_is_the_mean_over_batches(tmp_path: Path) -> None:
    """Against statistics taken with hooks, and independent of the past."""
    from hrnas_mm.engine.recalibration import recalibrate_, same_batches

    runner = run(tiny.config(tmp_path))
    model, loader = bare_model(runner), runner.train_dataloader
    recalibrate_(model, loader, 3)
    first = {k: v.clone() for k, v in model.state_dict().items()}
    state = torch.get_rng_state()
    backbone: Any = model.backbone
    norm = backbone.stem[0].norm
    means = []
    from hrnas_mm.resume.rng import forked_rng

    with torch.no_grad(), forked_rng(0):
        for _, data in zip(range(3), same_batches(loader)):
            x = backbone.stem[0].conv(data['inputs'])
            means.append(x.mean((0, 2, 3)))
    torch.testing.assert_close(norm.running_mean, torch.stack(means).mean(0))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.fill_(7)
    recalibrate_(model, loader, 3)
    assert torch.equal(state, torch.get_rng_state())
    for key, value in model.state_dict().items():
        assert torch.equal(value, first[key]), key


def test_recalibration_runs_a_model_as_training_does(tmp_path: Path) -> None:
    """DDRNet, for example, puts out what its loss needs only then."""
    from hrnas_mm.engine.recalibration import recalibrate_

    runner = run(tiny.config(tmp_path))
    model: Any = bare_model(runner)
    model.backbone.stem.append(nn.Dropout(0.5))
    model.eval()
    seen = {}
    for name in ('backbone', 'backbone.stem', 'backbone.stem.0.norm'):
        model.get_submodule(name).register_forward_pre_hook(
            lambda module, _, name=name: seen.update({name: module.training})
        )
    model.backbone.stem[-1].register_forward_pre_hook(
        lambda module, _: seen.update(dropout=module.training)
    )
    recalibrate_(model, runner.train_dataloader, 1)
    assert seen.pop('dropout') is False
    assert len(seen) == 3 and all(seen.values())
    assert not any(module.training for module in model.modules())


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(rho=-1), 'rho must be finite and not negative, got -1'),
        (
            dict(rho=float('nan')),
            'rho must be finite and not negative, got nan',
        ),
        (dict(threshold=-0.1), 'threshold must be finite'),
        (dict(interval=0), 'interval must be at least 1, got 0'),
        (dict(warmup=-1), 'warmup must be finite'),
        (dict(begin=5, end=5), 'end must be after begin=5, got end=5'),
        (dict(cost='flops'), "cost must be 'macs' or 'params' or 'eq6', got"),
        (dict(calibration_batches=-1), 'calibration_batches must be finite'),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ProgressiveShrinkHook(**{**dict(interval=1, rho=1.0), **options})


def test_wrong_channels_are_found_before_training(tmp_path: Path) -> None:
    cfg = tiny.config(tmp_path)
    cfg.train_dataloader.dataset.channels = 1
    with pytest.raises(ValueError, match='in_channels is 3, .* 1 channels'):
        run(cfg)
    assert not list(tmp_path.rglob('*.pth'))


def test_model_without_search_units_is_refused(tmp_path: Path) -> None:
    cfg = tiny.config(tmp_path)
    cfg.model.backbone = dict(
        type='Conv2d', in_channels=3, out_channels=6, kernel_size=1
    )
    from mmengine.registry import MODELS

    if 'Conv2d' not in MODELS:
        MODELS.register_module('Conv2d', module=nn.Conv2d)
    with pytest.raises(ValueError, match='must have search units'):
        run(cfg)


def test_input_shape_has_to_come_from_somewhere(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='input_shape must be given'):
        run(tiny.config(tmp_path, input_shape=None))


def test_log_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cfg = tiny.config(tmp_path)
    cfg.log_level = 'INFO'
    runner = run(cfg)
    text = next((tmp_path).rglob('*.log')).read_text()
    lines = [x for x in text.splitlines() if 'G multiply-adds (' in x]
    assert len(lines) == len(tiny.history_of(runner))
    for part in (
        'G multiply-adds (',
        'M parameters',
        '3x3 ',
        '5x5 ',
        'tokens ',
        'removed ',
    ):
        assert part in lines[-1]
    assert 'supernet' in text and 'M parameters' in text
    logging.shutdown()
