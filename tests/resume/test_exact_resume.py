"""Any run of mmengine's Runner ends as if it had not been killed."""

import random
from pathlib import Path
from typing import Any

import mmengine.runner.runner
import mmengine.runner.utils
import numpy as np
import pytest
import tiny
import torch
from killing import broken_off_and_resumed, everything, train
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS, MODELS
from mmengine.runner import Runner
from torch import Tensor

from hrnas_mm.building import build_runner
from hrnas_mm.resume import ExactResumeHook, resume_exactly_


@MODELS.register_module()
class Mixing(tiny.TinyModel):
    """Mixes images with weights from numpy and random, as MixUp does."""

    def forward(
        self,
        inputs: Tensor,
        labels: Tensor | None = None,
        mode: str = 'tensor',
    ) -> Any:
        if mode == 'loss':
            share = 0.3 * np.random.rand() + 0.3 * random.random()
            inputs = (1 - share) * inputs + share * inputs.flip(0)
        return super().forward(inputs, labels, mode)


def config(
    work_dir: Path, by_epoch: bool = False, workers: int = 0, **options: Any
) -> Config:
    """A run without a search, that keeps one checkpoint of them all."""
    cfg = tiny.config(work_dir, 12, by_epoch, ema=dict(momentum=0.3))
    cfg.custom_hooks = cfg.custom_hooks[1:]
    cfg.model.type = 'Mixing'
    cfg.train_dataloader.update(
        num_workers=workers, persistent_workers=workers > 0
    )
    cfg.val_dataloader.dataset.augment = True  # an evaluation draws too
    cfg.randomness.seed = None  # nobody has chosen one
    cfg.optim_wrapper.accumulative_counts = 3
    cfg.default_hooks.checkpoint.update(
        max_keep_ckpts=1, save_best='accuracy', rule='greater'
    )
    cfg.merge_from_dict(options)
    return cfg


