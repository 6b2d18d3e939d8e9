"""A rehearsal: one step and one evaluated batch, before a run begins."""

import contextlib
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from itertools import islice
from statistics import fmean
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import MessageHub
from mmengine.model import BaseModel
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS
from mmengine.runner import Runner
from torch import nn

from hrnas_mm.building import fit_to_framework_
from hrnas_mm.check_pairs import check_pairs, telling_of_nothing
from hrnas_mm.compat import plain_loading
from hrnas_mm.engine.check_samples import (
    check_end,
    check_fit,
    smallest_batch,
)
from hrnas_mm.engine.learning import check_terms, learns, not_learning
from hrnas_mm.engine.plan import make_schedule
from hrnas_mm.resume.rng import forked_rng

from .check_config import search_options
from .evaluating import checkpoint_hook, evaluate_batch
from .quiet import quiet
from .tracing import failing

# Where launchers say which of several processes this is.
RANKS = ('RANK', 'SLURM_PROCID', 'OMPI_COMM_WORLD_RANK')
# Batches of which one has to give the model a gradient.
TRIED_BATCHES = 3
TIMED_STEPS = 2
LONG = 5.0  # seconds of a step, after which it is not timed again


def rehearse(cfg: Config, model: nn.Module) -> None:
    """Make one training step and evaluate one batch, and forget both.

    Random generators are left as they were, so that a run is the same with a
    rehearsal or without.

    Args:
        cfg: Config of a training, which is left as it is.
        model: Model of the config, which is not used afterwards.

    Raises:
        ValueError: If something fails; the message names the config key.
    """
    # The first rank stands for all: a step of several would need them all.
    if any(os.environ.get(name, '0') != '0' for name in RANKS):
        return
    begun = time.perf_counter()
    cfg = deepcopy(cfg)
    with forked_rng(0), quiet(), _own_message_hub():
        rehearsal = Rehearsal(cfg, model)
        rehearsal.train()
        rehearsal.evaluate()
    if torch.cuda.is_available():
        del rehearsal
        torch.cuda.empty_cache()
    print(
        'Rehearsal: a training step and an evaluated batch took '
        f'{time.perf_counter() - begun:.1f} s (--no-rehearsal skips them)',
        flush=True,
    )


def time_step(cfg: Config, model: nn.Module) -> tuple[float, int]:
    """Return the seconds of a training step, and how many steps a run has.

    Args:
        cfg: Config of a training, which is left as it is.
        model: Model of the config, which is not used afterwards.

    Raises:
        ValueError: If a step fails; see :func:`rehearse`.
    """
    cfg = deepcopy(cfg)
    with forked_rng(0), quiet(), _own_message_hub():
        rehearsal = Rehearsal(cfg, model)
        loader, wrapper = rehearsal.train()  # the first step takes longer
        steps = _lengths(cfg.train_cfg, len(loader))['max_iters']
        return rehearsal.time_step(loader, wrapper), steps


@contextlib.contextmanager
def _own_message_hub() -> Iterator[None]:
    """Keep what parts of a config tell each other from those of the run."""
    name = 'rehearsal'
    MessageHub.get_instance(name)
    try:
        yield
    finally:
        MessageHub._instance_dict.pop(name)


