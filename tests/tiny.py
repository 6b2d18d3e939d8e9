"""A supernet, a model and a data set that train in milliseconds."""

import random
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, METRICS, MODELS
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from hrnas_mm.engine import ProgressiveShrinkHook
from hrnas_mm.engine.search import Search
from hrnas_mm.models import HRNASSupernet

Model = TypeVar('Model', bound=nn.Module)
SUPERNET: dict[str, Any] = dict(
    stem_channels=(4, 6),
    stages=(
        dict(num_blocks=(1,), num_channels=(6,)),
        dict(num_blocks=(1, 1), num_channels=(4, 8)),
    ),
    kernel_sizes=(3, 5),
    expand_ratio=2,
    num_tokens=4,
    token_size=4,
    transformer=dict(head_dims=8, ffn_dims=16),
    fuse_channels=6,
)


def supernet(**options: Any) -> HRNASSupernet:
    return HRNASSupernet(**{**SUPERNET, **options})


def two_branches(config: str) -> dict[str, Any]:
    """Options of a demo config: it exports in half the time of three."""
    options: dict[str, Any] = {
        'model.backbone.stages': (
            dict(num_blocks=(1,), num_channels=(12,)),
            dict(num_blocks=(1, 1), num_channels=(12, 24)),
        )
    }
    if config.startswith('mmdet/'):
        options['model.neck.in_channels'] = [12, 24]
    if config.startswith('mmpretrain'):
        options['model.neck.0.in_channels'] = (12, 24)
        options['model.neck.0.mid_channels'] = (24, 48)
    return options


def with_statistics(model: Model) -> Model:
    """As after training: no norm is an identity."""
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.1)
    return model


