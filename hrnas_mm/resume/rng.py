"""The state of all random number generators, for exact resume."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import Any, cast

import numpy as np
import torch
from mmengine.dist import get_world_size
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from ..compat_mmdet3d import shuffle_samplers_

RngState = dict[str, Any]


def rng_state() -> RngState:
    """Return the states of all global generators: plain types and tensors."""
    kind, keys, *rest = cast(tuple[Any, ...], np.random.get_state())
    return dict(
        python=random.getstate(),
        numpy=(kind, keys.tolist(), *rest),
        torch=torch.get_rng_state(),
        cuda=torch.cuda.get_rng_state_all(),
    )


def set_rng_state(state: RngState) -> None:
    """Set the states that :func:`rng_state` returned."""
    version, keys, gauss = state['python']
    random.setstate((version, tuple(keys), gauss))
    np.random.set_state(tuple(state['numpy']))
    torch.set_rng_state(state['torch'].cpu())
    if len(state['cuda']) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([s.cpu() for s in state['cuda']])


@contextmanager
def forked_rng(seed: int) -> Iterator[None]:
    """Seed all generators and restore their states afterwards."""
    state = rng_state()
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    try:
        yield
    finally:
        set_rng_state(state)


def own_generators_(runner: Runner) -> None:
    """Give the dataloaders random generators of their own.

    Then only the model draws from the global generator, whose saved state is
    all that an exact resume needs.
    """
    loops = [runner.train_loop, runner.val_loop]
    for loop in filter(None, loops):
        loop.dataloader.generator = torch.Generator().manual_seed(0)


def restore_before_new_data_(
    runner: Runner, state: RngState, past: int
) -> None:
    """Set all generators before a resumed run draws its first new batch.

    First all past batches are drawn again, which advances them: by
    IterBasedTrainLoop itself, or here those of an unfinished epoch.

    Args:
        runner: The runner, of any loop.
        state: The states that they had when the checkpoint was made.
        past: Number of batches that an unfinished epoch has seen.
    """
    loop = runner.train_loop
    if hasattr(loop, 'dataloader_iterator'):
        loop.dataloader_iterator = _Restoring(loop, state)
    elif past:
        loop.run_epoch = partial(_finish_epoch, runner, state, past)
    else:
        set_rng_state(state)


def _finish_epoch(runner: Runner, state: RngState, past: int) -> None:
    """Run an epoch without the batches that it has already seen.

    EpochBasedTrainLoop starts the epoch over, and trains longer than it says.
    Upstream: open-mmlab/mmengine#1205. Can be removed when it is mended there.
    """
    loop: Any = runner.train_loop
    del loop.run_epoch  # the next one is whole
    runner.call_hook('before_train_epoch')
    runner.model.train()
    batches = enumerate(loop.dataloader)
    for _ in islice(batches, past):
        pass
    set_rng_state(state)
    for index, batch in batches:
        loop.run_iter(index, batch)
    runner.call_hook('after_train_epoch')
    loop._epoch += 1


class _Restoring:
    """An iterator over past batches that then restores generators and loop."""

    def __init__(self, loop: Any, state: RngState) -> None:
        self.loop = loop
        self.batches = loop.dataloader_iterator
        self.past = loop.iter
        self.state = state

    def __next__(self) -> Any:
        if self.past == 0:
            set_rng_state(self.state)
            self.loop.dataloader_iterator = self.batches
        self.past -= 1
        return next(self.batches)

    def skip_iter(self, count: int) -> None:
        """Skip batches as OneDL's loop asks for, but load each of them.

        A loader's workers draw augmentations; those that load nothing would
        augment the next batches differently.
        """
        for _ in range(count):
            next(self)


def begin_epoch_(loader: DataLoader, seed: int, epoch: int) -> None:
    """Make what an epoch draws depend on the seed and the epoch alone.

    Workers start anew with seeds of this epoch: persistent workers, and those
    that mmengine seeds alike in every epoch, do not know of a resume.
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
