"""Ranks on the CPU: all of them remove the same, and keep equal weights."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from killing import Stop
from mmengine.config import Config
from mmengine.runner import Runner
from ranks import free_port, set_rank

from hrnas_mm.compat import use_gloo_
from hrnas_mm.engine.surgery import averaged_model
from hrnas_mm.resume.lock import unlock_
from hrnas_mm.runners import bare_model

WRAPPERS = dict(
    plain={},
    static_graph=dict(static_graph=True),
    find_unused=dict(find_unused_parameters=True),
)
STEPS: dict[str, dict[str, Any]] = dict(
    plain={},
    compiled={},
    stock={},
    accumulated=dict(accumulative_counts=2, clip_grad=dict(max_norm=1.0)),
)


def config(
    folder: Path | str,
    wrapper: dict[str, Any] | None = None,
    step: dict[str, Any] | None = None,
    resume: bool = False,
    launcher: str = 'pytorch',
    compiled: bool = False,
    stock: bool = False,
) -> Config:
    cfg = tiny.config(
        folder,
        max_iters=14,
        ema=dict(momentum=0.5, update_buffers=True),
        end=11,
    )
    cfg.launcher = launcher
    cfg.model_wrapper_cfg = dict(wrapper or {})
    cfg.optim_wrapper.update(step or {})
    cfg.resume = resume
    if 'accumulative_counts' in cfg.optim_wrapper:
        cfg.custom_hooks[0].update(
            target=0.5, rho=None, begin=0, importance='taylor'
        )
    if stock:
        cfg.model.backbone = tiny.STOCK
        cfg.custom_hooks[0].update(target=0.5, rho=None, begin=0)
    if compiled:
        cfg.compile = dict(backend='eager')
        cfg.model.backbone.update(
            stages=tiny.SUPERNET['stages'][:1],
            kernel_sizes=(3,),
            num_tokens=0,
            fuse_channels=None,
        )
        cfg.custom_hooks[0].update(interval=2, end=4)
    cfg.experiment_name += str(resume)
    return cfg


def state_of(runner: Runner) -> dict[str, Any]:
    return dict(
        model=bare_model(runner).state_dict(),
        averaged=averaged_model(runner).state_dict(),
        optimizer=runner.optim_wrapper.optimizer.state_dict(),
        history=tiny.history_of(runner),
    )


def work(
    rank: int, port: int, stop: int | None, folder: str, *args: Any
) -> None:
    torch.set_num_threads(1)
    set_rank(rank, port)
    cfg = config(folder, *args)
    use_gloo_(cfg)
    runner = Runner.from_cfg(cfg)
    if stop:
        runner.register_hook(Stop(stop))
    try:
        runner.train()
    except KeyboardInterrupt:
        assert stop
    assert ('train_step' in vars(runner.model)) is bool(cfg.get('compile'))
    torch.save(state_of(runner), os.path.join(folder, f'rank{rank}.pth'))
    dist.destroy_process_group()


def two_ranks(
    folder: Path, *args: Any, stop: int | None = None
) -> list[dict[str, Any]]:
    """Train on two ranks; return what each of them ends with."""
    # Forked, they need not import everything once more.
    arguments = (free_port(), stop, str(folder), *args)
    mp.start_processes(work, arguments, nprocs=2, start_method='fork')
    return [torch.load(folder / f'rank{rank}.pth') for rank in range(2)]


def shared(state: dict[str, Any]) -> dict[str, Any]:
    """What ranks share: all but the raw model's running statistics."""
    weights = {k: v for k, v in state['model'].items() if 'running' not in k}
    return {**state, 'model': weights}


def assert_equal(first: dict[str, Any], second: dict[str, Any]) -> None:
    assert first['history'] == second['history']
    for part in ('model', 'averaged', 'optimizer'):
        torch.testing.assert_close(first[part], second[part], rtol=0, atol=0)


@pytest.mark.parametrize(
    'wrapper, step',
    [
        ('plain', 'accumulated'),
        ('static_graph', 'accumulated'),
        ('static_graph', 'plain'),
        ('find_unused', 'plain'),
        ('plain', 'compiled'),
        ('plain', 'stock'),
    ],
)
def test_two_ranks_agree(tmp_path: Path, wrapper: str, step: str) -> None:
    compiled = step == 'compiled'  # and again after every shrink
    options, stock = STEPS[step], step == 'stock'
    first, second = two_ranks(
        tmp_path, WRAPPERS[wrapper], options, False, 'pytorch', compiled, stock
    )
    assert_equal(shared(first), shared(second))
    macs = [facts['macs'] for facts in first['history']]
    assert len(macs) >= 3 and macs[0] >= macs[-2] > macs[-1]
    if options:  # the shrink that is due at 3 waits for clean gradients
        assert [f['iter'] for f in first['history']] == [0, 4, 6, 10, 12]


def test_interrupted_two_ranks_end_the_same(tmp_path: Path) -> None:
    """Dropout and augmentation: each rank has generators of its own."""
    step = dict(accumulative_counts=3)
    whole = two_ranks(tmp_path / 'whole', {}, step)
    two_ranks(tmp_path / 'broken', {}, step, stop=9)
    again = two_ranks(tmp_path / 'broken', {}, step, True)
    assert_equal(again[0], whole[0])
    assert_equal(shared(again[1]), shared(whole[1]))


def test_from_two_ranks_to_one_and_back(tmp_path: Path) -> None:
    two_ranks(tmp_path, stop=5)
    cfg = config(tmp_path, resume=True, launcher='none')
    cfg.log_level = 'INFO'
    runner = Runner.from_cfg(cfg)
    runner.register_hook(Stop(9))
    with pytest.raises(KeyboardInterrupt):
        runner.train()
    saved = torch.load(tmp_path / 'iter_4.pth')
    history = tiny.history_of(runner)
    shrinks = tiny.search_of(runner).history.shrinks
    before = saved['search']['history']['shrinks']
    assert list(map(asdict, shrinks[:2])) == before
    assert [facts['iter'] for facts in history] == [0, 3, 6]
    log = ''.join(p.read_text() for p in tmp_path.rglob('*.log'))
    assert 'The checkpoint is of 2 processes, this run has 1' in log
    unlock_(str(tmp_path))  # as if this process had been killed
    first, second = two_ranks(tmp_path, {}, {}, True)
    assert_equal(shared(first), shared(second))
    assert [facts['iter'] for facts in first['history']] == [0, 3, 6, 9, 11]