def layer(a: int, b: int, kernel: int = 3, **options: Any) -> nn.Sequential:
    conv = nn.Conv2d(a, b, kernel, padding=kernel // 2, bias=False, **options)
    return nn.Sequential(conv, nn.BatchNorm2d(b), nn.ReLU())


@MODELS.register_module()
class TinyStock(nn.Module):
    """Knows nothing of a search; channels add up, and stand side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = layer(3, 8, stride=2)
        self.block = nn.Sequential(layer(8, 12, 1), layer(12, 12, groups=12))
        self.project, self.beside = layer(12, 8, 1), layer(8, 6)
        self.out = layer(14, 6, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = self.stem(x)
        x = x + self.project(self.block(x))
        return (self.out(torch.cat([x, self.beside(x)], 1)),)


STOCK = dict(type='Searchable', module=dict(type='TinyStock'), widths='all')


@MODELS.register_module()
class TinyModel(BaseModel):
    """Segments four classes; dropout draws from torch's generator."""

    def __init__(
        self,
        backbone: dict[str, Any],
        data_preprocessor: Any = None,
        dropout: float = 0.1,
        channels: int = 6,
    ) -> None:
        super().__init__(data_preprocessor)
        self.backbone = MODELS.build(backbone)
        self.dropout = nn.Dropout2d(dropout)
        self.head = nn.Conv2d(channels, 4, 1)

    def forward(
        self, inputs: Tensor, labels: Any = None, mode: str = 'tensor'
    ) -> Any:
        logits = self.head(self.dropout(self.backbone(inputs)[-1]))
        if mode == 'loss':
            logits = F.interpolate(logits, labels.shape[-2:])
            return dict(loss_ce=F.cross_entropy(logits, labels))
        if mode == 'predict':
            logits = F.interpolate(logits, labels.shape[-2:])
            return list(zip(logits.argmax(1), labels))
        return logits


@DATASETS.register_module()
class TinyData(BaseDataset):
    """Squares whose brightness tells the class, augmented at random."""

    def __init__(
        self, count: int = 24, channels: int = 3, augment: bool = False
    ) -> None:
        self.channels = channels
        self.augment = augment
        self.count = count
        super().__init__(serialize_data=False)

    def load_data_list(self) -> list[dict[str, Any]]:
        return [dict(seed=i) for i in range(self.count)]

    def prepare_data(self, index: int) -> dict[str, Any]:
        rng = np.random.default_rng(index)
        labels = np.kron(rng.integers(0, 4, (2, 2)), np.ones((16, 16), int))
        image = labels + rng.normal(0, 0.1, (self.channels, 32, 32))
        if self.augment:
            image += np.random.normal(0, 0.1)
        if self.augment and random.random() < 0.5:
            image, labels = image[..., ::-1], labels[..., ::-1]
        return dict(
            inputs=torch.tensor(image.copy(), dtype=torch.float32),
            labels=torch.tensor(labels.copy()),
        )


class PixelAccuracy(BaseMetric):
    """The share of pixels that are right."""

    def process(self, data_batch: Any, data_samples: Any) -> None:
        for predicted, labels in data_samples:
            self.results.append((predicted == labels).float().mean().item())

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        return dict(accuracy=sum(results) / len(results))


METRICS.register_module(module=PixelAccuracy)


def hook_of(runner: Runner) -> ProgressiveShrinkHook:
    (hook,) = [h for h in runner.hooks if hasattr(h, 'search')]
    return hook


def search_of(runner: Runner) -> Search:
    return hook_of(runner).search


def history_of(runner: Runner) -> list[dict[str, Any]]:
    """The shrinks of a search, what each left costing among the facts."""
    shrinks = search_of(runner).history.shrinks
    return [{**vars(shrink), **shrink.costs} for shrink in shrinks]


def config(
    work_dir: Path | str,
    max_iters: int = 12,
    by_epoch: bool = False,
    ema: dict[str, Any] | None = None,
    **hook: Any,
) -> Config:
    """A whole search in a Runner: three shrinks, four checkpoints."""
    loader = dict(
        batch_size=4,
        num_workers=0,
        dataset=dict(type='TinyData'),
        collate_fn=dict(type='default_collate'),
    )
    sampler = 'DefaultSampler' if by_epoch else 'InfiniteSampler'
    interval = 1 if by_epoch else 3
    loop = (
        dict(
            type='EpochBasedTrainLoop',
            max_epochs=max_iters // 6,
            val_interval=1,
        )
        if by_epoch
        else dict(
            type='IterBasedTrainLoop', max_iters=max_iters, val_interval=6
        )
    )
    hooks = [
        dict(
            type='ProgressiveShrinkHook',
            **{
                **dict(
                    interval=interval,
                    rho=1e-3,
                    threshold=0.97,
                    warmup=1,
                    by_epoch=by_epoch,
                    input_shape=(32, 32),
                    calibration_batches=2,
                ),
                **hook,
            },
        )
    ]
    if ema:
        hooks.append(dict(type='EMAHook', **ema))
    return Config(
        dict(
            model=dict(
                type='TinyModel',
                backbone=dict(type='HRNASSupernet', **SUPERNET),
            ),
            work_dir=str(work_dir),
            train_dataloader=dict(
                loader,
                sampler=dict(type=sampler, shuffle=True),
                dataset=dict(type='TinyData', augment=True),
            ),
            val_dataloader=dict(
                loader, sampler=dict(type='DefaultSampler', shuffle=False)
            ),
            val_evaluator=dict(type='PixelAccuracy'),
            test_dataloader=dict(
                loader, sampler=dict(type='DefaultSampler', shuffle=False)
            ),
            test_evaluator=dict(type='PixelAccuracy'),
            train_cfg=loop,
            val_cfg=dict(),
            test_cfg=dict(),
            optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.02)),
            param_scheduler=dict(type='LinearLR', start_factor=0.5, end=8),
            default_hooks=dict(
                logger=dict(type='LoggerHook', interval=2),
                checkpoint=dict(
                    type='CheckpointHook',
                    by_epoch=by_epoch,
                    interval=1 if by_epoch else 4,
                ),
            ),
            log_processor=dict(by_epoch=by_epoch),
            custom_hooks=hooks,
            randomness=dict(seed=3),
            default_scope='mmengine',
            experiment_name=f'{abs(hash(str(work_dir)))}',
            log_level='ERROR',
        )
    )
