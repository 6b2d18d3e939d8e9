"""SIGKILL at any moment: the resumed run ends as if nothing had happened."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from killing import train
from mmengine.config import Config


def config(work_dir: Path) -> Config:
    """All that has a state: averages, accumulation, a plan, milestones.

    One checkpoint is kept, and most are written amid an accumulation.
    """
    cfg = tiny.config(
        work_dir,
        max_iters=14,
        ema=dict(momentum=0.3),
        target=0.4,
        rho=None,
        interval=3,
        begin=2,
        end=11,
        milestones=[0.7],
        importance='taylor',
    )
    cfg.val_dataloader.dataset.augment = True  # an evaluation draws too
    cfg.optim_wrapper.accumulative_counts = 2
    cfg.optim_wrapper.clip_grad = dict(max_norm=5)
    cfg.default_hooks.checkpoint.update(
        interval=3, max_keep_ckpts=1, save_best='accuracy', rule='greater'
    )
    return cfg


@pytest.fixture(scope='module')
def whole(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Any, ...]]:
    folder = tmp_path_factory.mktemp('whole')
    torch.set_num_threads(1)
    cfg = config(folder / 'run')
    assert train(cfg, folder / 'end.pth', counts=True) == 0
    model = torch.load(folder / 'run/searched/model.pth')
    end = torch.load(folder / 'end.pth')
    yield *end, dict(model['state_dict'])


# Of all calls in a run; the last are in the writing of the results.
POINTS = 6


@pytest.mark.parametrize('point', range(POINTS))
def test_killed_anywhere(
    tmp_path: Path, whole: tuple[Any, ...], point: int
) -> None:
    end, told, calls, searched = whole
    rng = random.Random(point)
    kill_at = rng.randrange(
        calls * point // POINTS, calls * (point + 1) // POINTS
    )
    assert train(config(tmp_path), kill_at=kill_at) == -9
    cfg = config(tmp_path)
    cfg.resume = True
    cfg.experiment_name += '-again'
    assert train(cfg, tmp_path / 'end.pth') == 0
    found, told_again, _ = torch.load(tmp_path / 'end.pth')
    torch.testing.assert_close(found, end, rtol=0, atol=0)
    assert told_again == told
    model = torch.load(tmp_path / 'searched/model.pth')
    torch.testing.assert_close(
        dict(model['state_dict']), dict(searched), rtol=0, atol=0
    )