@pytest.mark.parametrize(
    'by_epoch, workers', [(False, 0), (False, 1), (True, 0), (True, 1)]
)
def test_killed_run_without_a_search(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    by_epoch: bool,
    workers: int,
) -> None:
    def draw(seed: int) -> None:
        monkeypatch.setattr(
            mmengine.runner.utils, 'sync_random_seed', lambda: seed
        )

    def end(name: str, **options: Any) -> tuple[int, Any]:
        path = tmp_path / f'{name}.pth'
        cfg = config(tmp_path / name, by_epoch, workers)
        code = train(cfg, path, **options)
        return code, torch.load(path) if path.exists() else None

    draw(3)
    code, (whole, _, calls) = end('whole', counts=True)
    assert code == 0
    code, _ = end('broken', kill_at=calls * 3 // 4)
    assert code == -9
    draw(99)
    cfg = config(tmp_path / 'broken', by_epoch, workers, resume=True)
    cfg.experiment_name += '-again'
    assert train(cfg, tmp_path / 'again.pth') == 0
    again, *_ = torch.load(tmp_path / 'again.pth')
    torch.testing.assert_close(again, whole, rtol=0, atol=0)


@pytest.mark.parametrize('workers, at', [(0, 7), (1, 11)])
def test_an_epoch_that_was_broken_off_is_finished(
    tmp_path: Path, workers: int, at: int
) -> None:
    """Epochs have six iterations, and there are checkpoints of every third."""

    def run(cfg: Config) -> tuple[Any, ...]:
        runner = build_runner(cfg)
        runner.train()
        return everything(runner), runner.iter, runner.epoch

    def made(name: str) -> Config:
        cfg = config(tmp_path / name, True, workers)
        cfg.randomness.seed = 3
        cfg.optim_wrapper.accumulative_counts = 2
        cfg.default_hooks.checkpoint.update(by_epoch=False, interval=3)
        return cfg

    whole = run(made('whole'))
    again = broken_off_and_resumed(made('broken'), run, at)
    assert again[1:] == whole[1:] == (12, 2)
    torch.testing.assert_close(again[0], whole[0], rtol=0, atol=0)


@pytest.mark.parametrize('by_epoch', [False, True])
def test_evaluation_that_was_broken_off_is_made_up_for(
    tmp_path: Path, by_epoch: bool
) -> None:
    def run(cfg: Config) -> tuple[Any, ...]:
        runner = build_runner(cfg)
        runner.train()
        (early,) = [
            hook for hook in runner.hooks if hasattr(hook, 'wait_count')
        ]
        (plateau,) = runner.param_schedulers
        return everything(runner), dict(
            early=(early.wait_count, early.best_score),
            best=[p.name for p in Path(runner.work_dir).glob('best_*')],
            best_score=runner.message_hub.get_info('best_score'),
            plateau=plateau.state_dict(),
        )

    def made(name: str) -> Config:
        cfg = config(tmp_path / name, by_epoch)
        cfg.randomness.seed = 3
        # As if less were better: some evaluation has to disappoint.
        monitor = dict(monitor='accuracy', rule='less')
        cfg.param_scheduler = dict(
            type='ReduceOnPlateauLR', patience=0, **monitor
        )
        cfg.custom_hooks.append(
            dict(type='EarlyStoppingHook', patience=9, **monitor)
        )
        cfg.default_hooks.checkpoint.interval = 1 if by_epoch else 3
        if not by_epoch:
            cfg.train_cfg.val_interval = 3
        return cfg

    whole = run(made('whole'))
    assert whole[1]['early'][0] > 0
    again = broken_off_and_resumed(made('broken'), run, 6, evaluates=True)
    torch.testing.assert_close(again[0], whole[0], rtol=0, atol=0)
    assert again[1] == whole[1]


def test_its_checkpoints_load_without_running_code(tmp_path: Path) -> None:
    build_runner(config(tmp_path)).train()
    path = tmp_path / 'iter_12.pth'
    checkpoint = torch.load(path, weights_only=True)
    assert {'optimizer', 'ema_state_dict', 'rng_state'} <= set(checkpoint)
    cfg = config(tmp_path / 'test', load_from=str(path))
    cfg.custom_hooks = []  # the averaged weights are in the state_dict
    assert 0 < build_runner(cfg).test()['accuracy'] <= 1


@HOOKS.register_module()
class Late(Hook):
    """Comes after all others, and adds what would have to run code."""

    priority = 'LOWEST'

    def before_save_checkpoint(
        self, runner: Runner, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint['late'] = dict(array=np.ones(2), hook=self)


def test_what_the_last_hook_adds_is_made_plain_too(tmp_path: Path) -> None:
    cfg = config(tmp_path, log_level='INFO')
    cfg.custom_hooks = [dict(type='hrnas_mm.ExactResumeHook')]
    runner = build_runner(cfg)
    runner.register_hook(Late())
    assert runner.hooks[-1].__class__ is Late
    runner.train()
    saved = torch.load(tmp_path / 'iter_12.pth', weights_only=True)
    assert saved['late'] == dict(array=[1.0, 1.0])
    log = next(tmp_path.rglob('*.log')).read_text()
    assert "late['hook'], of type Late, is left out" in log


def test_a_runner_gets_one_hook(tmp_path: Path) -> None:
    runner = Runner.from_cfg(config(tmp_path))
    for _ in range(2):
        resume_exactly_(runner)
    assert sum(isinstance(h, ExactResumeHook) for h in runner.hooks) == 1


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What happens around checkpoints, in its order."""
    import hrnas_mm.engine.progressive_shrink_hook as search
    import hrnas_mm.resume.exact_resume_hook as resume

    told = []

    def spy(module: Any, name: str, what: str) -> None:
        function = getattr(module, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            told.append(what)
            return function(*args, **kwargs)

        monkeypatch.setattr(module, name, call)

    spy(search, 'recalibrate_runner_', 'recalibrate')
    spy(search, 'describe_architecture', 'describe')
    spy(resume, 'gather_state', 'gather')
    spy(resume, 'plain_checkpoint_', 'make plain')
    spy(torch, 'save', 'save')
    spy(search, 'apply_architecture_to_runner_', 'architecture')
    spy(resume, 'check_whole', 'check')
    spy(mmengine.runner.runner, '_load_checkpoint_to_model', 'weights')
    spy(torch.optim.AdamW, 'load_state_dict', 'optimizer')
    spy(resume, 'restore_state_', 'generators')
    return told


def test_order_with_a_search(tmp_path: Path, told: list[str]) -> None:
    cfg = tiny.config(tmp_path, max_iters=4)
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    Runner.from_cfg(cfg).train()
    first = told.index('recalibrate')
    assert told[first : first + 5] == [
        'recalibrate', 'gather', 'describe', 'make plain', 'save',
    ]  # fmt: skip
    told.clear()
    cfg = tiny.config(tmp_path, max_iters=6)
    cfg.resume = True
    cfg.experiment_name += '-again'
    Runner.from_cfg(cfg).train()
    assert told[:4] == ['architecture', 'check', 'weights', 'optimizer']
    assert told.index('generators') > told.index('optimizer')