class Rehearsal:
    """What a config describes, tried out in one process.

    Args:
        cfg: Config of a training; it is modified.
        model: Model of the config.
    """

    def __init__(self, cfg: Config, model: Any) -> None:
        fit_to_framework_(cfg)
        self.cfg = cfg
        with failing('model', model), plain_loading():
            if hasattr(model, 'init_weights'):
                model.init_weights()
            self.model: Any = model.to(get_device())

    def _loader(self, key: str) -> Any:
        """Build a dataloader that loads in this process."""
        cfg = dict(self.cfg[key], num_workers=0, persistent_workers=False)
        cfg.pop('prefetch_factor', None)
        with telling_of_nothing(f'{key}.dataset'), failing(key, cfg):
            loader: Any = Runner.build_dataloader(cfg, seed=0)
        check_pairs(self.cfg, key, loader.dataset)
        return loader

    def train(self) -> tuple[Any, Any]:
        """Make a training step, and try a batch of one if there is any.

        Returns:
            The dataloader and the optimizer wrapper.
        """
        model = self.model.train()
        loader = self._loader('train_dataloader')
        with failing('train_dataloader.dataset', loader.dataset):
            if len(loader.dataset):
                loader.dataset[0]
        check_fit(loader, model)
        with failing('optim_wrapper'):
            wrapper = build_optim_wrapper(model, self.cfg.optim_wrapper)
        smallest = smallest_batch(loader)
        if 'max_epochs' in self.cfg.train_cfg:
            check_end('train_dataloader', loader)
        lengths = _lengths(self.cfg.train_cfg, len(loader))
        self._check_schedules(wrapper, len(loader), **lengths)
        # As mmengine's RuntimeInfoHook does; some parts of models ask for it.
        MessageHub.get_current_instance().update_info_dict(
            dict(epoch=0, iter=0, **lengths)
        )
        if getattr(type(model), 'train_step', None) is BaseModel.train_step:
            self._make_step(loader, wrapper)
            if smallest == 1 != loader.batch_size:
                self._try_one(loader)
        return loader, wrapper

    def time_step(self, loader: Any, wrapper: Any) -> float:
        """Return the mean time of a few steps on a batch, without loading."""
        # Not from its sampler: mmengine's infinite one is iterated once.
        size = min(loader.batch_size or 1, len(loader.dataset))
        batch = loader.collate_fn([loader.dataset[i] for i in range(size)])
        times: list[float] = []
        while len(times) < TIMED_STEPS and sum(times) < LONG:
            again = deepcopy(batch)
            begun = time.perf_counter()
            self._make_step([again], wrapper)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            times.append(time.perf_counter() - begun)
        return fmean(times)

    def _make_step(self, batches: Iterable[Any], wrapper: Any) -> None:
        model = self.model
        losses: Mapping[str, Any] = {}
        for batch in islice(batches, TRIED_BATCHES):
            with wrapper.optim_context(model):
                losses = self._losses(batch)
            with failing('model', model):
                wrapper.backward(model.parse_losses(losses)[0])
            if learns(model):
                break
        else:
            raise ValueError(not_learning(losses))
        with failing('optim_wrapper'):
            wrapper.step()
            wrapper.zero_grad()

    def _losses(self, batch: Any) -> Mapping[str, Any]:
        model = self.model
        with failing('data_preprocessor', model):
            data = model.data_preprocessor(batch, True)
        with failing('model', model):
            losses: Mapping[str, Any] = model._run_forward(data, mode='loss')
        check_terms(losses, self.cfg)
        return losses

    def _try_one(self, loader: Any) -> None:
        """Try a last batch of one image, on which batch norm may fail."""
        batch = loader.collate_fn([loader.dataset[0]])
        try:
            self._losses(batch)
        except ValueError as error:
            raise ValueError(
                f'train_dataloader has {len(loader.sampler)} images, of which '
                f'batch_size={loader.batch_size} leaves one to the last '
                f'batch of an epoch: {error}. drop_last=True leaves it out'
            ) from error

    def _check_schedules(
        self, wrapper: Any, length: int, max_epochs: int, max_iters: int
    ) -> None:
        """Check the schedules, now that the length of an epoch is known."""
        schedulers = self.cfg.get('param_scheduler') or []
        if isinstance(schedulers, dict):
            schedulers = [schedulers] if 'type' in schedulers else []
        for i, scheduler in enumerate(schedulers):
            by_epoch = scheduler.get('by_epoch', True)
            with failing(f'param_scheduler[{i}]'):
                PARAM_SCHEDULERS.build(
                    {
                        'end': max_epochs if by_epoch else max_iters,
                        **scheduler,
                    },
                    default_args=dict(optimizer=wrapper, epoch_length=length),
                )
        together = getattr(wrapper, '_accumulative_counts', 1)
        for options in search_options(self.cfg):
            make_schedule(options, max_iters, length, together)

    def evaluate(self) -> None:
        """Evaluate a batch, and look for the metric of ``save_best`` in it."""
        saving = checkpoint_hook(self.cfg)
        if self.cfg.get('val_cfg') is not None:
            loader = self._loader('val_dataloader')
            check_end('val_dataloader', loader)
            evaluate_batch(self.cfg, self.model.eval(), loader, saving)


def _lengths(loop: Mapping[str, Any], batches: int) -> dict[str, int]:
    """Return the epochs and iterations of a run, as its loop counts them."""
    epochs = loop.get('max_epochs')
    if epochs is None:
        return dict(max_epochs=1, max_iters=loop.get('max_iters', batches))
    return dict(max_epochs=epochs, max_iters=epochs * batches)
