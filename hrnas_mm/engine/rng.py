"""The state of all random number generators, for exact resume."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_world_size
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from ..compat_mmdet3d import shuffle_samplers_


def rng_state() -> dict[str, Any]:
    """Return the state of every global generator, as plain types."""
    kind, keys, *rest = np.random.get_state()
    return dict(
        python=random.getstate(),
        numpy=(kind, keys.tolist(), *rest),
        torch=torch.get_rng_state(),
        cuda=torch.cuda.get_rng_state_all(),
    )


def set_rng_state(state: dict[str, Any]) -> None:
    """Set what :func:`rng_state` returned; parts that are absent stay."""
    if 'python' in state:
        version, keys, gauss = state['python']
        random.setstate((version, tuple(keys), gauss))
    if 'numpy' in state:
        np.random.set_state(tuple(state['numpy']))
    torch.set_rng_state(state['torch'].cpu())
    if len(state['cuda']) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([s.cpu() for s in state['cuda']])


@contextmanager
def forked_rng(seed: int) -> Iterator[None]:
    """Seed all generators; give them their states back afterwards."""
    state = rng_state()
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    try:
        yield
    finally:
        set_rng_state(state)


def own_generators_(runner: Runner) -> None:
    """Give the data loaders generators of their own.

    The global one is then drawn from by the model alone, and its saved state
    is all that an exact resume needs.
    """
    loops = [runner.train_loop, runner.val_loop]
    for loop in filter(None, loops):
        loop.dataloader.generator = torch.Generator().manual_seed(0)


def begin_epoch_(loader: DataLoader, seed: int, epoch: int) -> None:
    """Let what an epoch draws depend on the seed and the epoch alone.

    Workers start anew with seeds of this epoch: those that live on, and those
    that mmengine seeds alike in every epoch, know nothing of a resume.
    """
    with forked_rng(seed + epoch):
        shuffle_samplers_(loader.dataset)
    if not loader.num_workers:
        return  # drawn from the global generators, which are saved
    loader._iterator = None
    loader.generator.manual_seed(seed + epoch)
    init = loader.worker_init_fn
    if isinstance(init, partial) and 'seed' in init.keywords:
        apart = epoch * loader.num_workers * get_world_size()
        loader.worker_init_fn = partial(init, seed=seed + apart)
