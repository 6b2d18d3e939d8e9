"""A rehearsal: one step and one evaluated batch, before a run begins."""

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from copy import deepcopy
from itertools import islice
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.evaluator import Evaluator
from mmengine.hooks import CheckpointHook
from mmengine.model import BaseModel
from mmengine.optim import build_optim_wrapper
from mmengine.registry import EVALUATOR, HOOKS, PARAM_SCHEDULERS
from mmengine.runner import Runner
from torch import nn

from hrnas_mm.building import fit_to_framework_
from hrnas_mm.check_pairs import check_pairs
from hrnas_mm.compat import plain_loading
from hrnas_mm.engine.check_samples import check_fit, smallest_batch
from hrnas_mm.engine.learning import check_terms, learns, not_learning
from hrnas_mm.resume.rng import forked_rng
from hrnas_mm.search_in_config import is_of_type
from hrnas_mm.spelling import like

from .check_config import in_a_line
from .quiet import quiet
from .tracing import place_of

# Where launchers say which of several processes this is.
RANKS = ('RANK', 'SLURM_PROCID', 'OMPI_COMM_WORLD_RANK')
# Batches of which one has to give the model a gradient.
TRIED_BATCHES = 3
# Metrics that need the predictions of a whole data set, or write files.
OF_ALL = (
    'NuScenesMetric',
    'LyftMetric',
    'WaymoMetric',
    'CityScapesMetric',
    'CocoPanopticMetric',
    'CocoVideoMetric',
    'MOTChallengeMetric',
    'YouTubeVISMetric',
    'ReIDMetrics',
    'DumpResults',
    'DumpDetResults',
    'DumpProposals',
    'NocapsSave',
)


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
    with forked_rng(0), quiet():
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


class Rehearsal:
    """What a config describes, tried out in one process.

    Args:
        cfg: Config of a training; it is modified.
        model: Model of the config.
    """

    def __init__(self, cfg: Config, model: Any) -> None:
        fit_to_framework_(cfg)
        self.cfg = cfg
        with self._failing('model', model), plain_loading():
            if hasattr(model, 'init_weights'):
                model.init_weights()
            self.model: Any = model.to(get_device())

    @contextlib.contextmanager
    def _failing(self, key: str, *owners: Any) -> Iterator[None]:
        """Turn any error into one that names the key of what fails.

        Raises:
            ValueError: In place of the error.
        """
        try:
            yield
        except Exception as error:
            places = [place_of(error, key, owner) for owner in owners]
            place = next(filter(None, places), key)
            raise ValueError(
                f'{place} fails in the rehearsal: {in_a_line(error)}'
            ) from error

    def _loader(self, key: str) -> Any:
        """Build a dataloader that loads in this process."""
        cfg = dict(self.cfg[key], num_workers=0, persistent_workers=False)
        cfg.pop('prefetch_factor', None)
        with self._failing(key):
            loader: Any = Runner.build_dataloader(cfg, seed=0)
        check_pairs(self.cfg, key, loader.dataset)
        return loader

    def train(self) -> None:
        """Make a training step, and try a batch of one if there is any."""
        model = self.model.train()
        loader = self._loader('train_dataloader')
        with self._failing('train_dataloader.dataset', loader.dataset):
            if len(loader.dataset):
                loader.dataset[0]
        check_fit(loader, model)
        with self._failing('optim_wrapper'):
            wrapper = build_optim_wrapper(model, self.cfg.optim_wrapper)
        smallest = smallest_batch(loader)
        if getattr(type(model), 'train_step', None) is BaseModel.train_step:
            self._make_step(loader, wrapper)
            if smallest == 1 != loader.batch_size:
                self._try_one(loader)
        self._check_schedulers(wrapper, len(loader))

    def _make_step(self, loader: Any, wrapper: Any) -> None:
        model = self.model
        losses: Mapping[str, Any] = {}
        for batch in islice(loader, TRIED_BATCHES):
            with wrapper.optim_context(model):
                losses = self._losses(batch)
            with self._failing('model', model):
                wrapper.backward(model.parse_losses(losses)[0])
            if learns(model):
                break
        else:
            raise ValueError(not_learning(losses))
        with self._failing('optim_wrapper'):
            wrapper.step()
            wrapper.zero_grad()

    def _losses(self, batch: Any) -> Mapping[str, Any]:
        model = self.model
        with self._failing('data_preprocessor', model):
            data = model.data_preprocessor(batch, True)
        with self._failing('model', model):
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

    def _check_schedulers(self, wrapper: Any, length: int) -> None:
        schedulers = self.cfg.get('param_scheduler') or []
        if isinstance(schedulers, dict):
            schedulers = [schedulers] if 'type' in schedulers else []
        for i, scheduler in enumerate(schedulers):
            with self._failing(f'param_scheduler[{i}]'):
                PARAM_SCHEDULERS.build(
                    dict(scheduler),
                    default_args=dict(optimizer=wrapper, epoch_length=length),
                )

    def evaluate(self) -> None:
        """Evaluate a batch, and look for the metric of ``save_best`` in it."""
        saving = self._saving()
        if self.cfg.get('val_cfg') is None:
            return
        loader = self._loader('val_dataloader')
        self.model.eval()
        batch, samples = self._predicted(loader)
        with self._failing('val_evaluator'):
            evaluator = _evaluator(self.cfg.val_evaluator)
            evaluator.dataset_meta = getattr(loader.dataset, 'metainfo', None)
            evaluator.process(samples, batch)
        found = self._metrics(evaluator, len(loader.dataset))
        wanted = getattr(saving, 'key_indicators', None) or []
        for name in wanted if found else ():
            if name not in (*found, 'auto'):
                raise ValueError(
                    'default_hooks.checkpoint.save_best must be a metric of '
                    f'val_evaluator, {", ".join(found)}, got {name!r}'
                    f'{like(name, found)}'
                )

    def _predicted(self, loader: Any) -> tuple[Any, Any]:
        """Return a batch and what the model predicts for it."""
        with self._failing('val_dataloader', loader.dataset):
            one = loader.collate_fn([loader.dataset[0]])
        with torch.no_grad(), self._failing('model', self.model):
            self.model.val_step(one)
        size = f'val_dataloader.batch_size={loader.batch_size}'
        with torch.no_grad(), self._failing(size):  # a single one does not
            batch = next(iter(loader))
            return batch, self.model.val_step(batch)

    def _saving(self) -> CheckpointHook | None:
        hooks = self.cfg.get('default_hooks') or {}
        for name, hook in hooks.items():
            if hook and is_of_type(hook, 'CheckpointHook'):
                with self._failing(f'default_hooks.{name}'):
                    return HOOKS.build(deepcopy(hook))
        return None

    def _metrics(self, evaluator: Evaluator, size: int) -> list[str]:
        """Return the names of all metrics; none if they cannot be known."""
        names: list[str] = []
        known = True
        for metric in evaluator.metrics:
            if type(metric).__name__ in OF_ALL:
                known = False
                continue
            with self._failing('val_evaluator'):
                values = metric.evaluate(size)
            known &= bool(values)
            names += values
        return names if known else []


def _evaluator(cfg: Any) -> Evaluator:
    """Build an evaluator as mmengine's Runner does."""
    if isinstance(cfg, dict) and 'metrics' in cfg:
        return EVALUATOR.build({'type': 'Evaluator', **cfg})
    return Evaluator(cfg)
