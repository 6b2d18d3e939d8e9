"""Recalibration of batch norm: running statistics of the current weights."""

import re
from collections.abc import Iterable
from typing import Any

import torch
from mmengine.dataset import DefaultSampler
from mmengine.dist import all_reduce, get_world_size
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader

from ..compat_mmdet3d import own_samplers
from ..resume.rng import forked_rng
from ..runners import averaged_model, bare_model, evaluated_model
from ..search.modes import in_mode

SEED = 0
# Layers that draw random numbers, also those of other packages.
RANDOM = (nn.modules.dropout._DropoutNd, nn.MultiheadAttention)
RANDOM_NAMES = re.compile('Drop(Path|Block|out)|StochasticDepth')
BatchNorm = nn.modules.batchnorm._BatchNorm


def recalibrate_runner_(runner: Runner, num_batches: int) -> None:
    """Recalibrate what a runner evaluates and saves; call it on all ranks."""
    model = evaluated_model(runner)
    recalibrate_(model, runner.train_dataloader, num_batches)
    averaged = averaged_model(runner)
    if averaged is None or averaged.update_buffers:
        return
    # Without update_buffers EMAHook swaps parameters only: for evaluation the
    # raw model has to have the buffers that belong to the EMA weights.
    with torch.no_grad():
        for target, source in zip(
            bare_model(runner).buffers(), model.buffers()
        ):
            target.copy_(source)


@torch.no_grad()
def recalibrate_(
    model: BaseModel, loader: DataLoader, num_batches: int
) -> None:
    """Replace all running statistics by their mean over some batches.

    Source: HR-NAS, Sec. 3.3. The batches are the same at every call, so
    that the same weights always get the same statistics, and no random
    generator advances. All ranks have to call this.

    Args:
        model: The model without its wrapper. Frozen batch norms keep their
            running statistics.
        loader: Dataloader of the training.
        num_batches: Number of batches per rank.
    """
    norms = trained_norms(model)
    if not norms or not num_batches:
        return
    with (
        in_mode(model, training=True),
        forked_rng(SEED),
        own_samplers(loader.dataset),
    ):
        momenta = [norm.momentum for norm in norms]
        _without_chance_(model)
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the plain mean over batches
        for _, data in zip(range(num_batches), same_batches(loader)):
            data = model.data_preprocessor(data, True)
            _forward(model, data)
        for norm, momentum in zip(norms, momenta):
            norm.momentum = momentum
    if get_world_size() > 1:
        for norm in norms:
            all_reduce(norm.running_mean, 'mean')
            all_reduce(norm.running_var, 'mean')


def _without_chance_(model: nn.Module) -> None:
    """Put the layers of a model that draw random numbers in eval mode.

    They change statistics. All else stays in train mode: many backbones and
    heads compute what a loss needs only then.
    """
    for module in model.modules():
        if isinstance(module, RANDOM) or RANDOM_NAMES.match(
            type(module).__name__
        ):
            module.eval()


def _forward(model: BaseModel, data: Any) -> None:
    # mode='loss' is the only mode that takes training data in all frameworks.
    if isinstance(data, dict):
        model(**data, mode='loss')
    else:
        model(*data, mode='loss')


def trained_norms(model: nn.Module) -> list[BatchNorm]:
    """Return the batch norms whose running statistics training updates."""
    with in_mode(model, training=True):
        return [
            module
            for module in model.modules()
            if isinstance(module, BatchNorm)
            and module.training
            and module.track_running_stats
        ]


def same_batches(loader: DataLoader) -> Iterable[Any]:
    """Return a loader of the same data, always in the same shuffled order."""
    batches: Any = loader.batch_sampler
    batch_size = loader.batch_size or batches.batch_size
    sampler = DefaultSampler(loader.dataset, shuffle=True, seed=SEED)
    return DataLoader(
        loader.dataset,
        batch_size,
        sampler=sampler,
        drop_last=len(sampler) >= batch_size,  # one image has no variance
        num_workers=loader.num_workers,
        collate_fn=loader.collate_fn,
        generator=torch.Generator().manual_seed(SEED),
    )
