"""Part of the rehearsal: a batch is evaluated."""

from copy import deepcopy
from itertools import cycle, islice
from typing import Any

import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.hooks import CheckpointHook
from mmengine.registry import EVALUATOR, HOOKS

from hrnas_mm.search_in_config import is_of_type
from hrnas_mm.spelling import like

from .tracing import failing

# Metrics that need the predictions of a whole data set, or write files.
OF_ALL = (
    'KittiMetric',
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


def evaluate_batch(
    cfg: Config, model: Any, loader: Any, saving: CheckpointHook | None
) -> None:
    """Evaluate a batch, and look for the metric of ``save_best`` in it.

    Args:
        cfg: Config of a training.
        model: Model in evaluation mode.
        loader: Dataloader of the evaluation.
        saving: Hook that saves checkpoints.

    Raises:
        ValueError: If it fails, or there is no such metric.
    """
    batch, samples = _predicted(model, loader)
    with failing('val_evaluator', cfg.val_evaluator):
        evaluator = _evaluator(cfg.val_evaluator)
        evaluator.dataset_meta = getattr(loader.dataset, 'metainfo', None)
        evaluator.process(samples, batch)
    found = _metrics(evaluator, len(loader.dataset))
    wanted = getattr(saving, 'key_indicators', None) or []
    for name in wanted if found else ():
        if name not in (*found, 'auto'):
            raise ValueError(
                'default_hooks.checkpoint.save_best must be a metric of '
                f'val_evaluator, {", ".join(found)}, got {name!r}'
                f'{like(name, found)}'
            )


def _predicted(model: Any, loader: Any) -> tuple[Any, Any]:
    """Return a batch and what the model predicts for it."""
    with failing('val_dataloader', loader.dataset):
        one = loader.collate_fn([loader.dataset[0]])
    with torch.no_grad(), failing('model', model):
        model.val_step(one)
    size = f'val_dataloader.batch_size={loader.batch_size}'
    with torch.no_grad(), failing(size):  # a single one does not
        batch = next(iter(loader))
        return batch, model.val_step(batch)


def checkpoint_hook(cfg: Config) -> CheckpointHook | None:
    """Build the default hook that saves checkpoints, if there is one."""
    hooks = cfg.get('default_hooks') or {}
    for name, hook in hooks.items():
        if hook and is_of_type(hook, 'CheckpointHook'):
            with failing(f'default_hooks.{name}'):
                return HOOKS.build(deepcopy(hook))
    return None


def _evaluator(cfg: Any) -> Evaluator:
    """Build an evaluator as mmengine's Runner does."""
    if isinstance(cfg, dict) and 'metrics' in cfg:
        return EVALUATOR.build({'type': 'Evaluator', **cfg})
    return Evaluator(cfg)


def _metrics(evaluator: Evaluator, size: int) -> list[str]:
    """Return the names of all metrics; none if they cannot be known."""
    names: list[str] = []
    known = True
    for metric in evaluator.metrics:
        if type(metric).__name__ in OF_ALL:
            known = False
            continue
        with failing('val_evaluator'):
            values = _values(metric, size)
        known &= bool(values)
        names += values
    return names if known else []


def _values(metric: BaseMetric, size: int) -> dict[str, Any]:
    """Compute a metric from the results of a batch.

    Some count them: if it fails, there are as many as samples, by repetition.
    """
    results = deepcopy(metric.results)
    try:
        return metric.evaluate(size)
    except Exception:
        metric.results = list(islice(cycle(results), size))
        return metric.evaluate(size)
